"""Copies of recordings: made, scored and stored file by file, in parallel; stored results are reused.

``scores.jsonl`` has a line for each processed file: the parts that it adds to each metric (see ``Metric``), under a key
of recording, copy and rate. A changed model or recording changes the key, a changed definition the metric's identity.
"""

from __future__ import annotations

import hashlib
import multiprocessing
from collections.abc import Iterator, Sequence
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
from wavegan.evaluation.systems import System
from wavegan.metrics import Metric, Sound, Undefined

Outcome = list[float] | str  # a file's parts, or the reason why the metric is undefined
ENDS_EARLY = "the output ends before the reference begins to sound"


class Request(NamedTuple):
    """Metrics to compute for a system's copy of an utterance, at ``path``. ``record``: the result without scores.

    ``maker``: the system and the copy's key, if the copy must be made first. Requests are pickled: they hold nothing
    else of a system.
    """

    record: dict[str, Any]
    metrics: list[str]
    path: Path
    maker: tuple[System, str] | None


class Job(NamedTuple):
    utterance: Utterance
    requests: list[Request]


class Store:
    """Stored scores and lengths by (system, id, key), and the key and digest of copies by (system, id).

    ``keys``: the current key of each (system, id).
    """

    def __init__(self, path: Path):
        self.keys: dict[tuple[str, str], str] = {}
        self.scores: dict[tuple[str, str, str], dict[str, Outcome]] = {}
        self.lengths: dict[tuple[str, str, str], tuple[int, int]] = {}
        self.copies: dict[tuple[str, str], tuple[str, str]] = {}
        self.log = JSONLines(path)
        for record in self.log.records:
            with suppress(ValueError, KeyError, TypeError):  # a foreign record: the file is scored again
                self._take(record)

    def add(self, record: dict[str, Any]) -> None:
        """Take a record and write it at once."""
        self._take(record)
        self.log.add(record)

    def outcome(self, system: str, id: str, metric: Metric) -> Outcome | None:
        return self.scores.get((system, id, self.keys.get((system, id), "")), {}).get(metric.identity)

    def lengths_of(self, system: str) -> dict[str, tuple[int, int]]:
        """Lengths of the recording and its copy, by id."""
        places = [(*place, key) for place, key in self.keys.items() if place[0] == system]
        return {place[1]: self.lengths[place] for place in places if place in self.lengths}

    def _take(self, record: dict[str, Any]) -> None:
        place = (record["system"], record["id"], record["key"])
        self.scores.setdefault(place, {}).update(record["scores"])
        self.lengths[place] = tuple(record["lengths"])
        if record["copy"]:
            self.copies[place[:2]] = tuple(record["copy"])


@dataclass(frozen=True)
class Scorer:
    """Processes jobs; every process has a copy of it. ``sample_rate``: of the comparison."""

    metrics: dict[str, Metric]
    sample_rate: int

    def __call__(self, job: Job) -> list[dict[str, Any]]:
        """A record for each request; with "problem" and without scores if a file can't be read or copied."""
        utterance = job.utterance
        try:
            waveform, rate = audio.read(utterance.path)
        except UserError as error:
            return [request.record | {"problem": str(error)} for request in job.requests]
        real = Sound(resample(waveform, rate, self.sample_rate), self.sample_rate, transcript(utterance))
        records = []
        for request in job.requests:
            record = dict(request.record)
            try:
                if request.maker:
                    system, key = request.maker
                    request.path.parent.mkdir(parents=True, exist_ok=True)
                    audio.write(request.path, *system.copy(waveform, rate))
                    record["copy"] = [key, files.digest(request.path)]
                # The 16-bit file is scored, as it is what users listen to.
                is_copy = request.path != utterance.path
                fake = Sound(*audio.read(request.path, self.sample_rate), real.text) if is_copy else real
            except UserError as error:
                records.append(record | {"problem": str(error)})
                continue
            record["lengths"] = [len(real.waveform), len(fake.waveform)]
            record["scores"] = self._scores(request, real, fake)
            records.append(record)
        return records

    def _scores(self, request: Request, real: Sound, fake: Sound) -> dict[str, Outcome]:
        pair = metrics.aligned(real, fake)
        ends_early = len(fake.waveform) and pair[0].silent and not real.silent
        scores: dict[str, Outcome] = {}
        for metric in map(self.metrics.__getitem__, request.metrics):
            try:
                if ends_early and metric.needs_reference:
                    raise Undefined(ENDS_EARLY)
                scores[metric.identity] = list(metric.update(*pair))
            except Undefined as reason:
                scores[metric.identity] = str(reason)
        return scores


def transcript(utterance: Utterance) -> str | None:
    """The text, or else the label."""
    return utterance.text or utterance.label


def score_all(
    systems: Sequence[System], utterances: Sequence[Utterance], scorer: Scorer, output: Path, num_workers: int
) -> tuple[Store, list[dict[str, Any]]]:
    """Process what isn't stored yet; returns the store, and the records of files that couldn't be read or copied."""
    store = Store(output / "scores.jsonl")
    jobs = [Job(utterance, _requests(utterance, systems, scorer, store, output)) for utterance in utterances]
    open_jobs = [job for job in jobs if job.requests]
    finished, problems = len(jobs) - len(open_jobs), []
    with Bar("Evaluating", len(jobs), start=finished) as bar:
        for done, records in enumerate(_process(scorer, open_jobs, num_workers), start=finished + 1):
            for record in records:
                if "problem" in record:
                    problems.append(record)
                else:
                    store.add(record)
            bar.update(done)
    return store, problems


def _requests(
    utterance: Utterance, systems: Sequence[System], scorer: Scorer, store: Store, output: Path
) -> list[Request]:
    """List what is missing for an utterance, and set its keys in the store."""
    recording = files.digest(utterance.path) if utterance.path.is_file() else "missing"
    requests = []
    for system in systems:
        system_key = system.key(utterance)
        if system_key is None:  # a folder without a copy
            continue
        place = (system.name, utterance.id)
        copy_key = _hash(system_key, recording)
        key = _hash(system_key, recording, str(scorer.sample_rate), transcript(utterance) or "")
        store.keys[place] = key
        applicable = filter(system.applies, scorer.metrics.values())
        missing = [metric.name for metric in applicable if store.outcome(*place, metric) is None]
        path = system.path(utterance, output)
        make = system.makes_files and not (path.is_file() and store.copies.get(place) == (copy_key, files.digest(path)))
        if missing or make:
            record = {"system": system.name, "id": utterance.id, "key": key}
            record |= {"copy": None, "lengths": [0, 0], "scores": {}}
            requests.append(Request(record, missing, path, (system, copy_key) if make else None))
    return requests


def _hash(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode("utf-8", "backslashreplace")).hexdigest()[:16]


def _process(scorer: Scorer, jobs: Sequence[Job], num_workers: int) -> Iterator[list[dict[str, Any]]]:
    """The records of each job, in any order."""
    count = min(num_workers, len(jobs))
    if count <= 1:
        yield from map(scorer, jobs)
        return
    pool = ProcessPoolExecutor(count, multiprocessing.get_context("spawn"), _start_worker, (scorer,))
    try:
        with ignore_interrupts():  # this process stops them, after their current file
            futures = [pool.submit(_score, job) for job in jobs]
        for future in as_completed(futures):
            yield future.result()
    except BrokenProcessPool:
        raise UserError(
            "A process died while scoring, perhaps out of memory. Results so far are kept: try again with "
            "--num-workers 1."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_worker_scorer: Scorer | None = None  # of this worker process: it keeps the networks of its metrics


def _start_worker(scorer: Scorer) -> None:
    global _worker_scorer
    _worker_scorer = scorer
    torch.set_num_threads(1)  # the pool is the parallelism


def _score(job: Job) -> list[dict[str, Any]]:
    return _worker_scorer(job)
