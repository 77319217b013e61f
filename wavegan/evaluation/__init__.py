"""Evaluation of models, and of sounds made elsewhere, on a manifest or a folder of recordings.

Models of paired tasks, such as vocoders, are compared with the recordings file by file (``copies``); generated clips
are compared with the corpus as sets (``generated_sets``).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from wavegan import metrics
from wavegan.core.errors import UserError
from wavegan.evaluation.copies import evaluate_copies
from wavegan.evaluation.generated_sets import evaluate_sets
from wavegan.evaluation.systems import GRIFFIN_LIM, ORIGINAL, is_folder_of_sounds, load, short_name


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
    """Score systems; writes ``metrics.json``, and for copies a page and the stored scores; returns a table.

    Args:
        systems: models, checkpoint folders, folders of sounds, or "griffin-lim".
        reference: a manifest (.jsonl), or a folder of recordings, whose sub-folders are taken for speakers.
        output: the folder to write, by default runs/evaluate/ and the name of the reference.
        metric_names: see ``metrics.METRICS``, or "default", or "all".
        limit: number of recordings, evenly spaced.
        num_workers: number of processes; 1 is this one.
        sample_rate: of the comparison; by default the lowest of all recordings and copies.
        cutoff: of lsd_high, in Hz.
        count, train: for generated clips: their number, and the manifest of the training clips.

    Raises:
        UserError: a system, recording, metric or package is missing, systems can't be compared, or there is no copy of
            any recording.
    """
    names = [short_name(system) for system in systems]
    if twins := {name for name in names if names.count(name) > 1} | {ORIGINAL} & set(names):
        raise UserError(f"Two of the systems have the same name, '{min(twins)}'; rename one of the folders.")
    output = output or default_output(reference)
    models = {system: load(system) for system in systems if system != GRIFFIN_LIM and not is_folder_of_sounds(system)}
    unpaired = {short_name(name): model for name, model in models.items() if not model.config.task.paired}
    if not unpaired:
        if train is not None:
            raise UserError("--train is for models of the generation task; vocoders don't need it.")
        wanted = metrics.named(metric_names)
        return evaluate_copies(systems, reference, output, wanted, limit, num_workers, sample_rate, cutoff)
    if len(unpaired) < len(systems):
        raise UserError("Models of the generation task can't be compared with vocoders; evaluate them separately.")
    if list(metric_names) != ["default"] or reference.is_dir():
        raise UserError("Models of the generation task are compared as sets: give --manifest, and no --metrics.")
    if limit is not None or sample_rate is not None:
        raise UserError("--limit and --sample-rate are for vocoders; for generated clips, --count is their number.")
    return evaluate_sets(unpaired, reference, output, count, train)


def default_output(reference: Path) -> Path:
    """The folder of an evaluation without ``output``: runs/evaluate/ and the name of the reference."""
    place = reference.resolve()
    return Path("runs/evaluate", f"{place.parent.name}-{place.stem}")
