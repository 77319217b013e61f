"""Corpus preparation: every source file becomes one checked mono 16-bit FLAC at one rate, then manifests.

What recipes share. A recipe's own ``prepare.py`` only says which files there are and who speaks in them.
"""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from wavegan import audio
from wavegan.audio import loudness, silence
from wavegan.audio.resample import resample
from wavegan.core.errors import UserError
from wavegan.core.files import write_atomically
from wavegan.core.progress import Bar
from wavegan.data import manifest, memory_map
from wavegan.data.conversion_log import ConversionLog, Origin
from wavegan.data.manifest import Utterance
from wavegan.data.preparation_report import Report, printable
from wavegan.data.source import Settings, Source

FORGOTTEN_SECONDS = 600  # after which a file that is not finished is taken for one that a kill left
LONGEST_NAME = 230  # bytes of a file's name: a system takes 255, and what is being written has a longer one


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
    log = ConversionLog(output / "converted.log")
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
    sources: Sequence[Source], folder: Path, settings: Settings, log: ConversionLog, num_workers: int
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
        (memory_map.write if memmap else memory_map.remove)(output / f"{name}.jsonl")
    return f"{', '.join(f'{name} {len(part)}' for name, part in parts.items())} -> {output}"


def _convert(source: Source, folder: Path, settings: Settings, log: ConversionLog) -> Outcome:
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
            waveform = _condition(resample(waveform, rate, settings.sample_rate), settings)
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
