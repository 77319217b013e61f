"""Measurements: evaluate, bench."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavegan.cli import options
from wavegan.cli.options import JSONOption, QuietOption
from wavegan.core.errors import UserError


def evaluate(
    systems: Annotated[list[str], typer.Argument(help="Models, folders of sounds, or griffin-lim.")],
    manifest: Annotated[Path | None, typer.Option(help="Manifest of the test recordings (.jsonl).")] = None,
    reference: Annotated[Path | None, typer.Option(help="Instead, the folder of the recordings.")] = None,
    metrics: Annotated[str, typer.Option(help="Such as pesq,mcd; default; all.")] = "default",
    output: Annotated[Path | None, typer.Option("--output", "-o", help="Folder (default: runs/evaluate/NAME).")] = None,
    num_workers: Annotated[int | None, typer.Option(min=1, help="Processes (default: one per core).")] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Score N recordings, evenly spaced.")] = None,
    sample_rate: Annotated[
        int | None, typer.Option(min=1000, max=384000, help="In Hz (default: the lowest of all).")
    ] = None,
    cutoff: Annotated[float, typer.Option(min=0, help="Lower limit of lsd_high, in Hz.")] = 4000.0,
    count: Annotated[int, typer.Option(min=100, help="Generation: number of clips.")] = 2048,
    train_manifest: Annotated[
        Path | None, typer.Option("--train", help="Generation: training clips (default: train.jsonl).")
    ] = None,
    as_json: JSONOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compare vocoders, or sounds made elsewhere, with recordings; or clips generated from noise, as sets.

    An interrupted evaluation continues when the command is run again.
    """
    import json
    import os

    from wavegan import evaluation

    if (manifest is None) == (reference is None):
        raise UserError("Give the recordings, either as --manifest FILE.jsonl or as --reference FOLDER.")
    if manifest is not None and manifest.is_dir():
        raise UserError(f"{manifest} is a folder. Give it as --reference.")
    if reference is not None and not reference.is_dir():
        raise UserError(f"{reference} is not a folder. Give a manifest as --manifest.")
    recordings = manifest or reference
    output = output or evaluation.default_output(recordings)
    names, workers = metrics.replace(",", " ").split(), num_workers or os.cpu_count() or 1
    settings = (limit, workers, sample_rate, cutoff, count, train_manifest)
    with options.json_only(as_json):
        table = evaluation.evaluate(systems, recordings, output, names, *settings)
    if as_json:
        page = output / "index.html"
        results = json.loads((output / "metrics.json").read_text(encoding="utf-8"))
        options.print_json({"output": str(output), "page": str(page) if page.is_file() else None} | results)
    else:
        print(table)


def bench(
    models: Annotated[list[str] | None, typer.Argument(help="Models, published sizes, anchors (default: all).")] = None,
    seconds: Annotated[str, typer.Option(help="Lengths to generate, such as 1,4,16.")] = "1,4,16",
    threads: Annotated[str | None, typer.Option(help="Such as 1,2 (default: PyTorch's).")] = None,
    batch: Annotated[str, typer.Option(help="Such as 1,4.")] = "1",
    backend: Annotated[str, typer.Option(help="Such as torch,onnxruntime.")] = "torch",
    repeats: Annotated[int, typer.Option(help="Number of runs; medians are reported.")] = 5,
    output: Annotated[Path | None, typer.Option("--output", "-o", help="The .json to write as well.")] = None,
    as_json: JSONOption = False,
    quiet: QuietOption = False,
) -> None:
    """Measure speed, latency and memory on this machine."""
    import torch

    from wavegan.core import files
    from wavegan.evaluation import bench as benchmark

    if output is not None:
        files.check_target(output, ".json")
    numbers = [
        _numbers("seconds", seconds, float),
        _numbers("threads", threads or str(torch.get_num_threads()), int),
        _numbers("batch", batch, int),
    ]
    with options.json_only(as_json):
        results = benchmark.bench(models or [], *numbers, backend.split(","), repeats)
    if output is not None:
        files.write_json(output, results)
    if as_json:
        options.print_json(results)
    else:
        print(benchmark.table(results))


def _numbers(option: str, text: str, kind: type) -> list:
    try:
        return [kind(part) for part in text.replace(",", " ").split()]
    except ValueError:
        raise UserError(f"--{option} should be numbers separated by commas, such as 1,4; got '{text}'.") from None
