"""What a preparation has converted so far: a log with one JSON line a file, from which an interrupted one goes on.

A line is written before the file takes its name: after a kill, each file that is there has its line.
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
    """What a file was made from. With the same ``path``, ``size`` and ``modified``, it is taken to be the same."""

    path: str
    size: int
    modified: int  # in nanoseconds
    span: list[float] | None  # in seconds

    @classmethod
    def of(cls, path: Path, span: tuple[float, float] | None, folder: Path) -> Origin:
        """Paths below ``folder`` are relative to it, so that it can move with what was downloaded into it."""
        place, state = Path(os.path.abspath(path)), path.stat()
        if place.is_relative_to(folder):
            place = place.relative_to(folder)
        return cls(place.as_posix(), state.st_size, state.st_mtime_ns, list(span) if span else None)


@dataclass(frozen=True)
class Made:
    """What became of it: its rate before, samples after, bytes of the file."""

    rate: int
    num_samples: int
    size: int


class ConversionLog:
    """The log of a folder, for any number of threads."""

    def __init__(self, path: Path):
        self.folder = Path(os.path.abspath(path.parent))
        self.entries: dict[str, tuple[Origin, Made]] = {}
        self.log = JSONLines(path)
        for record in self.log.records:
            with suppress(KeyError, TypeError):  # not one of ours: made again
                self.entries[record["id"]] = (Origin(**record["origin"]), Made(**record["made"]))

    def find(self, id: str, origin: Origin, target: Path) -> Made | None:
        """What was made of ``origin``, if ``target`` is still there and as long."""
        before, made = self.entries.get(id, (None, None))
        if made is None or before != origin or not target.is_file() or target.stat().st_size != made.size:
            return None
        return made

    def write(self, id: str, origin: Origin, target: Path, data: bytes, rate: int, num_samples: int) -> Made:
        """Write a converted file, whole or not at all.

        Raises:
            UserError: the system refused to write.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        made = Made(rate, num_samples, len(data))
        with replacing(target) as partial:
            write_durably(partial, data)
            if id in self.entries:  # what is there is of another origin: the new line must not be taken for its own
                target.unlink(missing_ok=True)
            self.log.add({"id": id, "origin": asdict(origin), "made": asdict(made)})
        return made
