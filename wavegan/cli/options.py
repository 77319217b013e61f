"""Options of several commands, and where their results are printed."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Annotated, Any

import typer

from wavegan.core import progress
from wavegan.core.files import to_json
from wavegan.core.standard_io import STANDARD

ModelOption = Annotated[str, typer.Option("--model", "-m", help="Embedded model, checkpoint, or USER/REPOSITORY.")]
DeviceOption = Annotated[str, typer.Option(help="cpu, or an accelerator such as cuda, cuda:1 or mps.")]
SoundOption = Annotated[Path, typer.Option("--output", "-o", help="Sound file to write; - for WAV on stdout.")]
JSONOption = Annotated[bool, typer.Option("--json", help="Print one JSON object on stdout, progress on stderr.")]
QuietOption = Annotated[
    bool, typer.Option("--quiet", "-q", callback=progress.set_quiet, help="Print results and errors only.")
]


def report(text: str, output: Path | None = None, as_json: bool = False) -> None:
    """Print on stdout, or as a remark on stderr if stdout takes the sound or JSON."""
    if as_json or output == STANDARD:
        progress.remark(text)
    else:
        print(text)


def print_json(value: Any) -> None:
    print(to_json(value))


@contextmanager
def json_only(as_json: bool) -> Iterator[None]:
    """Send to stderr what a computation prints on stdout, if stdout is to hold one JSON object."""
    with redirect_stdout(sys.stderr if as_json else sys.stdout):
        yield
