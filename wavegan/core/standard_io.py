"""``-`` as a path: files read from stdin and written to stdout."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from wavegan.core.errors import UserError

STANDARD = Path("-")
BEGINNINGS = {".npz": (b"PK",), ".npy": (b"\x93NUMPY",), ".mp3": (b"ID3", b"\xff\xfb", b"\xff\xf3", b"\xff\xf2")}


@contextmanager
def reading(source: Path) -> Iterator[Path]:
    """Yield the file to read: for -, a temporary copy of stdin, whose suffix follows from its first bytes."""
    if source != STANDARD:
        yield source
        return
    with tempfile.TemporaryDirectory() as folder:
        beginning = sys.stdin.buffer.read(8)
        suffix = next((suffix for suffix, magic in BEGINNINGS.items() if beginning.startswith(magic)), ".wav")
        path = Path(folder, f"stdin{suffix}")
        with path.open("wb") as file:
            file.write(beginning)
            shutil.copyfileobj(sys.stdin.buffer, file)
        with _named(path, "stdin"):
            yield path


@contextmanager
def writing(output: Path, suffix: str) -> Iterator[Path]:
    """Yield the file to write: for -, a temporary one, copied to stdout when the block ends well."""
    if output != STANDARD:
        yield output
        return
    if sys.stdout.isatty():
        raise UserError("stdout is a terminal, which can't take binary data: redirect it, or give -o a file name.")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, f"stdout{suffix}")
        with _named(path, "stdout"):
            yield path
        with path.open("rb") as file:
            shutil.copyfileobj(file, sys.stdout.buffer)
        sys.stdout.buffer.flush()


@contextmanager
def _named(path: Path, name: str) -> Iterator[None]:
    """Name a temporary file in errors as the user knows it."""
    try:
        yield
    except UserError as error:
        raise UserError(str(error).replace(str(path), name)) from None
