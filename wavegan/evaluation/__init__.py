"""Models, and sounds that others made, over a manifest or a folder of recordings: figures that can be compared.

Vocoders copy every recording, and copies are compared with it, file by file; models of the generation task are compared
with the corpus as sets (``sets``).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

from wavegan import audio, metrics
from wavegan.core import sequences
from wavegan.core.errors import UserError
from wavegan.core.files import make_folder, write_atomically, write_json
from wavegan.data import manifest, prepare
from wavegan.data.manifest import Utterance
from wavegan.data.source import sources_in
from wavegan.evaluation import page, scoring
from wavegan.evaluation.generated_sets import evaluate_sets
from wavegan.evaluation.summary import Results, listed
from wavegan.evaluation.systems import (
    GRIFFIN_LIM,
    ORIGINAL,
    Folder,
    GriffinLim,
    Model,
    Original,
    System,
    is_folder_of_sounds,
    load,
    short_name,
)

__all__ = ["evaluate"]

MOST_DIFFERENCE = 0.05  # seconds that a copy may be longer or shorter without being named


def evaluate(
    systems: Sequence[str],
    reference: Path,
    output: Path | None = None,
    metric_names: Sequence[str] = ("default",),
    limit: int | None = None,
    num_workers: int = 1,
    sample_rate: int | None = None,
    cutoff: float = 4000.0,
    count: int = 2048,
    train: Path | None = None,
) -> str:
    """Score systems; writes ``metrics.json``, a page and what it takes to go on, and returns a table.

    Args:
        systems: models, checkpoint folders, folders of sounds, or "griffin-lim".
        reference: a manifest (.jsonl), or a folder of recordings, whose sub-folders are taken for speakers.
        output: the folder to write, by default runs/evaluate/ and the name of the reference.
        metric_names: see ``metrics.METRICS``, or "default", or "all".
        limit: that many recordings, evenly spaced.
        num_workers: processes; with 1, everything is done in this one.
        sample_rate: of the comparison; by default the lowest rate of all recordings and copies.
        cutoff: of lsd_high, in Hz.
        count, train: of models of the generation task: how many clips, and the manifest of the training clips.

    Raises:
        UserError: a system, recording, metric or package that isn't there, systems that can't be compared, or no copy
            of any recording.
    """
    short = [short_name(system) for system in systems]
    if twins := {name for name in short if short.count(name) > 1} | {ORIGINAL} & set(short):
        raise UserError(f"Two of the systems have the same name, '{min(twins)}'; rename one of the folders.")
    place = reference.resolve()
    output = output or Path("runs/evaluate") / f"{place.parent.name}-{place.stem}"
    models = [s for s in systems if s != GRIFFIN_LIM and not is_folder_of_sounds(s)]
    tasks = {load(model).config.task.name for model in models}
    if "generation" in tasks:
        if len(tasks) > 1 or len(models) < len(systems):
            raise UserError("Models of the generation task do different things than vocoders; evaluate them apart.")
        if list(metric_names) != ["default"] or reference.is_dir():
            raise UserError("Models of the generation task are compared as sets: give --manifest, and no --metrics.")
        if limit is not None or sample_rate is not None:
            raise UserError("--limit and --sample-rate are for vocoders; of clips out of noise, --count says how many.")
        return evaluate_sets({short_name(m): load(m) for m in models}, reference, output, count, train)
    if train is not None:
        raise UserError("--train is for models of the generation task: vocoders are compared with the recordings only.")
    wanted = metrics.named(metric_names)
    metrics.build(wanted)  # says at once what isn't installed
    recordings, notes = _recordings(reference)
    utterances = sequences.limited(recordings, limit)
    chosen = _systems(systems, utterances)
    _refuse_mixing(chosen, recordings, reference, output)
    for system in chosen:
        if isinstance(system, Folder):
            notes += _unpaired(system, utterances, recordings)
    rate, more = _rate(chosen, utterances, sample_rate)
    options = metrics.Options(cutoff, *(scoring.heard_words(utterances) if "wer" in wanted else ()))
    make_folder(output)
    scorer, built = scoring.Scorer(options, rate), metrics.build(wanted, options)
    results = Results(str(reference), rate, utterances, built, notes=notes + more)
    _score(results, chosen, scorer, output, num_workers)
    write_json(output / "metrics.json", results.as_json())
    places = {s.name: {u.id: scoring.sound_path(s, u, output) for u in utterances} for s in chosen}
    write_atomically(output / "index.html", prepare.printable(page.page(results, places)).encode())
    return prepare.printable(f"{results.table()}\n\nListen: {output / 'index.html'}")


def _recordings(reference: Path) -> tuple[list[Utterance], list[str]]:
    """All recordings, and which files of a folder are none."""
    if not reference.is_dir():
        return manifest.read(reference), []
    utterances, notes = [], []
    for source in sources_in(reference):
        folder = Path(source.id).parent.as_posix()
        try:
            found = audio.probe(source.path)
        except UserError as error:
            notes.append(f"left out: {error}")
            continue
        beside = source.path.with_suffix(".txt")
        try:
            text = beside.read_text(encoding="utf-8-sig").strip() if beside.is_file() else None
        except ValueError:
            text = None
            notes.append(f"left out: {beside}, which is not UTF-8; as a transcript, save it as UTF-8.")
        speaker = folder if folder != "." else None
        utterances.append(Utterance(id=source.id, path=source.path, speaker=speaker, text=text, **found._asdict()))
    if not utterances:
        raise UserError(f"No file of {reference} can be read: {notes[0]}")
    return utterances, notes


def _systems(sources: Sequence[str], utterances: Sequence[Utterance]) -> list[System]:
    """The systems, in their order, after the recordings themselves."""
    systems: dict[str, System] = {}
    for source in sources:
        if source != GRIFFIN_LIM:
            systems[source] = Folder.of(source) if is_folder_of_sounds(source) else Model.of(source)
    if GRIFFIN_LIM in sources:
        features = next((load(one.source).features for one in systems.values() if isinstance(one, Model)), None)
        systems[GRIFFIN_LIM] = GriffinLim.of(features, min(u.sample_rate for u in utterances))
    return [Original(), *(systems[source] for source in sources)]


def _rate(systems: Sequence[System], utterances: Sequence[Utterance], sample_rate: int | None) -> tuple[int, list[str]]:
    """The rate of the comparison, and what is resampled to it."""
    rates = {system.name: system.rates(utterances) for system in systems}
    lowest = min(rate for found in rates.values() for rate in found)
    rate, why = (sample_rate, "as asked for") if sample_rate else (lowest, "the lowest rate of all")
    notes = []
    for name, found in rates.items():
        if others := sorted(found - {rate}):
            notes.append(f"{name}: {listed([f'{r} Hz' for r in others])} resampled to {rate} Hz, {why}.")
    if (band := min(lowest, rate)) < metrics.PESQ_RATE:
        notes.append(f"{band} Hz holds no more than narrow-band speech: compare PESQ and DNSMOS with such only.")
    return rate, notes


def _refuse_mixing(systems: Sequence[System], recordings: Sequence[Utterance], reference: Path, output: Path) -> None:
    """Raises UserError: copies would be written among the recordings."""
    if reference.is_dir() and output.resolve().is_relative_to(reference.resolve()):
        raise UserError(f"{output} lies in {reference}, where copies would be taken for recordings. Give another -o.")
    for folder in [(output / system.name).resolve() for system in systems if system.makes_files]:
        if any(u.path.resolve().is_relative_to(folder) for u in recordings):
            raise UserError(f"Recordings lie in {folder}, where copies would be written over them. Give another -o.")


def _unpaired(system: Folder, utterances: Sequence[Utterance], recordings: Sequence[Utterance]) -> list[str]:
    """Which utterances have no copy, and which files are of no recording.

    Raises:
        UserError: no utterance has one, or two recordings have the same.
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


def _score(results: Results, systems: Sequence[System], scorer: scoring.Scorer, output: Path, num_workers: int) -> None:
    """Fill the results."""
    utterances = results.utterances
    store, keys, problems = scoring.score_all(systems, utterances, results.metrics, scorer, output, num_workers)
    failed = {(record["system"], record["id"]) for record in problems} | {(ORIGINAL, u.id) for u in utterances}
    if failed >= keys.keys():
        raise UserError(f"Nothing could be scored: {problems[0]['problem']}")
    for (id, problem), records in itertools.groupby(problems, lambda record: (record["id"], record["problem"])):
        names = ", ".join(record["system"] for record in records)
        results.notes.append(f"{id} of {names} is left out: {problem}")
    for system in systems:
        for metric in results.metrics:
            if isinstance(system, Original) and metric.needs_reference:
                continue
            places = [(system.name, u.id) for u in utterances]
            outcomes = {p[1]: store.scores.get((*p, keys.get(p, "")), {}).get(metric.identity) for p in places}
            results.take(system.name, metric, outcomes)
        results.notes += _length_note(system.name, store, keys, results.sample_rate)
    results.notes += results.few_files_notes()


def _length_note(name: str, store: scoring.Store, keys: dict[tuple[str, str], str], rate: int) -> list[str]:
    places = [(*place, key) for place, key in keys.items() if place[0] == name]
    lengths = {place[1]: store.lengths[place] for place in places if place in store.lengths}
    differences = {id: abs(real - fake) / rate for id, (real, fake) in lengths.items() if real != fake}
    if not differences:
        return []
    far = [f"{id} ({differences[id]:.2f} s)" for id in differences if differences[id] > MOST_DIFFERENCE]
    return [
        f"{name}: {len(differences)} of {len(lengths)} are not as long as their recording, by at most "
        f"{1000 * max(differences.values()):.1f} ms; from the same beginning, both were cut to the shorter."
        + (f" Look at {listed(far, 20)}." if far else "")
    ]
