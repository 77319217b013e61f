"""Corpus preparation: every source file becomes one checked mono 16-bit FLAC at one rate, then manifests.

What recipes share. A recipe's own ``prepare.py`` only says which files there are and who speaks in them.
"""

from __future__ import annotations

import argparse
import json
import os
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

import torch

from wavegan import audio, manifest
from wavegan.errors import UserError
from wavegan.manifest import Utterance
from wavegan.progress import Bar

SILENCE = 10 ** (-60 / 20)  # a file whose loudest sample is below -60 dB of full scale is silent


@dataclass(frozen=True)
class Source:
    """A recording as a recipe finds it on disk."""

    path: Path
    id: str
    speaker: str | None = None
    label: str | None = None
    text: str | None = None


@dataclass(frozen=True)
class Report:
    """What became of each source: ``kept`` utterances, and ``rejected`` as (path, reason)."""

    kept: list[Utterance]
    rejected: list[tuple[Path, str]]

    def __str__(self) -> str:
        hours = sum(u.seconds for u in self.kept) / 3600
        lines = [f"Kept {len(self.kept)} recordings, {hours:.2f} h; left out {len(self.rejected)}."]
        reasons: dict[str, list[Path]] = {}
        for path, reason in self.rejected:
            reasons.setdefault(reason.replace(str(path), "it"), []).append(path)
        for reason, paths in sorted(reasons.items()):
            shown = ", ".join(p.name for p in paths[:4]) + (", ..." if len(paths) > 4 else "")
            lines.append(f"  left out {len(paths)}: {reason} ({shown})")
        return printable("\n".join(lines))


def arguments(description: str | None, output: str) -> argparse.ArgumentParser:
    """The command line that every recipe's ``prepare.py`` has; each adds where its recordings come from."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path(output), help=f"folder to write (default: {output})")
    parser.add_argument("--num-workers", type=int, help="files at once (default: one a core)")
    return parser


def sources_in(folder: Path) -> list[Source]:
    """Every sound file below ``folder``; the id is its path, the suffix kept only where it tells two files apart."""
    paths = audio.find(folder)
    stems = [p.relative_to(folder).with_suffix("").as_posix() for p in paths]
    twins = {stem for stem, count in Counter(stems).items() if count > 1}
    ids = [f"{s}{p.suffix}" if s in twins else s for s, p in zip(stems, paths, strict=True)]
    return [Source(path, id) for path, id in zip(paths, ids, strict=True)]


def prepare(
    sources: Sequence[Source],
    output: Path,
    sample_rate: int,
    min_seconds: float = 0.5,
    peak: float | None = None,
    num_workers: int | None = None,
) -> Report:
    """Convert ``sources`` into ``output/audio`` and check each. Interrupted, it goes on where it stopped.

    With ``peak``, the largest sample of each becomes that: for clips that were recorded at different levels.

    A converted file carries the modification time of its source; where the two differ it is made again.

    Raises:
        UserError: two sources share an id, ``output`` was prepared otherwise, or nothing usable is left.
    """
    first: dict[str, Source] = {}
    for source in sources:
        if first.setdefault(source.id, source) is not source:
            raise UserError(f"{first[source.id].path} and {source.path} have the same id '{source.id}'.")
    if not audio.MIN_RATE <= sample_rate <= audio.MAX_RATE:
        raise UserError(f"A sample rate lies between {audio.MIN_RATE} and {audio.MAX_RATE} Hz, got {sample_rate}.")
    if num_workers is not None and num_workers < 1:
        raise UserError(f"The number of workers must be at least 1, got {num_workers}.")
    output.mkdir(parents=True, exist_ok=True)
    settings = {"sample_rate": sample_rate, "min_seconds": min_seconds} | ({} if peak is None else {"peak": peak})
    _same_settings(output / "settings.json", settings)
    outcomes: dict[str, Utterance | str] = {}
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # the pool is the parallelism
    pool = ThreadPoolExecutor(num_workers or os.cpu_count())
    try:
        jobs = {pool.submit(_convert, s, output / "audio", sample_rate, min_seconds, peak): s for s in sources}
        pending = set(jobs)
        with Bar("Preparing", len(sources)) as bar:
            while pending:
                finished, pending = wait(pending, return_when=FIRST_COMPLETED)
                outcomes |= {jobs[job].id: job.result() for job in finished}
                bar.update(len(outcomes))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
        torch.set_num_threads(threads)
    kept = [o for s in sources if isinstance(o := outcomes[s.id], Utterance)]
    rejected = [(s.path, o) for s in sources if isinstance(o := outcomes[s.id], str)]
    report = Report(kept, rejected)
    listed = "".join(f"{path}: {reason}\n" for path, reason in rejected)
    (output / "report.txt").write_text(printable(f"{report}\n{listed}"), encoding="utf-8")
    if not kept:
        raise UserError(f"None of {len(sources)} recordings can be used:\n{report}")
    return report


def printable(text: str) -> str:
    """``text`` with bytes of file names that are no UTF-8 spelt out."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")


def write_manifests(output: Path, parts: dict[str, list[Utterance]]) -> str:
    """Write ``output/NAME.jsonl`` for each part of a split, remove what an earlier split left; returns a summary."""
    for path in output.glob("*.jsonl"):
        if path.stem not in parts:
            path.unlink()
    for name, utterances in parts.items():
        manifest.write(output / f"{name}.jsonl", utterances)
    return f"{', '.join(f'{name} {len(part)}' for name, part in parts.items())} -> {output}"


def _convert(source: Source, folder: Path, sample_rate: int, min_seconds: float, peak: float | None) -> Utterance | str:
    """The utterance, or why there is none. A finished file from an earlier run is taken as it is."""
    target, waveform = folder / f"{source.id}.flac", None
    try:
        source.id.encode()
        modified = source.path.stat().st_mtime_ns
        if target.exists() and target.stat().st_mtime_ns == modified:
            num_samples = audio.probe(target).num_samples
        else:
            waveform, _ = audio.read(source.path, sample_rate)
            num_samples = len(waveform)
            if num_samples < min_seconds * sample_rate:
                return f"shorter than {min_seconds:g} s"
            if waveform.abs().max() < SILENCE:
                return "silent (nothing above -60 dB)"
            if peak is not None:
                waveform = waveform * (peak / waveform.abs().max())
    except UnicodeEncodeError:
        return "its name is not valid UTF-8: rename it"
    except FileNotFoundError:
        return "it is missing"
    except (UserError, OSError, RuntimeError, MemoryError) as error:
        return str(error)
    if waveform is not None:  # outside the try: a full disk is no fault of the recording
        target.parent.mkdir(parents=True, exist_ok=True)
        audio.write(target, waveform, sample_rate)
        os.utime(target, ns=(modified, modified))
    extra = {"speaker": source.speaker, "label": source.label, "text": source.text}
    return Utterance(id=source.id, path=target, sample_rate=sample_rate, num_samples=num_samples, **extra)


def _same_settings(path: Path, settings: dict) -> None:
    """Files from different settings must not mix in one folder."""
    text = json.dumps(settings)
    if not path.exists():
        path.write_text(text)
    elif (found := path.read_text()) != text:
        raise UserError(f"{path.parent} was prepared with {found}, now {text}. Choose another output folder.")
