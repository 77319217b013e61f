"""The command line: parses, calls, prints. Nothing heavy is imported before a command needs it."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from wavegan.core.errors import UserError, reported


class Commands(TyperGroup):
    def invoke(self, context: typer.Context) -> None:
        with reported():  # in here: around all of it, Typer would have ended an interrupted command without a word
            super().invoke(context)


app = typer.Typer(
    cls=Commands,
    help="Train and play GANs that generate speech waveforms.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
DEFAULT_MODEL = "vocoder-16k"
ModelOption = Annotated[
    str, typer.Option("--model", "-m", help="A model in the package, a checkpoint, or USER/REPOSITORY on the Hub.")
]
DeviceOption = Annotated[str, typer.Option(help="cpu, or an accelerator such as cuda, cuda:1 or mps.")]


def main() -> None:
    """Run the command line: a mistake that the user can mend prints one message and exits with 2."""
    app()


@app.command()
def vocode(
    source: Annotated[Path, typer.Argument(help="A sound file, a mel (.npz, .npy), or a folder of sound files.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Sound file to write; a folder for a folder.")],
    model: ModelOption = DEFAULT_MODEL,
    features: Annotated[
        str | None, typer.Option(help="What made a bare mel: hifigan, bigvgan, vocos, parallel_wavegan, nemo, coqui.")
    ] = None,
    convert: Annotated[bool, typer.Option("--convert", help="Make a mel of other features into the model's.")] = False,
    threads: Annotated[int | None, typer.Option(min=1, help="CPU threads (default: as many as PyTorch takes).")] = None,
    device: DeviceOption = "cpu",
    backend: Annotated[
        str, typer.Option(help="torch, onnxruntime, or the .onnx that export made of the model.")
    ] = "torch",
) -> None:
    """Turn a recording into a mel spectrogram and back into speech, or a mel into speech.

    Recordings may be of any length: memory stays the same.
    """
    import torch

    from wavegan import audio
    from wavegan.inference.synthesizer import MEL_SUFFIXES, Synthesizer

    if threads is not None:
        torch.set_num_threads(threads)
    if (features is not None or convert) and source.suffix.lower() not in MEL_SUFFIXES:
        raise UserError(f"--features and --convert are for mels, and {source} is none: leave them out.")
    if source.is_dir() and output.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{output} lies in the input, which would mix recordings and copies. Give another folder.")
    synthesizer = Synthesizer.from_pretrained(model, device, backend)
    options = {"features": features, "convert": convert}
    if not source.is_dir():
        _vocode_file(synthesizer, source, output, options)
        return
    failed, taken = 0, set()
    for path in audio.find(source):
        target = (output / path.relative_to(source)).with_suffix(".wav")
        target = target.with_name(f"{path.name}.wav") if target in taken else target  # a.flac beside a.wav
        taken.add(target)
        target.parent.mkdir(parents=True, exist_ok=True)
        try:
            _vocode_file(synthesizer, path, target, options)
        except UserError as error:
            failed += 1
            print(f"left out: {error}", file=sys.stderr)
    if failed:
        raise UserError(f"{failed} recordings of {source} were left out, see above; the others are in {output}.")


def _vocode_file(synthesizer, source: Path, output: Path, options: dict) -> None:  # noqa: ANN001
    import numpy as np
    import torch

    from wavegan import audio, metrics
    from wavegan.inference.synthesizer import MEL_SUFFIXES

    audio.check_target(output, synthesizer.sample_rate)
    if output.exists() and source.exists() and output.samefile(source):
        raise UserError(f"{output} is the input itself and would be lost. Give another name.")
    is_mel, rate = source.suffix.lower() in MEL_SUFFIXES, synthesizer.sample_rate
    limit = metrics.COPY_SECONDS * rate + 1  # samples that are compared, and one that says that there are more
    start, length, first = time.perf_counter(), 0, []
    pieces = [synthesizer.vocode(source, **options)] if is_mel else synthesizer.stream_copy(source)
    with audio.writing(output, rate) as append:
        for piece in pieces:
            append(piece)
            if length < limit:  # a view of nothing would keep the whole piece
                first.append(piece[: limit - length])
            length += len(piece)
    _print_clip(output, length, synthesizer, time.perf_counter() - start)
    if not is_mel:
        fake, real = np.concatenate(first), torch.cat(list(_first(audio.stream(source, rate)[0], limit)))
        print(f"  how close to {source.name}: {metrics.describe(real, fake, rate)}")


def _first(pieces: Iterator, limit: int) -> Iterator:
    for piece in pieces:
        yield piece[:limit]
        if (limit := limit - len(piece)) <= 0:
            return


SeedOption = Annotated[int, typer.Option(help="Which voices and takes.")]
TruncationOption = Annotated[float, typer.Option(help="1: full variety, 0: the most typical take.")]
SpeakerOption = Annotated[str | None, typer.Option(help="One of the model's speakers (default: drawn by the seed).")]


@app.command()
def digits(
    number: Annotated[list[str], typer.Argument(help="A number, or digits apart.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Sound file to write.")],
    model: ModelOption = "digits-8k",
    speaker: SpeakerOption = None,
    seed: SeedOption = 0,
    truncation: TruncationOption = 1.0,
    gap: Annotated[float, typer.Option(help="Seconds of silence between digits.")] = 0.1,
    device: DeviceOption = "cpu",
) -> None:
    """Speak a number, digit by digit, out of noise: nobody ever said it."""
    from wavegan import audio
    from wavegan.inference.synthesizer import Synthesizer

    audio.check_target(output)
    synthesizer = Synthesizer.from_pretrained(model, device)
    start = time.perf_counter()
    options = {"speaker": speaker, "seed": seed, "truncation": truncation, "gap": gap}
    waveform = synthesizer.digits("".join(number), **options)
    _write_clip(output, waveform, synthesizer, time.perf_counter() - start)


@app.command()
def generate(
    labels: Annotated[
        list[str], typer.Argument(help="Labels that the model knows, one clip each; without labels, how many clips.")
    ],
    output: Annotated[Path, typer.Option("--output", "-o", help="Sound file to write.")],
    model: Annotated[str, typer.Option("--model", "-m", help="A model in the package, or a checkpoint folder.")],
    speaker: SpeakerOption = None,
    seed: SeedOption = 0,
    truncation: TruncationOption = 1.0,
    device: DeviceOption = "cpu",
) -> None:
    """Clips of any labels out of noise, by a model of the generation task."""
    from wavegan import audio
    from wavegan.inference.synthesizer import Synthesizer

    audio.check_target(output)
    synthesizer = Synthesizer.from_pretrained(model, device)
    start = time.perf_counter()
    clips = synthesizer.generate(
        _labels_or_count(labels, synthesizer.config.task), speaker=speaker, seed=seed, truncation=truncation
    )
    _write_clip(output, clips.reshape(-1), synthesizer, time.perf_counter() - start)


def _labels_or_count(labels: list[str], task) -> list[str] | int:  # noqa: ANN001
    if task.name != "generation" or "label" in task.conditions:
        return labels
    if len(labels) != 1 or not labels[0].isdecimal():
        raise UserError("This model has no labels: say how many clips, such as 3.")
    return int(labels[0])


def _write_clip(output: Path, waveform, synthesizer, elapsed: float) -> None:  # noqa: ANN001
    from wavegan import audio

    audio.write(output, waveform, synthesizer.sample_rate)
    _print_clip(output, len(waveform), synthesizer, elapsed)


def _print_clip(output: Path, length: int, synthesizer, elapsed: float) -> None:  # noqa: ANN001
    import torch

    seconds, device = length / synthesizer.sample_rate, synthesizer.device
    place = f"{torch.get_num_threads()} threads" if device.type == "cpu" else device
    speed = f"{seconds / elapsed:.0f} times real time on {place}"
    print(f"{output}: {seconds:.2f} s at {synthesizer.sample_rate} Hz, {speed}")


@app.command()
def mel(
    source: Annotated[Path, typer.Argument(help="A sound file.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The .npz to write: the mel and its contract.")],
    model: ModelOption = DEFAULT_MODEL,
) -> None:
    """Write the log-mel that a model reads, with its feature contract."""
    from wavegan.audio import mel_files
    from wavegan.core import files
    from wavegan.inference.synthesizer import Synthesizer

    files.check_target(output, ".npz")
    synthesizer = Synthesizer.from_pretrained(model)
    array = synthesizer.mel(source)
    mel_files.save_mel(output, array, synthesizer.features)
    print(f"{output}: {array.shape[0]} bands x {array.shape[1]} frames, for {model}")


@app.command()
def train(
    arguments: Annotated[
        list[str] | None, typer.Argument(metavar="[RECIPE] [KEY=VALUE]...", help="Recipe, dotted overrides.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option("--run", "--output", "-o", help="Run folder (default: runs/RECIPE/DATE-SEED).")
    ] = None,
    resume: Annotated[Path | None, typer.Option(help="Go on with this run where it stopped.")] = None,
    finetune: Annotated[Path | None, typer.Option(help="Begin with the weights of this checkpoint or model.")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Check all, take a few steps, say the cost.")] = False,
) -> None:
    """Train a recipe, go on with a run, or fine-tune a checkpoint. Ctrl-C saves and stops."""
    from wavegan.training import runs

    arguments = arguments or []
    if resume is not None:
        if finetune is not None or dry or run is not None:
            raise UserError("--resume goes on with a run as it is: leave out --run, --finetune and --dry-run.")
        trainer = runs.resume_run(resume, arguments)
    else:
        if not arguments or ("=" in arguments[0] and not Path(arguments[0]).exists()):
            raise UserError("Give a recipe: wavegan train recipes/folder/quarter_hour.yaml, or --resume RUN.")
        recipe, overrides = Path(arguments[0]), arguments[1:]
        if dry:
            print(runs.dry_run(recipe, overrides, finetune))
            return
        trainer = runs.start_run(recipe, overrides, run, finetune)
    status = trainer.train()
    if trainer.rank > 0:
        raise typer.Exit(status)
    if status:
        print(f"Stopped at step {trainer.step}. Go on with: wavegan train --resume {trainer.folder}")
    else:
        print(f"Trained {trainer.step} steps. {trainer.task.next_step(trainer.folder)}")
    raise typer.Exit(status)


@app.command()
def evaluate(
    systems: Annotated[
        list[str], typer.Argument(help="Models in the package, checkpoint folders, folders of sounds, or griffin-lim.")
    ],
    manifest: Annotated[Path | None, typer.Option(help="Manifest of the test recordings (.jsonl).")] = None,
    reference: Annotated[Path | None, typer.Option(help="Instead, the folder of the recordings.")] = None,
    metrics: Annotated[str, typer.Option(help="Such as pesq,mcd; default; all.")] = "default",
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder to write (default: runs/evaluate/NAME).")
    ] = None,
    num_workers: Annotated[int | None, typer.Option(min=1, help="Processes (default: one a core).")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Only so many recordings, evenly spaced.")] = None,
    sample_rate: Annotated[
        int | None, typer.Option(min=1000, max=384000, help="Compare at this rate (default: the lowest of all).")
    ] = None,
    cutoff: Annotated[float, typer.Option(min=0, help="lsd_high begins here, in Hz.")] = 4000.0,
    count: Annotated[int, typer.Option(min=100, help="Generation: how many clips.")] = 2048,
    train_manifest: Annotated[
        Path | None, typer.Option("--train", help="Generation: the training clips (default: train.jsonl beside it).")
    ] = None,
) -> None:
    """Compare vocoders, or sounds made elsewhere, with recordings, and with each other; or clips out of noise as sets.

    Interrupted, the same command goes on where it stopped.
    """
    import os

    from wavegan.evaluation import evaluate as run_evaluation

    if (manifest is None) == (reference is None):
        raise UserError("Give the recordings, either as --manifest FILE.jsonl or as --reference FOLDER.")
    if manifest is not None and manifest.is_dir():
        raise UserError(f"{manifest} is a folder. Give it as --reference.")
    if reference is not None and not reference.is_dir():
        raise UserError(f"{reference} is not a folder. Give a manifest as --manifest.")
    print(
        run_evaluation(
            systems,
            manifest or reference,
            output,
            metrics.replace(",", " ").split(),
            limit,
            num_workers or os.cpu_count() or 1,
            sample_rate,
            cutoff,
            count,
            train_manifest,
        )
    )


@app.command()
def info(
    checkpoint: Annotated[str | None, typer.Argument(help="A model in the package, or a checkpoint folder.")] = None,
) -> None:
    """Describe a checkpoint, or list the models in the package."""
    from wavegan.inference.synthesizer import Synthesizer, list_pretrained

    if checkpoint is None:
        print("\n".join(list_pretrained()))
        return
    synthesizer = Synthesizer.from_pretrained(checkpoint)
    contents = synthesizer.config
    parameters = sum(p.numel() for p in synthesizer.generator.parameters())
    print(f"{contents.name}: {contents.generator.name} generator, {parameters:,} parameters, step {contents.step}")
    print(f"written by wavegan {contents.wavegan_version}, checkpoint format {contents.format_version}")
    for condition, words in contents.task.conditions.items():
        print(f"{condition}: {', '.join(words)}")
    if contents.task.name == "vocoder":
        ahead, delay = synthesizer.look_ahead_seconds, synthesizer.delay_seconds
        print(f"look-ahead: {1000 * ahead:.0f} ms in a stream of mels; {1000 * delay:.0f} ms from sound to its copy")
    print("features:")
    for name, value in synthesizer.features:
        print(f"  {name}: {value if not isinstance(value, list) else f'{len(value)} values'}")


@app.command(name="import")
def import_(
    source: Annotated[Path, typer.Argument(help="Folder, archive, or weights file beside its settings.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint folder to write.")],
    format: Annotated[str, typer.Option(help="What wrote it, if that isn't recognised.")] = "auto",
) -> None:
    """Make a checkpoint folder of another project's vocoder."""
    from wavegan.checkpoints.formats import import_checkpoint

    if note := import_checkpoint(source, output, format):
        print(note)
    print(f"{output}: hear it with wavegan vocode IN.wav -o OUT.wav --model {output}")


@app.command()
def pack(
    run: Annotated[Path, typer.Argument(help="A run or checkpoint folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint folder to write.")],
    half: Annotated[bool, typer.Option("--half", help="Store 16-bit weights: half the size.")] = False,
    refinements: Annotated[
        int | None, typer.Option(min=0, max=64, help="Of a spectral generator: more are better, later and slower.")
    ] = None,
) -> None:
    """Copy what playing needs out of a run folder, ready to publish."""
    from wavegan.training.runs import pack as pack_run

    size = pack_run(run, output, half, refinements)
    print(f"{output}: {size / 1e6:.1f} MB")


@app.command()
def export(
    model: Annotated[str, typer.Argument(help="A model in the package, or a checkpoint folder.")],
    onnx: Annotated[Path | None, typer.Option(help="The .onnx to write: mel, or noise and labels, to speech.")] = None,
    mel: Annotated[
        Path | None, typer.Option(help="Another .onnx: a recording to the mel that the model reads.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit weights; prints what they cost in PESQ.")] = False,
    check: Annotated[Path | None, typer.Option(help="Recording of speech to score --int8 on.")] = None,
    opset: Annotated[int | None, typer.Option(min=1, help="Version of ONNX's operators (default: 18).")] = None,
    hifigan: Annotated[
        Path | None, typer.Option(help="Instead, a folder for HiFi-GAN's own code: config.json and g_*.")
    ] = None,
) -> None:
    """Write ONNX files, which onnxruntime plays without PyTorch; compared with PyTorch first."""
    if hifigan is not None:
        from wavegan.checkpoints.formats import export_hifigan
        from wavegan.checkpoints.hub import find_checkpoint

        if int8 or any(option is not None for option in (onnx, mel, check, opset)):
            raise UserError("Give --hifigan alone: it writes no ONNX files.")
        print(export_hifigan(find_checkpoint(model), hifigan))
        return
    from wavegan.inference import onnx_export as exporting

    print(exporting.export(model, onnx, mel, int8, check, exporting.OPSET if opset is None else opset))


@app.command()
def bench(
    models: Annotated[
        list[str] | None,
        typer.Argument(help="Models in the package, checkpoint folders, published sizes, anchors (default: all)."),
    ] = None,
    seconds: Annotated[str, typer.Option(help="Lengths to make, such as 1,4,16.")] = "1,4,16",
    threads: Annotated[str | None, typer.Option(help="Such as 1,2 (default: as many as PyTorch takes).")] = None,
    batch: Annotated[str, typer.Option(help="Such as 1,4.")] = "1",
    backend: Annotated[str, typer.Option(help="Such as torch,onnxruntime.")] = "torch",
    repeats: Annotated[int, typer.Option(help="Turns; medians are told.")] = 5,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The .json to write as well.")] = None,
) -> None:
    """Measure speed, the wait for the first sound, and memory, here, on this machine."""
    import torch

    from wavegan.core import files
    from wavegan.evaluation.bench import bench as run_bench
    from wavegan.evaluation.bench import table

    if output is not None:
        files.check_target(output, ".json")
    found = run_bench(
        models or [],
        _numbers("seconds", seconds, float),
        _numbers("threads", threads or str(torch.get_num_threads()), int),
        _numbers("batch", batch, int),
        backend.split(","),
        repeats,
    )
    print(table(found))
    if output is not None:
        files.write_json(output, found)


def _numbers(option: str, text: str, kind: type) -> list:
    try:
        return [kind(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise UserError(f"--{option} should be numbers with commas between, such as 1,4; got '{text}'.") from None


recipes = typer.Typer(help="Recipes for corpora of one's own.", no_args_is_help=True)
app.add_typer(recipes, name="recipe")


@recipes.command()
def new(
    name: Annotated[str, typer.Argument(help="What the corpus is called: letters, digits, _ . -")],
    wavs: Annotated[Path, typer.Option(help="The folder of its recordings.")],
    sample_rate: Annotated[int, typer.Option(help="In Hz; 16000, 22050, 24000, 32000, 44100 and 48000 are usual.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to make the recipe's folder in.")] = Path(
        "recipes"
    ),
) -> None:
    """Write a recipe folder for a folder of recordings: preparation, recipes with settings for its rate."""
    from wavegan.training.scaffold import new_recipe

    print(new_recipe(name, wavs, sample_rate, output))


@recipes.command(name="run", context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def run_recipe(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="A recipe's folder, such as recipes/ljspeech.")],
    first: Annotated[int, typer.Option("--from", min=1, max=3, help="The stage to begin with.")] = 1,
    last: Annotated[int, typer.Option("--to", min=1, max=3, help="The stage to end with.")] = 3,
    recipe: Annotated[str | None, typer.Option(help="Train this instead, such as spectral_large.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the manifests (default: what the recipe says).")] = None,
    beside: Annotated[str | None, typer.Option(help="Another model to evaluate.")] = None,
) -> None:
    """Prepare (stage 1), train (2) and evaluate (3); run it again to go on. Other options are those of prepare.py."""
    from wavegan.training import pipeline

    raise typer.Exit(pipeline.run(folder, context.args, first, last, recipe, data, beside))


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True}, add_help_option=False)
def demo(context: typer.Context) -> None:
    """Open the demo in a browser; --help says what it can be given."""
    import runpy
    from importlib.util import find_spec

    script = Path(__file__).parents[2] / "demo" / "app.py"
    if not script.is_file():
        raise UserError(f"The demo is part of the repository, not of an installed package: no {script}. Clone it.")
    if find_spec("gradio") is None:
        raise UserError("The demo needs the package 'gradio': pip install -e '.[demo]' in the repository.")
    sys.argv, sys.path = [str(script), *context.args], [str(script.parent), *sys.path]
    runpy.run_path(str(script), run_name="__main__")


@app.command()
def version() -> None:
    """Print the version."""
    from wavegan.core.version import __version__

    print(__version__)
