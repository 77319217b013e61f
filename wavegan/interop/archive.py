"""Archives of other projects: tar files (NeMo's .nemo, ParallelWaveGAN's .tar.gz), unpacked in memory."""

from __future__ import annotations

import lzma
import tarfile
import zlib
from pathlib import Path

from wavegan.errors import UserError

SUFFIXES = (".nemo", ".tar.gz", ".tgz")
FAULTS = (tarfile.TarError, OSError, EOFError, ValueError, IndexError, zlib.error, lzma.LZMAError)


def is_archive(path: Path) -> bool:
    """Whether it is a tar file, by its contents: what is named .pth.tar seldom is one."""
    try:
        return tarfile.is_tarfile(path)
    except FAULTS:
        return False


def read(path: Path) -> dict[str, Path | bytes]:
    """The files of an archive by their last names; nothing is written, wherever their paths point.

    Raises:
        UserError: damaged; or it unpacks to far more than it is, which weights don't.
    """
    files, left = {}, 2**24 + 10 * path.stat().st_size
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                left -= member.size
                if left < 0:
                    raise UserError(f"{path} unpacks to far more than its own size: not a checkpoint.")
                if member.isreg():
                    files.setdefault(Path(member.name).name, archive.extractfile(member).read())
    except FAULTS as error:
        raise UserError(f"{path} is an archive that can't be read ({error}). Copy it again.") from None
    return files
