"""Recordings as a recipe finds them on disk, and the settings of their preparation."""

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
    """A recording on disk.

    ``part``: "train", "valid" or "test" in an official split. ``span``: (begin, end) in seconds of a longer file.
    ``fault``: reason to leave it out, if known beforehand.
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
    """Conversion of every recording. ``peak``: largest sample of each; ``trim``: cut silence at both ends, detected by
    energy or by silero-vad; ``loudness``: of each, in LUFS. A folder never mixes recordings of different settings.
    """

    sample_rate: int
    min_seconds: float = 0.5
    peak: float | None = None
    trim: Literal["energy", "vad"] | None = None
    loudness: float | None = None

    def __post_init__(self) -> None:
        if not audio.MIN_RATE <= self.sample_rate <= audio.MAX_RATE:
            raise UserError(
                f"The sample rate must be between {audio.MIN_RATE} and {audio.MAX_RATE} Hz, got {self.sample_rate}."
            )
        if self.loudness is not None and not -70 < self.loudness < 0:
            raise UserError(f"The loudness must be between -70 and 0 LUFS, such as -23; got {self.loudness:g}.")
        if self.loudness is not None and self.sample_rate < LOWEST_RATE:
            raise UserError(f"Loudness needs at least {LOWEST_RATE} Hz, got {self.sample_rate} Hz.")
        if self.trim == "vad":
            silence.require_silero()

    def to_json(self) -> str:
        """Non-default settings as JSON."""
        defaults, always = {f.name: f.default for f in fields(self)}, ("sample_rate", "min_seconds")
        return json.dumps({k: v for k, v in asdict(self).items() if k in always or v != defaults[k]})


def sources_in(folder: Path) -> list[Source]:
    """List the sound files below ``folder``; ids are relative paths, with a suffix only to tell two files apart."""
    paths = audio.find(folder)
    stems = [p.relative_to(folder).with_suffix("").as_posix() for p in paths]
    twins = {stem for stem, count in Counter(stems).items() if count > 1}
    ids = [f"{s}{p.suffix}" if s in twins else s for s, p in zip(stems, paths, strict=True)]
    return [Source(path, id) for path, id in zip(paths, ids, strict=True)]


def rates(paths: Sequence[Path]) -> Counter[int]:
    """Count sound files by sample rate, without unreadable ones, which the preparation reports."""

    def rate(path: Path) -> int | None:
        with suppress(UserError):
            return audio.probe(path).sample_rate

    with ThreadPoolExecutor() as pool:
        return Counter(hertz for hertz in pool.map(rate, paths) if hertz)
