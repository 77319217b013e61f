"""Recordings as a recipe finds them on disk, and the settings they are prepared with."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal

from wavegan import audio
from wavegan.audio import silence
from wavegan.audio.loudness import LOWEST_RATE
from wavegan.core.errors import UserError


@dataclass(frozen=True)
class Source:
    """A recording as a recipe finds it on disk.

    ``part``: "train", "valid" or "test", where the corpus says so itself. ``span``: (begin, end) in seconds, where it
    is a piece of a longer file. ``fault``: why it is to be left out, where that is known before.
    """

    path: Path
    id: str
    speaker: str | None = None
    label: str | None = None
    text: str | None = None
    part: str | None = None
    span: tuple[float, float] | None = None
    fault: str | None = None


@dataclass(frozen=True)
class Settings:
    """What becomes of every recording. ``peak``: the largest sample of each; ``trim``: silence at the ends goes, told
    by its energy or by silero-vad; ``loudness``: of each, in LUFS. Recordings from other settings are never mixed in
    one folder.
    """

    sample_rate: int
    min_seconds: float = 0.5
    peak: float | None = None
    trim: Literal["energy", "vad"] | None = None
    loudness: float | None = None

    def __post_init__(self) -> None:
        if not audio.MIN_RATE <= self.sample_rate <= audio.MAX_RATE:
            raise UserError(
                f"A sample rate lies between {audio.MIN_RATE} and {audio.MAX_RATE} Hz, got {self.sample_rate}."
            )
        if self.loudness is not None and not -70 < self.loudness < 0:
            raise UserError(f"A loudness lies between -70 and 0 LUFS, speech usually at -23; got {self.loudness:g}.")
        if self.loudness is not None and self.sample_rate < LOWEST_RATE:
            raise UserError(f"Loudness is measured from {LOWEST_RATE} Hz on, got {self.sample_rate} Hz.")
        if self.trim == "vad":
            silence.require_silero()

    def spelt(self) -> str:
        """What of them is not as usual, as JSON."""
        usual, always = {f.name: f.default for f in fields(self)}, ("sample_rate", "min_seconds")
        return json.dumps({k: v for k, v in asdict(self).items() if k in always or v != usual[k]})


def sources_in(folder: Path) -> list[Source]:
    """Every sound file below ``folder``; the id is its path, the suffix kept only where it tells two files apart."""
    paths = audio.find(folder)
    stems = [p.relative_to(folder).with_suffix("").as_posix() for p in paths]
    twins = {stem for stem, count in Counter(stems).items() if count > 1}
    ids = [f"{s}{p.suffix}" if s in twins else s for s, p in zip(stems, paths, strict=True)]
    return [Source(path, id) for path, id in zip(paths, ids, strict=True)]


def rates(paths: Sequence[Path]) -> Counter[int]:
    """How many sound files have which sample rate; those that can't be read, which the preparation lists, aside."""

    def rate(path: Path) -> int | None:
        with suppress(UserError):
            return audio.rate_of(path)

    with ThreadPoolExecutor() as pool:
        return Counter(found for found in pool.map(rate, paths) if found)
