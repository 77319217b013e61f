"""Corpus preparation: every recording becomes a checked mono 16-bit FLAC at one sample rate, listed in manifests."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path

from torch import Tensor

from wavegan import audio
from wavegan.audio import loudness, silence
from wavegan.audio.resample import resample
from wavegan.core.errors import UserError
from wavegan.core.files import write_atomically
from wavegan.core.progress import Bar
from wavegan.data import manifest, memory_map
from wavegan.data.conversion_log import ConversionLog, Origin
from wavegan.data.executors import EXECUTORS
from wavegan.data.manifest import Utterance
from wavegan.data.preparation_report import Report, printable
from wavegan.data.source import Settings, Source

STALE_SECONDS = 600  # older partial files are left from an interrupted run
LONGEST_NAME = 230  # bytes of a file name: the limit is 255, and partial files have longer names

Outcome = tuple[Utterance | str, int]  # the utterance or the reason why there is none; the original sample rate


def prepare(
    sources: Sequence[Source],
    output: Path,
    settings: Settings,
    num_workers: int | None = None,
    executor: str = "threads",
) -> Report:
    """Convert ``sources`` into ``output/audio`` and check each.

    An interrupted preparation resumes from ``output/converted.log``; files of changed sources and truncated files are
    converted again. ``executor``: a name in ``EXECUTORS``.

    Raises:
        UserError: two sources share an id, ``output`` has other settings, or no usable recording is left.
    """
    first: dict[str, Source] = {}
    for source in sources:
        if first.setdefault(source.id, source) is not source:
            both = f"{first[source.id].path} and {source.path} have the same id '{source.id}'"
            raise UserError(f"{both}. Rename one, or take it out.")
    check_workers(num_workers)
    check_settings(output, settings)
    if executor not in EXECUTORS:
        raise UserError(f"No executor '{executor}'. There are: {', '.join(EXECUTORS)}.")
    output.mkdir(parents=True, exist_ok=True)
    write_atomically(output / "settings.json", settings.to_json().encode())
    _remove_stale(output / "audio")
    outcomes: dict[str, Outcome] = {}
    jobs = EXECUTORS[executor](Converter(output, settings), sources, num_workers or os.cpu_count())
    with closing(jobs), Bar("Preparing", len(sources)) as bar:
        for source, outcome in jobs:
            outcomes[source.id] = outcome
            bar.update(len(outcomes))
    return _report(output, sources, outcomes)


def _remove_stale(folder: Path) -> None:
    for partial in folder.rglob(".*.partial"):
        with suppress(FileNotFoundError):  # another process has just finished it
            if time.time() - partial.stat().st_mtime > STALE_SECONDS:
                partial.unlink()


def _report(output: Path, sources: Sequence[Source], outcomes: dict[str, Outcome]) -> Report:
    kept = [(o, rate) for s in sources for o, rate in [outcomes[s.id]] if isinstance(o, Utterance)]
    rejected = [(s.path, o) for s in sources for o, _ in [outcomes[s.id]] if isinstance(o, str)]
    report = Report([utterance for utterance, _ in kept], rejected, Counter(rate for _, rate in kept))
    listed = "".join(f"{path}: {reason.replace(str(path), 'it')}\n" for path, reason in rejected)
    write_atomically(output / "report.txt", printable(f"{report}\n{listed}").encode())
    if not kept:
        raise UserError(f"None of {len(sources)} recordings can be used:\n{report}")
    return report


class Converter:
    """Converts one source at a time into ``output/audio``; files that the log lists as finished are kept."""

    def __init__(self, output: Path, settings: Settings):
        self.output, self.settings = output, settings
        self.folder, self.log = output / "audio", ConversionLog(output / "converted.log")

    def __reduce__(self) -> tuple:  # a copy in another process opens the log for itself
        return Converter, (self.output, self.settings)

    def __call__(self, source: Source) -> Outcome:
        settings, target, rate = self.settings, self.folder / f"{source.id}.flac", 0
        try:
            if fault := source.fault or self._name_fault(source.id, target):
                return fault, rate
            origin = Origin.of(source.path, source.span, self.log.folder)
            made = self.log.find(source.id, origin, target)
            if made is None:
                span = source.span
                waveform, rate = audio.read_span(source.path, *span) if span else audio.read(source.path)
                waveform = _condition(resample(waveform, rate, settings.sample_rate), settings)
                if isinstance(waveform, str):
                    return waveform, rate
        except UnicodeEncodeError:
            return "its name is not valid UTF-8: rename it", rate
        except FileNotFoundError:
            return "it is missing", rate
        except (UserError, OSError, RuntimeError, MemoryError) as error:
            return str(error), rate
        if made is None:  # outside the try block: a full disk isn't a fault of the recording
            data = audio.encode(waveform, settings.sample_rate)
            made = self.log.write(source.id, origin, target, data, rate, len(waveform))
        size = {"sample_rate": settings.sample_rate, "num_samples": made.num_samples}
        extra = {"speaker": source.speaker, "label": source.label, "text": source.text}
        return Utterance(id=source.id, path=target, **size, **extra), made.rate

    def _name_fault(self, id: str, target: Path) -> str | None:
        if ".." in Path(id).parts or "\0" in id or not target.is_relative_to(self.folder):
            return f"its id '{id}' leads out of the folder"
        if any(len(part.encode()) > LONGEST_NAME for part in target.relative_to(self.folder).parts):
            return f"its name has more than {LONGEST_NAME - len('.flac')} bytes: shorten it"
        return None


def _condition(waveform: Tensor, settings: Settings) -> Tensor | str:
    """Trim and scale a waveform, or return the reason to reject it."""
    if settings.trim and waveform.abs().max() >= audio.SILENCE:
        trim = silence.trim_by_speech if settings.trim == "vad" else silence.trim_by_energy
        waveform = trim(waveform, settings.sample_rate)
    if not len(waveform):
        return "no speech in it (silero-vad)"
    if len(waveform) < max(settings.min_seconds * settings.sample_rate, 1):
        return f"shorter than {settings.min_seconds:g} s"
    if waveform.abs().max() < audio.SILENCE:
        return "silent (nothing above -60 dB)"
    if settings.loudness is not None:
        waveform = loudness.set_loudness(waveform, settings.sample_rate, settings.loudness)
    if settings.peak is not None:
        waveform = waveform * (settings.peak / waveform.abs().max())
    return waveform


def write_manifests(output: Path, parts: dict[str, list[Utterance]], memmap: bool = False) -> str:
    """Write ``output/NAME.jsonl`` for each part of a split and remove those of an earlier split; returns a summary.

    ``memmap``: write memory-mapped samples of the training and validation parts as well.
    """
    for path in output.glob("*.jsonl"):
        if path.stem not in parts:
            path.unlink()
    for name, utterances in parts.items():
        manifest.write(output / f"{name}.jsonl", utterances)
    for name in ("train", "valid"):
        (memory_map.write if memmap else memory_map.remove)(output / f"{name}.jsonl")
    return f"{', '.join(f'{name} {len(part)}' for name, part in parts.items())} -> {output}"


def check_workers(num_workers: int | None) -> None:
    """Raise UserError for fewer than one worker."""
    if num_workers is not None and num_workers < 1:
        raise UserError(f"The number of workers must be at least 1, got {num_workers}.")


def check_settings(output: Path, settings: Settings) -> None:
    """Raise UserError if ``output`` has recordings of other settings."""
    path, text = output / "settings.json", settings.to_json()
    if not path.exists() or not any(output.glob("audio/**/*.flac")):
        return
    if (earlier := path.read_bytes().decode(errors="backslashreplace")) != text:
        raise UserError(
            f"{output} was prepared with {earlier}, now {text}. Choose another --output (wavegan recipe run: --data)."
        )
