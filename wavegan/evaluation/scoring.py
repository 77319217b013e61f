"""Copies beside their recordings: made, scored and kept file by file, in parallel, and not again where they are there.

``scores.jsonl`` holds a line for each file that was worked on: the parts that it adds to each metric (see ``Metric``),
under a key of recording, copy and rate. A changed model, recording or definition has another key, or another name.
"""

from __future__ import annotations

import functools
import hashlib
import multiprocessing
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import torch

from wavegan import audio, metrics
from wavegan.audio.resample import resample
from wavegan.core import files
from wavegan.core.errors import UserError
from wavegan.core.jsonlines import JSONLines
from wavegan.core.processes import ignore_interrupts
from wavegan.core.progress import Bar
from wavegan.data.manifest import Utterance
from wavegan.evaluation.systems import Folder, Original, System
from wavegan.metrics import Metric, Options, Sound, Undefined

Outcome = list[float] | str  # a file's parts, or why the metric is undefined for it
ENDS_EARLY = "the output ends before the reference begins to sound"


class Task(NamedTuple):
    """What is to be done of one system for one utterance. ``path``: the copy; None: the recording itself.

    ``maker``: what makes the copy first, where there is none yet, and the copy's key. Nothing else of a system is here,
    as tasks go to other processes, each of them.
    """

    system: str
    key: str
    metrics: list[str]
    path: Path | None
    maker: tuple[System, str] | None


class Job(NamedTuple):
    utterance: Utterance
    tasks: list[Task]


class Store:
    """What is known of each (system, utterance): the scores and lengths under a key; the copy's key and digest."""

    def __init__(self, path: Path):
        self.scores: dict[tuple[str, str, str], dict[str, Outcome]] = {}
        self.lengths: dict[tuple[str, str, str], tuple[int, int]] = {}
        self.copies: dict[tuple[str, str], tuple[str, str]] = {}
        self.log = JSONLines(path)
        for record in self.log.records:
            with suppress(ValueError, KeyError, TypeError):  # not one of ours: it is done again
                self._take(record)

    def add(self, record: dict[str, Any]) -> None:
        """Take a record and write it at once."""
        self._take(record)
        self.log.add(record)

    def _take(self, record: dict[str, Any]) -> None:
        place = (record["system"], record["id"], record["key"])
        self.scores.setdefault(place, {}).update(record["scores"])
        self.lengths[place] = tuple(record["lengths"])
        if record["copy"]:
            self.copies[place[:2]] = tuple(record["copy"])


@dataclass(frozen=True)
class Scorer:
    """Does jobs; a copy of it works in each process. ``sample_rate``: of the comparison."""

    options: Options
    sample_rate: int

    def __call__(self, job: Job) -> list[dict[str, Any]]:
        """A record for each task; one with a "problem" and no scores where a file can't be read or copied."""
        utterance, records = job.utterance, []
        try:
            waveform, rate = audio.read(utterance.path)
        except UserError as error:
            return [_record(task, utterance) | {"problem": str(error)} for task in job.tasks]
        text = transcript(utterance)
        real = Sound(resample(waveform, rate, self.sample_rate), self.sample_rate, text)
        for task in job.tasks:
            record = _record(task, utterance)
            try:
                if task.maker:
                    system, key = task.maker
                    task.path.parent.mkdir(parents=True, exist_ok=True)
                    audio.write(task.path, *system.copy(waveform, rate))
                    record["copy"] = [key, files.digest(task.path)]
                # The copy as it is on the disk, 16-bit: what one hears is what is scored.
                fake = Sound(*audio.read(task.path, self.sample_rate), text) if task.path else real
            except UserError as error:
                records.append(record | {"problem": str(error)})
                continue
            record["lengths"] = [len(real.waveform), len(fake.waveform)]
            pair = metrics.aligned(real, fake)
            early = len(fake.waveform) and pair[0].silent and not real.silent
            for metric in _metrics(tuple(task.metrics), self.options):
                lost = early and metric.needs_reference
                record["scores"][metric.identity] = ENDS_EARLY if lost else _outcome(metric, *pair)
            records.append(record)
        return records


def _record(task: Task, utterance: Utterance) -> dict[str, Any]:
    names = {"system": task.system, "id": utterance.id, "key": task.key}
    return names | {"copy": None, "lengths": [0, 0], "scores": {}}


@functools.lru_cache(maxsize=64)
def _metrics(names: tuple[str, ...], options: Options) -> list[Metric]:
    """With their networks loaded once a process."""
    return metrics.build(names, options)


def _outcome(metric: Metric, real: Sound, fake: Sound) -> Outcome:
    try:
        return list(metric.update(real, fake))
    except Undefined as reason:
        return str(reason)


def transcript(utterance: Utterance) -> str | None:
    """What is said: the text, or else the label."""
    return utterance.text or utterance.label


def sound_path(system: System, utterance: Utterance, output: Path) -> Path:
    """Where a system's copy is; those made here are nested as the ids are, so that no two share a file."""
    if isinstance(system, Original):
        return utterance.path
    if isinstance(system, Folder):
        return system.find(utterance)
    return output / system.name / Path(*(p for p in Path(f"{utterance.id}.wav").parts if p not in ("/", "..")))


def score_all(
    systems: Sequence[System],
    utterances: Sequence[Utterance],
    wanted: Sequence[Metric],
    scorer: Scorer,
    output: Path,
    num_workers: int,
) -> tuple[Store, dict[tuple[str, str], str], list[dict[str, Any]]]:
    """Do what isn't done yet.

    Returns:
        All that is known; the key of each (system, id); and the records of what couldn't be read or copied.
    """
    store = Store(output / "scores.jsonl")
    keys: dict[tuple[str, str], str] = {}
    jobs = [Job(u, _tasks(u, systems, wanted, store, keys, scorer.sample_rate, output)) for u in utterances]
    open_jobs = [job for job in jobs if job.tasks]
    problems = []
    with Bar("Evaluating", len(jobs), start=len(jobs) - len(open_jobs)) as bar:
        for done, records in enumerate(_work(scorer, open_jobs, num_workers), start=1 + len(jobs) - len(open_jobs)):
            for record in records:
                if "problem" in record:
                    problems.append(record)
                else:
                    store.add(record)
            bar.update(done)
    return store, keys, problems


def _tasks(
    utterance: Utterance,
    systems: Sequence[System],
    wanted: Sequence[Metric],
    store: Store,
    keys: dict[tuple[str, str], str],
    sample_rate: int,
    output: Path,
) -> list[Task]:
    """What is missing of an utterance; notes the key of each system for it."""
    recording = files.digest(utterance.path) if utterance.path.is_file() else "missing"
    tasks = []
    for system in systems:
        own = system.key(utterance)
        if own is None:  # no file in a folder of copies
            continue
        place = (system.name, utterance.id)
        copy = _hash(own, recording)
        keys[place] = _hash(own, recording, str(sample_rate), transcript(utterance) or "")
        known = store.scores.get((*place, keys[place]), {})
        names = [m.name for m in wanted if m.identity not in known]
        path = sound_path(system, utterance, output)
        if isinstance(system, Original):
            names, path = [name for name in names if not metrics.METRICS[name].needs_reference], None
        make = system.makes_files and not (path.is_file() and store.copies.get(place) == (copy, files.digest(path)))
        if names or make:
            tasks.append(Task(system.name, keys[place], names, path, (system, copy) if make else None))
    return tasks


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _work(scorer: Scorer, jobs: Sequence[Job], num_workers: int) -> Iterator[list[dict[str, Any]]]:
    """The records of each job, in any order."""
    count = min(num_workers, len(jobs))
    if count <= 1:
        yield from map(scorer, jobs)
        return
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _start_worker)
    try:
        with ignore_interrupts():  # they are stopped from here, after the file that they are at
            futures = [pool.submit(scorer, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        raise UserError(
            "A process died while scoring, out of memory perhaps. What is done is kept: try again with --num-workers 1."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start_worker() -> None:
    torch.set_num_threads(1)  # the pool is the parallelism


def heard_words(utterances: Iterable[Utterance]) -> tuple[tuple[str, ...], bool]:
    """Every word of the transcripts, and whether each of them is one word."""
    said = [metrics.words(transcript(u) or "") for u in utterances]
    return tuple(sorted({word for one in said for word in one})), max(map(len, said), default=0) <= 1
