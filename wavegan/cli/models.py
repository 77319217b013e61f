"""Checkpoints: info, import, pack, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from wavegan.cli import options
from wavegan.cli.options import JSONOption, QuietOption
from wavegan.core.errors import UserError

if TYPE_CHECKING:
    from wavegan.inference.synthesizer import Synthesizer


def info(
    checkpoint: Annotated[str | None, typer.Argument(help="Embedded model or checkpoint folder.")] = None,
    as_json: JSONOption = False,
    quiet: QuietOption = False,
) -> None:
    """Describe a checkpoint, or list the embedded models."""
    from wavegan.checkpoints.hub import list_pretrained
    from wavegan.inference.synthesizer import Synthesizer

    if checkpoint is None:
        names = list_pretrained()
        if as_json:
            options.print_json({"models": names})
        else:
            print("\n".join(names))
        return
    facts = _facts(Synthesizer.from_pretrained(checkpoint))
    if as_json:
        options.print_json(facts)
        return
    print("{name}: {generator} generator, {parameters:,} parameters, step {step}".format(**facts))
    print("written by wavegan {wavegan_version}, checkpoint format {format_version}".format(**facts))
    for condition, values in facts["conditions"].items():
        print(f"{condition}: {', '.join(values)}")
    if "look_ahead_seconds" in facts:
        ahead, delay = (1000 * facts[name] for name in ("look_ahead_seconds", "delay_seconds"))
        print(f"look-ahead: {ahead:.0f} ms in a stream of mels; {delay:.0f} ms from a recording to its copy")
    print("features:")
    for name, value in facts["features"].items():
        print(f"  {name}: {value if not isinstance(value, list) else f'{len(value)} values'}")


def _facts(synthesizer: Synthesizer) -> dict[str, Any]:
    contents, features = synthesizer.config, dict(synthesizer.features)
    facts = {
        "name": contents.name,
        "task": contents.task.name,
        "generator": contents.generator.name,
        "parameters": sum(p.numel() for p in synthesizer.generator.parameters()),
        "step": contents.step,
        "wavegan_version": contents.wavegan_version,
        "format_version": contents.format_version,
        "sample_rate": synthesizer.sample_rate,
        "conditions": contents.task.vocabularies,
        "features": features,
    }
    if contents.task.reads == "mel":
        seconds = {"look_ahead_seconds": synthesizer.look_ahead_seconds, "delay_seconds": synthesizer.delay_seconds}
        facts |= seconds
    return facts


def import_(
    source: Annotated[Path, typer.Argument(help="Folder, archive, or weights file beside its settings.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint folder to write.")],
    format: Annotated[str, typer.Option(help="Format, if it isn't recognised.")] = "auto",
) -> None:
    """Convert another project's vocoder to a checkpoint folder."""
    from wavegan.checkpoints.formats import import_checkpoint

    if note := import_checkpoint(source, output, format):
        print(note)
    print(f"{output}: try it with wavegan vocode IN.wav -o OUT.wav --model {output}")


def pack(
    run: Annotated[Path, typer.Argument(help="Run or checkpoint folder.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Checkpoint folder to write.")],
    half: Annotated[bool, typer.Option("--half", help="Store 16-bit weights: half the size.")] = False,
    refinements: Annotated[
        int | None, typer.Option(min=0, max=64, help="Of a spectral generator: more are better, slower, later.")
    ] = None,
) -> None:
    """Copy the generator of a run, without the state of its training, ready to publish."""
    from wavegan.training.runs import pack as pack_run

    size = pack_run(run, output, half, refinements)
    print(f"{output}: {size / 1e6:.1f} MB")


def export(
    model: Annotated[str, typer.Argument(help="Embedded model or checkpoint folder.")],
    onnx: Annotated[Path | None, typer.Option(help=".onnx to write: mel, or noise and labels, to speech.")] = None,
    mel: Annotated[Path | None, typer.Option(help="Another .onnx to write: recording to the model's mel.")] = None,
    int8: Annotated[bool, typer.Option("--int8", help="8-bit weights; prints their cost in PESQ.")] = False,
    check: Annotated[Path | None, typer.Option(help="Recording of speech to score --int8 on.")] = None,
    opset: Annotated[int | None, typer.Option(min=1, help="Version of ONNX's operators (default: 18).")] = None,
    hifigan: Annotated[Path | None, typer.Option(help="Instead, a folder for HiFi-GAN's own code.")] = None,
) -> None:
    """Write ONNX files for onnxruntime, which needs no PyTorch; each is compared with PyTorch first."""
    if hifigan is not None:
        from wavegan.checkpoints.formats.hifigan_export import export_hifigan
        from wavegan.checkpoints.hub import find_checkpoint

        if int8 or any(option is not None for option in (onnx, mel, check, opset)):
            raise UserError("Give --hifigan alone: it writes no ONNX files.")
        print(export_hifigan(find_checkpoint(model), hifigan))
        return
    from wavegan.inference import onnx_export

    print(onnx_export.export(model, onnx, mel, int8, check, onnx_export.OPSET if opset is None else opset))
