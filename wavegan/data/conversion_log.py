"""Log of converted files, one JSON line each, from which an interrupted preparation resumes.

A line is written before its file is renamed into place: after a crash, every file in place has its line.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from wavegan.core.files import replacing, write_durably
from wavegan.core.jsonlines import JSONLines


@dataclass(frozen=True)
class Origin:
    """Source of a converted file; the same ``path``, ``size`` and ``modified`` mean the same content."""

    path: str
    size: int
    modified: int  # in nanoseconds
    span: list[float] | None  # in seconds

    @classmethod
    def of(cls, path: Path, span: tuple[float, float] | None, folder: Path) -> Origin:
        """Describe a source; paths below ``folder`` are relative, so that a folder with its downloads can be moved."""
        source, state = Path(os.path.abspath(path)), path.stat()
        if source.is_relative_to(folder):
            source = source.relative_to(folder)
        return cls(source.as_posix(), state.st_size, state.st_mtime_ns, list(span) if span else None)


@dataclass(frozen=True)
class Made:
    """Result of a conversion: the source's sample rate, the number of samples and the bytes of the file."""

    rate: int
    num_samples: int
    size: int


class ConversionLog:
    """The log of a folder, safe for several threads."""

    def __init__(self, path: Path):
        self.folder = Path(os.path.abspath(path.parent))
        self.entries: dict[str, tuple[Origin, Made]] = {}
        self.log = JSONLines(path)
        for record in self.log.records:
            with suppress(KeyError, TypeError):  # another format: convert again
                self.entries[record["id"]] = (Origin(**record["origin"]), Made(**record["made"]))

    def find(self, id: str, origin: Origin, target: Path) -> Made | None:
        """Return the result for ``origin`` if ``target`` still exists in the same size, else None."""
        before, made = self.entries.get(id, (None, None))
        if made is None or before != origin or not target.is_file() or target.stat().st_size != made.size:
            return None
        return made

    def write(self, id: str, origin: Origin, target: Path, data: bytes, rate: int, num_samples: int) -> Made:
        """Write a converted file and its line, atomically."""
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Made(rate, num_samples, len(data))
        with replacing(target) as partial:
            write_durably(partial, data)
            if id in self.entries:  # the old file has another origin, and must not match the new line
                target.unlink(missing_ok=True)
            self.log.add({"id": id, "origin": asdict(origin), "made": asdict(made)})
        return made
