"""Tar archives of other projects (NeMo's .nemo, ParallelWaveGAN's .tar.gz), unpacked in memory."""

from __future__ import annotations

import gzip
import tarfile
import zlib
from pathlib import Path
from typing import BinaryIO

from wavegan.core.errors import UserError

SUFFIXES = (".nemo", ".tar.gz", ".tgz")
FAULTS = (tarfile.TarError, OSError, EOFError, ValueError, IndexError, zlib.error)
BLOCK = 2**20


class _Budget:
    """A file with a limit on the bytes read: tarfile trusts the sizes in headers."""

    def __init__(self, path: Path, file: BinaryIO):
        self.path, self.file, self.left = path, file, 2**24 + 10 * path.stat().st_size

    def read(self, size: int) -> bytes:
        data = self.file.read(size)
        self.left -= len(data)
        if self.left < 0:
            raise UserError(f"{self.path} unpacks to far more than its own size: it is not a checkpoint.")
        return data


def is_archive(path: Path) -> bool:
    """Return True for a tar file, by its contents: files named .pth.tar rarely are."""
    try:
        with path.open("rb") as file, _open(path, file):
            return True
    except FAULTS:
        return False


def read(path: Path) -> dict[str, Path | bytes]:
    """The files of an archive by their base names; nothing is written to disk.

    Raises:
        UserError: damaged, or it unpacks to far more than its own size, which weights don't.
    """
    files = {}
    try:
        with path.open("rb") as file, _open(path, file) as archive:
            for member in archive:
                if member.isreg() and not member.issparse():  # the zeros of sparse files escape the limit
                    files.setdefault(Path(member.name).name, archive.extractfile(member).read())
    except FAULTS as error:
        raise UserError(f"{path} is an archive that can't be read ({error}). Copy it again.") from None
    return files


def _open(path: Path, file: BinaryIO) -> tarfile.TarFile:
    """Open as a stream, so that every read goes through ``_Budget``."""
    compressed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    source = gzip.GzipFile(fileobj=file) if compressed else file
    return tarfile.open(fileobj=_Budget(path, source), mode="r|", bufsize=BLOCK)
