"""Clips out of noise as a set, beside the corpus: a table, metrics.json, and clips to listen to.

Rows are the real training and test clips and each model; every figure of every row is by the same judges, which are
trained on the training clips when they are first needed and kept beside the manifests.
"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from wavegan import audio, judge, manifest, metrics
from wavegan.data import DataConfig, Segments
from wavegan.errors import UserError
from wavegan.files import write_atomically
from wavegan.judge import Judge, JudgeConfig, Kind
from wavegan.manifest import Utterance
from wavegan.progress import Bar
from wavegan.synthesizer import Synthesizer
from wavegan.tasks import GenerationConfig

SEED = 2024  # of the generated clips
HEARD = 300  # clips that pocketsphinx hears of each row
KEPT = 3  # clips of each label written to listen to


class Clips:
    """A set of clips (N, 1, T) with the columns that a task conditions on, as (N,) places in their vocabularies."""

    def __init__(self, waveforms: Tensor, columns: dict[str, Tensor]):
        self.waveforms, self.columns = waveforms, columns


def evaluate_sets(
    models: dict[str, Synthesizer], test: Path, output: Path, count: int = 2048, train: Path | None = None
) -> str:
    """Score ``count`` clips of each model, labels in turn, latents from one fixed seed; returns a table.

    Args:
        test: manifest of the real test clips; ``train``: of the training clips, by default train.jsonl beside it.

    Raises:
        UserError: models of different vocabularies or rates, or a manifest that can't be read.
    """
    train = train or test.parent / "train.jsonl"
    first = next(iter(models.values()))
    task = first.config.task
    for name, model in models.items():
        if (model.config.task.conditions, model.sample_rate) != (task.conditions, task.features.sample_rate):
            raise UserError(f"{name} has other labels or another sample rate than {next(iter(models))}.")
    parts = {"train": manifest.read(train), "test": manifest.read(test)}
    rows = {f"real {name}": real_clips(part, task) for name, part in parts.items()}
    judges = corpus_judges(train.parent / "judges", rows["real train"], rows["real test"], task)
    speeds = {}
    for name, model in models.items():
        rows[name], speeds[name] = generated_clips(model, count)
    scores = {name: score(clips, rows, judges, task) for name, clips in rows.items()}
    for name, speed in speeds.items():
        scores[name]["times_real_time"] = speed
    if "label" in task.conditions and metrics.installed("pocketsphinx"):
        for name in [n for n in rows if n != "real train"]:
            scores[name]["pocketsphinx"] = heard_by_pocketsphinx(rows[name], task, name)
    output.mkdir(parents=True, exist_ok=True)
    known = {name: one.config.accuracy for name, one in judges.items()}
    result = {"train": str(train), "test": str(test), "count": count, "judges": known, "scores": scores}
    write_atomically(output / "metrics.json", json.dumps(result, indent=1).encode())
    for name in models:
        write_clips(output / name, rows[name], task)
    shown = ", ".join(f"{name} {value:.3f}" for name, value in known.items())
    return f"{table(scores)}\n\nAccuracy of the judges on the real test clips: {shown}.\nListen: {output}"


def real_clips(utterances: Sequence[Utterance], task: GenerationConfig) -> Clips:
    """Recordings as the generator was shown them: cut or padded to its length."""
    data = DataConfig(train=Path(), valid=Path(), segment_length=task.length, crop="start")
    segments = Segments(utterances, data, task.features, 0)
    labels = {name: task.index(name, [getattr(u, name) for u in utterances]) for name in task.conditions}
    return Clips(torch.stack([segments.clip(i) for i in range(len(utterances))]), labels)


def generated_clips(model: Synthesizer, count: int, seed: int = SEED) -> tuple[Clips, float]:
    """``count`` clips, every combination of labels equally often, and how many times real time they took."""
    task = model.config.task
    places, rest = {}, torch.arange(count)
    for name, words in task.conditions.items():
        places[name], rest = rest % len(words), rest // len(words)
    names = {name: [task.conditions[name][i] for i in own.tolist()] for name, own in places.items()}
    model.generate(names["label"][:1] if "label" in names else 1, speaker=(names.get("speaker") or [None])[0])
    start = time.perf_counter()
    waveforms = model.generate(names.get("label", count), speaker=names.get("speaker"), seed=seed)
    elapsed = time.perf_counter() - start
    seconds = waveforms.size / model.sample_rate
    return Clips(torch.from_numpy(waveforms)[:, None], places), seconds / elapsed


def corpus_judges(folder: Path, train: Clips, test: Clips, task: GenerationConfig) -> dict[str, Judge]:
    """Two judges for each condition, of different kinds, trained on the training clips or read from ``folder``."""
    judges = {}
    for condition, words in task.conditions.items():
        for seed, kind in enumerate(Kind.__args__):
            name = f"{condition}-{kind}"
            wanted = JudgeConfig(
                kind=kind, classes=words, sample_rate=task.features.sample_rate, length=task.length, seed=seed
            )
            path = folder / name
            if path.with_suffix(".json").is_file():
                judges[name] = judge.load_judge(path)
                if judges[name].config.model_copy(update={"accuracy": None}) == wanted:
                    continue
            one = judge.fit(wanted, train.waveforms, train.columns[condition])
            accuracy = judge.accuracy(one, test.waveforms, test.columns[condition])
            one.config = wanted.model_copy(update={"accuracy": accuracy})
            judge.save_judge(path, one)
            judges[name] = one
    return judges


def score(clips: Clips, rows: dict[str, Clips], judges: dict[str, Judge], task: GenerationConfig) -> dict[str, float]:
    """Set metrics of one row. Fréchet distance, scores and bins by the second judge of the label."""
    scores = {}
    train = rows["real train"]
    for name, one in judges.items():
        condition = name.split("-")[0]
        scores[f"{name}_accuracy"] = judge.accuracy(one, clips.waveforms, clips.columns[condition])
    for name in [n for n in judges if n.startswith("label")]:
        (p, features), (_, reference) = judges[name].hear(clips.waveforms), judges[name].hear(train.waveforms)
        scores[f"{name}_frechet"] = metrics.frechet_distance(reference, features)
    if "label" in task.conditions:
        shares = torch.bincount(train.columns["label"], minlength=p.shape[1]) / len(train.waveforms)
        scores["inception"] = metrics.inception_score(p)
        scores["modified_inception"] = metrics.modified_inception_score(p)
        scores["am"] = metrics.am_score(p, shares)
        scores["different_bins"] = metrics.different_bins(reference, features)
        scores["diversity"] = metrics.intra_class_diversity(features, clips.columns["label"])
    if clips is not train:
        log_mel = task.build().log_mel
        mels = [log_mel(c.waveforms[:2048]) if c is clips else log_mel(c.waveforms) for c in (clips, train)]
        scores["nearest"] = float(metrics.nearest_distance(*mels).median())
    return scores


def heard_by_pocketsphinx(clips: Clips, task: GenerationConfig, name: str) -> float:
    """Share of up to 300 clips, evenly spaced, in which pocketsphinx hears the label."""
    listener = judge.Listener(task.conditions["label"])
    count = min(HEARD, len(clips.waveforms))
    right = 0
    with Bar(f"pocketsphinx hears {name}", count) as bar:
        for k in range(count):
            i = k * len(clips.waveforms) // count
            right += listener.hear(clips.waveforms[i, 0], task.features.sample_rate) == int(clips.columns["label"][i])
            bar.update(k + 1)
    return right / count


def write_clips(folder: Path, clips: Clips, task: GenerationConfig) -> None:
    """The first few clips of each label."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, word in enumerate(task.conditions.get("label", ["clip"])):
        own = clips.waveforms[clips.columns["label"] == k] if "label" in clips.columns else clips.waveforms
        for i, clip in enumerate(own[:KEPT]):
            audio.write(folder / f"{word.replace('/', '-')}-{i}.wav", clip[0], task.features.sample_rate)


def table(scores: dict[str, dict[str, float]]) -> str:
    """One line a metric, one column a row of clips."""
    names = list(dict.fromkeys(key for row in scores.values() for key in row))
    width = max(map(len, names))
    lines = [" | ".join(["".ljust(width), *scores])]
    for name in names:
        cells = [(f"{row[name]:.4g}" if name in row else "-").rjust(len(head)) for head, row in scores.items()]
        lines.append(" | ".join([name.ljust(width), *cells]))
    return "\n".join(lines)
