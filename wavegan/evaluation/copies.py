"""Evaluation of copies of recordings, by vocoders and others: scores, table, metrics.json and page."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from wavegan import audio, metrics
from wavegan.core import sequences
from wavegan.core.errors import UserError
from wavegan.core.files import make_folder, write_atomically, write_json
from wavegan.data import manifest
from wavegan.data.manifest import Utterance
from wavegan.data.preparation_report import printable
from wavegan.data.source import sources_in
from wavegan.evaluation import page
from wavegan.evaluation.formatting import listed
from wavegan.evaluation.scoring import Scorer, score_all, transcript
from wavegan.evaluation.summary import Results
from wavegan.evaluation.systems import ORIGINAL, Folder, System, open_systems

MAX_DIFFERENCE = 0.05  # seconds between a copy's length and its recording's without a warning


def evaluate_copies(
    sources: Sequence[str],
    reference: Path,
    output: Path,
    metric_names: Sequence[str],
    limit: int | None,
    num_workers: int,
    sample_rate: int | None,
    cutoff: float,
) -> str:
    """Score systems against recordings; arguments and errors as of ``evaluate``."""
    metrics.build(metric_names)  # reports missing packages first
    recordings, notes = read_recordings(reference)
    utterances = sequences.limited(recordings, limit)
    systems = open_systems(sources, min(u.sample_rate for u in utterances))
    _check_folders(systems, recordings, reference, output)
    for system in systems:
        if isinstance(system, Folder):
            notes += _pairing_notes(system, utterances, recordings)
    rate, rate_notes = _rate(systems, utterances, sample_rate)
    options = metrics.Options(cutoff, [transcript(utterance) or "" for utterance in utterances])
    chosen = metrics.build(metric_names, options)
    make_folder(output)
    results = Results(str(reference), rate, utterances, chosen, notes=notes + rate_notes)
    _score(results, systems, output, num_workers)
    write_json(output / "metrics.json", results.as_json())
    places = {system.name: {u.id: system.path(u, output) for u in utterances} for system in systems}
    write_atomically(output / "index.html", printable(page.page(results, places)).encode())
    return printable(f"{results.table()}\n\nListen: {output / 'index.html'}")


def read_recordings(reference: Path) -> tuple[list[Utterance], list[str]]:
    """Read a manifest, or a folder: its recordings, with notes on unreadable files."""
    if not reference.is_dir():
        return manifest.read(reference), []
    utterances, notes = [], []
    for source in sources_in(reference):
        try:
            header = audio.probe(source.path)
        except UserError as error:
            notes.append(f"left out: {error}")
            continue
        text, text_path = None, source.path.with_suffix(".txt")
        if text_path.is_file():
            try:
                text = text_path.read_text(encoding="utf-8-sig").strip()
            except ValueError:
                notes.append(f"left out: {text_path}, which is not UTF-8; as a transcript, save it as UTF-8.")
        folder = Path(source.id).parent.as_posix()
        speaker = folder if folder != "." else None
        utterances.append(Utterance(id=source.id, path=source.path, speaker=speaker, text=text, **header._asdict()))
    if not utterances:
        raise UserError(f"No file of {reference} can be read: {notes[0]}")
    return utterances, notes


def _rate(systems: Sequence[System], utterances: Sequence[Utterance], sample_rate: int | None) -> tuple[int, list[str]]:
    """The rate of the comparison, with notes on resampling."""
    rates = {system.name: system.rates(utterances) for system in systems}
    lowest = min(rate for by_system in rates.values() for rate in by_system)
    rate, reason = (sample_rate, "as asked for") if sample_rate else (lowest, "the lowest rate of all")
    notes = []
    for name, by_system in rates.items():
        if others := sorted(by_system - {rate}):
            notes.append(f"{name}: {listed([f'{r} Hz' for r in others])} resampled to {rate} Hz, {reason}.")
    if (band := min(lowest, rate)) < metrics.PESQ_RATE:
        notes.append(f"{band} Hz holds only narrow-band speech: its PESQ and DNSMOS aren't comparable with others.")
    return rate, notes


def _check_folders(systems: Sequence[System], recordings: Sequence[Utterance], reference: Path, output: Path) -> None:
    """Raise a UserError if copies would be written among the recordings."""
    if reference.is_dir() and output.resolve().is_relative_to(reference.resolve()):
        raise UserError(f"{output} is in {reference}, where copies would be taken for recordings. Give another -o.")
    for folder in [(output / system.name).resolve() for system in systems if system.makes_files]:
        if any(u.path.resolve().is_relative_to(folder) for u in recordings):
            raise UserError(f"Recordings are in {folder}, where copies would overwrite them. Give another -o.")


def _pairing_notes(system: Folder, utterances: Sequence[Utterance], recordings: Sequence[Utterance]) -> list[str]:
    """Notes on utterances without a copy, and on files without a recording.

    Raises:
        UserError: no utterance has a copy, or two recordings have the same.
    """
    owners: dict[Path, str] = {}
    for utterance in recordings:
        path = system.find(utterance)
        if path and owners.setdefault(path, utterance.id) != utterance.id:
            raise UserError(
                f"{path} has the name of {owners[path]} and of {utterance.id}. Name copies like the ids, folders too."
            )
    missing = [u.id for u in utterances if system.find(u) is None]
    surplus = [path.relative_to(system.folder).as_posix() for path in system.surplus(recordings)]
    if len(missing) == len(utterances):
        raise UserError(
            f"No file of {system.folder} ({listed(surplus)}) has the name of a recording ({listed(missing)}). "
            "Name copies like the ids of the manifest, or like the recordings."
        )
    notes = [f"{system.name} has no copy of {len(missing)}: {listed(missing, 20)}"] if missing else []
    return notes + ([f"{system.name} has {len(surplus)} of no recording: {listed(surplus, 20)}"] if surplus else [])


def _score(results: Results, systems: Sequence[System], output: Path, num_workers: int) -> None:
    """Score all copies and fill the results."""
    utterances = results.utterances
    scorer = Scorer({metric.name: metric for metric in results.metrics}, results.sample_rate)
    store, problems = score_all(systems, utterances, scorer, output, num_workers)
    failed = {(record["system"], record["id"]) for record in problems} | {(ORIGINAL, u.id) for u in utterances}
    if failed >= store.keys.keys():
        raise UserError(f"Nothing could be scored: {problems[0]['problem']}")
    for (id, problem), records in itertools.groupby(problems, lambda record: (record["id"], record["problem"])):
        names = ", ".join(record["system"] for record in records)
        results.notes.append(f"{id} of {names} is left out: {problem}")
    for system in systems:
        for metric in filter(system.applies, results.metrics):
            results.take(system.name, metric, {u.id: store.outcome(system.name, u.id, metric) for u in utterances})
        results.notes += _length_note(system.name, store.lengths_of(system.name), results.sample_rate)
    results.notes += results.few_files_notes()


def _length_note(name: str, lengths: dict[str, tuple[int, int]], rate: int) -> list[str]:
    differences = {id: abs(real - fake) / rate for id, (real, fake) in lengths.items() if real != fake}
    if not differences:
        return []
    far = [f"{id} ({differences[id]:.2f} s)" for id in differences if differences[id] > MAX_DIFFERENCE]
    return [
        f"{name}: {len(differences)} of {len(lengths)} are not as long as their recording, by at most "
        f"{1000 * max(differences.values()):.1f} ms; from the same beginning, both were cut to the shorter."
        + (f" Look at {listed(far, 20)}." if far else "")
    ]
