"""Sound from models: vocode, digits, generate, mel, demo."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Annotated, Any

import typer

from wavegan.cli import options
from wavegan.cli.options import DeviceOption, JSONOption, ModelOption, QuietOption, SoundOption
from wavegan.core import standard_io
from wavegan.core.errors import UserError
from wavegan.core.text import counted

SeedOption = Annotated[int, typer.Option(help="Seed of the voices and takes.")]
TruncationOption = Annotated[float, typer.Option(help="From 0, the most typical take, to 1, full variety.")]
SpeakerOption = Annotated[str | None, typer.Option(help="One of the model's speakers (default: drawn by the seed).")]
CONVENTIONS = "Convention of a bare mel: hifigan, bigvgan, vocos, parallel_wavegan, nemo, coqui."


def vocode(
    source: Annotated[Path, typer.Argument(help="Sound file, mel (.npz, .npy), folder, or - for stdin.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Sound file, folder for a folder, or - for stdout.")],
    model: ModelOption = "vocoder-16k",
    features: Annotated[str | None, typer.Option(help=CONVENTIONS)] = None,
    convert: Annotated[bool, typer.Option("--convert", help="Convert a mel of other features to the model's.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: PyTorch's).")] = None,
    device: DeviceOption = "cpu",
    backend: Annotated[str, typer.Option(help="torch, onnxruntime, or the model's .onnx from export.")] = "torch",
    force: Annotated[bool, typer.Option("--force", help="Folder: copy again what an earlier run has copied.")] = False,
    as_json: JSONOption = False,
    quiet: QuietOption = False,
) -> None:
    """Turn a recording into a mel spectrogram and back into speech, or a mel into speech.

    Recordings may have any length: memory stays constant. In a folder, only missing or outdated copies are made.
    """
    import torch

    from wavegan.inference import copies
    from wavegan.inference.inputs import MEL_SUFFIXES
    from wavegan.inference.synthesizer import Synthesizer

    if output == standard_io.STANDARD and (as_json or source.is_dir()):
        other = "--json writes to stdout as well" if as_json else f"{source} is a folder"
        raise UserError(f"-o - writes one WAV file to stdout, but {other}. Give another -o.")
    if threads is not None:
        torch.set_num_threads(threads)
    with standard_io.reading(source) as path:
        if (features is not None or convert) and path.suffix.lower() not in MEL_SUFFIXES:
            raise UserError(f"--features and --convert are for mels, and {source} is not a mel file. Leave them out.")
        synthesizer = Synthesizer.from_pretrained(model, device, backend)
        if source.is_dir():
            identity = copies.identify(model, backend)
            _report_folder(source, output, copies.copy_folder(synthesizer, source, output, identity, force), as_json)
            return
        with standard_io.writing(output, ".wav") as target:
            clip = copies.copy_file(synthesizer, path, target, features=features, convert=convert)
    clip = clip._replace(output=str(output))
    if as_json:
        options.print_json(clip._asdict())
    options.report(clip.describe(), output, as_json)


def _report_folder(source: Path, output: Path, results: Any, as_json: bool) -> None:
    """Run ``copy_folder``: report each file when it is made, then all of them."""
    made, failed, before = [], [], []
    for path, result in results:
        name = path.relative_to(source).as_posix()
        if result is None:
            before.append(name)
        elif isinstance(result, UserError):
            failed.append({"source": name, "error": str(result)})
            print(f"left out: {result}", file=sys.stderr)
        else:
            made.append(result._asdict() | {"source": name})
            options.report(result.describe(), as_json=as_json)
    if before:
        options.report(f"{len(before)} copied by an earlier run (--force copies them again)", as_json=as_json)
    if as_json:
        options.print_json({"output": str(output), "files": made, "copied_before": before, "failed": failed})
    if failed:
        left_out = f"{counted(len(failed), 'recording')} of {source} {'was' if len(failed) == 1 else 'were'} left out"
        raise UserError(f"{left_out}, see above; the others are in {output}.")


def digits(
    number: Annotated[list[str], typer.Argument(help="A number, or separate digits.")],
    output: SoundOption,
    model: ModelOption = "digits-8k",
    speaker: SpeakerOption = None,
    seed: SeedOption = 0,
    truncation: TruncationOption = 1.0,
    gap: Annotated[float, typer.Option(help="Seconds of silence between digits.")] = 0.1,
    device: DeviceOption = "cpu",
    quiet: QuietOption = False,
) -> None:
    """Generate a spoken number, digit by digit, from noise."""
    _generate(output, model, device, "".join(number), speaker=speaker, seed=seed, truncation=truncation, gap=gap)


def generate(
    labels: Annotated[list[str], typer.Argument(help="Labels, one clip each; for a model without labels, a count.")],
    output: SoundOption,
    model: Annotated[str, typer.Option("--model", "-m", help="Embedded model or checkpoint folder.")],
    speaker: SpeakerOption = None,
    seed: SeedOption = 0,
    truncation: TruncationOption = 1.0,
    device: DeviceOption = "cpu",
    quiet: QuietOption = False,
) -> None:
    """Generate clips of any labels from noise, by a model of the generation task."""
    _generate(output, model, device, labels, speaker=speaker, seed=seed, truncation=truncation)


def _generate(output: Path, model: str, device: str, wanted: str | list[str], **choices: Any) -> None:
    """Write and report a number, given as a string, or clips of labels."""
    from wavegan import audio
    from wavegan.inference.copies import Clip
    from wavegan.inference.synthesizer import Synthesizer

    with standard_io.writing(output, ".wav") as target:
        audio.check_target(target)
        synthesizer = Synthesizer.from_pretrained(model, device)
        start = time.perf_counter()
        if isinstance(wanted, str):
            waveform = synthesizer.digits(wanted, **choices)
        else:
            task = synthesizer.config.task
            unlabelled = task.reads == "latent" and "label" not in task.vocabularies
            waveform = synthesizer.generate(_count(wanted) if unlabelled else wanted, **choices).reshape(-1)
        elapsed = time.perf_counter() - start
        audio.write(target, waveform, synthesizer.sample_rate)
    options.report(Clip.of(synthesizer, output, len(waveform), elapsed).describe(), output)


def _count(labels: list[str]) -> int:
    if len(labels) != 1 or not labels[0].isdecimal():
        raise UserError("This model has no labels: give the number of clips, such as 3.")
    return int(labels[0])


def mel(
    source: Annotated[Path, typer.Argument(help="Sound file, or - for stdin.")],
    output: Annotated[Path, typer.Option("--output", "-o", help=".npz to write: mel and features; - for stdout.")],
    model: ModelOption = "vocoder-16k",
    quiet: QuietOption = False,
) -> None:
    """Write the log-mel that a model reads, with its feature contract."""
    from wavegan.audio import mel_files
    from wavegan.core import files
    from wavegan.inference.synthesizer import Synthesizer

    with standard_io.writing(output, ".npz") as target, standard_io.reading(source) as path:
        files.check_target(target, ".npz")
        synthesizer = Synthesizer.from_pretrained(model)
        array = synthesizer.mel(path)
        mel_files.save_mel(target, array, synthesizer.features)
    options.report(f"{output}: {array.shape[0]} bands x {array.shape[1]} frames, for {model}", output)


def demo(context: typer.Context) -> None:
    """Open the demo in a browser; -h lists its options."""
    import runpy
    from importlib.util import find_spec

    from wavegan.training.shipped import shipped

    if find_spec("gradio") is None:
        raise UserError("The demo needs the package 'gradio': pip install 'wavegan[demo]'.")
    script = shipped("demo") / "app.py"
    if not script.is_file():
        raise UserError(f"The demo is missing: no {script}. Install the package again.")
    sys.argv, sys.path = [str(script), *context.args], [str(script.parent), *sys.path]
    runpy.run_path(str(script), run_name="__main__")
