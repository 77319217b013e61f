"""Corpus preparation: every source file becomes one checked mono 16-bit FLAC at one rate, then manifests.

What recipes share. A recipe's own ``prepare.py`` only says which files there are and who speaks in them.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Literal, TypeVar

import torch
from torch import Tensor

from wavegan import audio, levels, manifest, mapped, vad
from wavegan.converted import Converted, Origin
from wavegan.errors import UserError
from wavegan.files import write_atomically
from wavegan.manifest import Utterance
from wavegan.progress import Bar
from wavegan.report import Report, printable

Item = TypeVar("Item")
FORGOTTEN_SECONDS = 600  # after which a file that is not finished is taken for one that a kill left
LONGEST_NAME = 230  # bytes of a file's name: a system takes 255, and what is being written has a longer one


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
        if self.loudness is not None and self.sample_rate < levels.LOWEST_RATE:
            raise UserError(f"Loudness is measured from {levels.LOWEST_RATE} Hz on, got {self.sample_rate} Hz.")
        if self.trim == "vad":
            vad.check_installed()

    def spelt(self) -> str:
        """What of them is not as usual, as JSON."""
        usual, always = {f.name: f.default for f in fields(self)}, ("sample_rate", "min_seconds")
        return json.dumps({k: v for k, v in asdict(self).items() if k in always or v != usual[k]})


def limited(sources: Sequence[Item], limit: int | None) -> list[Item]:
    """``limit`` of the sources or utterances, evenly spread, or all of them.

    Raises:
        UserError: a limit below 1.
    """
    if limit is not None and limit < 1:
        raise UserError(f"--limit must be at least 1, got {limit}.")
    if limit is None or limit >= len(sources):
        return list(sources)
    return [sources[i * len(sources) // limit] for i in range(limit)]


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


def prepare(sources: Sequence[Source], output: Path, settings: Settings, num_workers: int | None = None) -> Report:
    """Convert ``sources`` into ``output/audio`` and check each. Interrupted, it goes on where it stopped:
    ``output/converted.log`` has what is done. What was made of another source, or is cut short, is made again.

    Raises:
        UserError: two sources share an id, ``output`` was prepared otherwise, or nothing usable is left.
    """
    first: dict[str, Source] = {}
    for source in sources:
        if first.setdefault(source.id, source) is not source:
            both = f"{first[source.id].path} and {source.path} have the same id '{source.id}'"
            raise UserError(f"{both}. Rename one, or take it out.")
    check_workers(num_workers)
    check_settings(output, settings)
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(output / "settings.json", settings.spelt().encode())
    for partial in (output / "audio").rglob(".*.partial"):
        with suppress(FileNotFoundError):  # another process has just finished it
            if time.time() - partial.stat().st_mtime > FORGOTTEN_SECONDS:
                partial.unlink()
    log = Converted(output / "converted.log")
    outcomes = _convert_all(sources, output / "audio", settings, log, num_workers or os.cpu_count())
    kept = [(o, rate) for s in sources for o, rate in [outcomes[s.id]] if isinstance(o, Utterance)]
    rejected = [(s.path, o) for s in sources for o, _ in [outcomes[s.id]] if isinstance(o, str)]
    report = Report([utterance for utterance, _ in kept], rejected, Counter(rate for _, rate in kept))
    listed = "".join(f"{path}: {reason.replace(str(path), 'it')}\n" for path, reason in rejected)
    write_atomically(output / "report.txt", printable(f"{report}\n{listed}").encode())
    if not kept:
        raise UserError(f"None of {len(sources)} recordings can be used:\n{report}")
    return report


Outcome = tuple[Utterance | str, int]  # the utterance, or why there is none; the rate that it was recorded at


def _convert_all(
    sources: Sequence[Source], folder: Path, settings: Settings, log: Converted, num_workers: int
) -> dict[str, Outcome]:
    """What became of each source, by id; many at once."""
    outcomes: dict[str, Outcome] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the pool is the parallelism
    pool = ThreadPoolExecutor(num_workers)
    try:
        jobs = {pool.submit(_convert, s, folder, settings, log): s for s in sources}
        with Bar("Preparing", len(sources)) as bar:
            for job in as_completed(jobs):
                outcomes[jobs[job].id] = job.result()
                bar.update(len(outcomes))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)
    return outcomes


def write_manifests(output: Path, parts: dict[str, list[Utterance]], memmap: bool = False) -> str:
    """Write ``output/NAME.jsonl`` for each part of a split, remove what an earlier split left; returns a summary.
    ``memmap``: what is trained with also in one file of samples.
    """
    for path in output.glob("*.jsonl"):
        if path.stem not in parts:
            path.unlink()
    for name, utterances in parts.items():
        manifest.write(output / f"{name}.jsonl", utterances)
    for name in ("train", "valid"):
        (mapped.write if memmap else mapped.remove)(output / f"{name}.jsonl")
    return f"{', '.join(f'{name} {len(part)}' for name, part in parts.items())} -> {output}"


def _convert(source: Source, folder: Path, settings: Settings, log: Converted) -> Outcome:
    """What becomes of one source. A finished file from an earlier run is taken as it is."""
    target, rate = folder / f"{source.id}.flac", 0
    if source.fault:
        return source.fault, rate
    if ".." in Path(source.id).parts or "\0" in source.id or not target.is_relative_to(folder):
        return f"its id '{source.id}' leads out of the folder", rate
    try:
        if any(len(part.encode()) > LONGEST_NAME for part in target.relative_to(folder).parts):
            return f"its name has more than {LONGEST_NAME - len('.flac')} bytes: shorten it", rate
        origin = Origin.of(source.path, source.span, log.folder)
        made = log.find(source.id, origin, target)
        if made is None:
            span = source.span
            waveform, rate = audio.read_span(source.path, *span) if span else audio.read(source.path)
            waveform = _condition(audio.resample(waveform, rate, settings.sample_rate), settings)
            if isinstance(waveform, str):
                return waveform, rate
    except UnicodeEncodeError:
        return "its name is not valid UTF-8: rename it", rate
    except FileNotFoundError:
        return "it is missing", rate
    except (UserError, OSError, RuntimeError, MemoryError) as error:
        return str(error), rate
    if made is None:  # outside the try: a full disk is no fault of the recording
        data = audio.encode(waveform, settings.sample_rate)
        made = log.write(source.id, origin, target, data, rate, len(waveform))
    size = {"sample_rate": settings.sample_rate, "num_samples": made.num_samples}
    extra = {"speaker": source.speaker, "label": source.label, "text": source.text}
    return Utterance(id=source.id, path=target, **size, **extra), made.rate


def _condition(waveform: Tensor, settings: Settings) -> Tensor | str:
    """The waveform as it is to be kept, or why it isn't."""
    if settings.trim and waveform.abs().max() >= audio.SILENCE:
        trim = vad.trim if settings.trim == "vad" else levels.trim
        waveform = trim(waveform, settings.sample_rate)
    if not len(waveform):
        return "no speech in it (silero-vad)"
    if len(waveform) < max(settings.min_seconds * settings.sample_rate, 1):
        return f"shorter than {settings.min_seconds:g} s"
    if waveform.abs().max() < audio.SILENCE:
        return "silent (nothing above -60 dB)"
    if settings.loudness is not None:
        waveform = levels.set_loudness(waveform, settings.sample_rate, settings.loudness)
    if settings.peak is not None:
        waveform = waveform * (settings.peak / waveform.abs().max())
    return waveform


def check_workers(num_workers: int | None) -> None:
    """Raises UserError: fewer than one."""
    if num_workers is not None and num_workers < 1:
        raise UserError(f"The number of workers must be at least 1, got {num_workers}.")


def check_settings(output: Path, settings: Settings) -> None:
    """Files from different settings must not mix in one folder; where there are none yet, anything goes.

    Raises:
        UserError: ``output`` was prepared otherwise.
    """
    path, text = output / "settings.json", settings.spelt()
    if not path.exists() or not any(output.glob("audio/**/*.flac")):
        return
    if (found := path.read_bytes().decode(errors="backslashreplace")) != text:
        raise UserError(
            f"{output} was prepared with {found}, now {text}. Choose another --output (wavegan recipe run: --data)."
        )
