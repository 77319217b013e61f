"""Clips out of noise as a set, beside the corpus: a table, metrics.json, and clips to listen to.

Rows are the real training and test clips and each model; every figure of every row is by the same judges, which are
trained on the training clips when they are first needed and kept beside the manifests.

Shapes: N clips, T samples, M mel bands, F frames, D features.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wavegan import audio, metrics
from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.core.errors import UserError
from wavegan.core.files import make_folder, write_json
from wavegan.core.progress import Bar
from wavegan.data import manifest
from wavegan.data.manifest import Utterance
from wavegan.data.segments import DataConfig, Segments
from wavegan.evaluation import classifiers
from wavegan.inference.synthesizer import Synthesizer
from wavegan.metrics.listener import Listener
from wavegan.models.classifier import Judge, JudgeConfig, Kind

SEED = 2024  # of the generated clips
HEARD = 300  # clips that pocketsphinx hears of each row
KEPT = 3  # clips of each label written to listen to
LONGEST_SECONDS = 4
COLUMNS = ("label", "speaker")


class Clips(NamedTuple):
    """``waveforms`` (N, 1, T); ``columns``: of each condition, the clips' places in the corpus's vocabulary, (N,)."""

    waveforms: Tensor
    columns: dict[str, Tensor]


class Corpus(NamedTuple):
    """Real clips, all brought to the same length, and the vocabulary of each column that every clip has."""

    train: Clips
    test: Clips
    words: dict[str, list[str]]
    features: LogMelConfig
    digest: str


def evaluate_sets(
    models: dict[str, Synthesizer], test: Path, output: Path, count: int = 2048, train: Path | None = None
) -> str:
    """Score ``count`` clips of each model, labels in turn, latents from one fixed seed; returns a table.

    Args:
        test: manifest of the real test clips; ``train``: of the training clips, by default train.jsonl beside it.

    Raises:
        UserError: models of another sample rate than the clips or with labels that these don't have, a manifest that
            can't be read, or fewer than two clips of a set.
    """
    train = train or test.parent / "train.jsonl"
    corpus = read_corpus(train, test, list(models.values()))
    for name, model in models.items():
        if model.sample_rate != corpus.features.sample_rate:
            raise UserError(f"{name} speaks at {model.sample_rate} Hz, the clips are at {corpus.features.sample_rate}.")
        generated_clips(model, 1, corpus)  # says at once if it can't
    make_folder(output)
    judges = corpus_judges(train.parent / "judges", corpus)
    rows, speeds = {"real train": corpus.train, "real test": corpus.test}, {}
    for name, model in models.items():
        start = time.perf_counter()
        rows[name] = generated_clips(model, count, corpus)
        speeds[name] = count * model.config.task.length / model.sample_rate / (time.perf_counter() - start)
    scores = score(rows, corpus, judges)
    for name, speed in speeds.items():
        scores[name]["times_real_time"] = speed
    for name, heard in heard_by_pocketsphinx({n: c for n, c in rows.items() if n != "real train"}, corpus).items():
        scores[name]["pocketsphinx"] = heard
    known = {name: one.config.accuracy for name, one in judges.items()}
    result = {"train": str(train), "test": str(test), "count": count, "judges": known, "scores": scores}
    write_json(output / "metrics.json", result)
    for name in models:
        write_clips(output / name, rows[name], corpus)
    shown = ", ".join(f"{name} {value:.3f}" for name, value in known.items())
    return f"{table(scores)}\n\nAccuracy of the judges on the real test clips: {shown}.\nListen: {output}"


def read_corpus(train: Path, test: Path, models: Sequence[Synthesizer]) -> Corpus:
    """Real clips, cut or padded to the length that 99 in 100 of the training clips don't exceed, and not beyond the
    models': the ends of clips, which these were never taught, would tell all of theirs from real ones.
    """
    features = models[0].features
    parts = [manifest.read(train), manifest.read(test)]
    if min(map(len, parts)) < 2:
        raise UserError(f"Two clips are the fewest to compare; {train} has {len(parts[0])}, {test} {len(parts[1])}.")
    words = {}
    for name in COLUMNS:
        if all(getattr(u, name) is not None for part in parts for u in part):
            words[name] = sorted({getattr(u, name) for u in parts[0]})
    usual = int(np.quantile([u.num_samples for u in parts[0]], 0.99))
    length = min(usual, max(model.config.task.length for model in models), LONGEST_SECONDS * features.sample_rate)
    clips = [_real_clips(part, words, length, features) for part in parts]
    return Corpus(*clips, words, features, _digest(clips))


def _digest(parts: Sequence[Clips]) -> str:
    """Of what judges hear: recordings may change under the same manifest."""
    sha = hashlib.sha256()
    for tensor in (t for clips in parts for t in (clips.waveforms, *clips.columns.values())):
        sha.update(tensor.numpy())
    return sha.hexdigest()[:32]


def _real_clips(
    utterances: Sequence[Utterance], words: dict[str, list[str]], length: int, features: LogMelConfig
) -> Clips:
    data = DataConfig(train=Path(), valid=Path(), segment_length=length, crop="start")
    segments = Segments(utterances, data, features, 0)
    waveforms = torch.stack([segments.clip(i) for i in range(len(utterances))])
    return Clips(waveforms, {name: _places([getattr(u, name) for u in utterances], own) for name, own in words.items()})


def _places(values: Sequence[str], words: list[str]) -> Tensor:
    if strange := sorted(set(values) - set(words)):
        raise UserError(f"The training clips have no '{strange[0]}'; there are: {', '.join(words)}.")
    return torch.tensor([words.index(value) for value in values])


def generated_clips(model: Synthesizer, count: int, corpus: Corpus, seed: int = SEED) -> Clips:
    """``count`` clips, every combination of the model's labels equally often, at the corpus's length."""
    names, rest = {}, torch.arange(count)
    for name, words in model.config.task.conditions.items():
        names[name], rest = [words[i] for i in (rest % len(words)).tolist()], rest // len(words)
    waveforms = torch.from_numpy(model.generate(names.get("label", count), speaker=names.get("speaker"), seed=seed))
    waveforms = F.pad(waveforms, (0, corpus.train.waveforms.shape[-1] - waveforms.shape[-1]))  # cuts if negative
    columns = {name: _places(own, corpus.words[name]) for name, own in names.items() if name in corpus.words}
    return Clips(waveforms[:, None], columns)


def corpus_judges(folder: Path, corpus: Corpus) -> dict[str, Judge]:
    """Two judges of each column, of different kinds, trained on the training clips or read from ``folder``."""
    judges = {}
    for column, words in corpus.words.items():
        if len(words) < 2:
            continue
        for seed, kind in enumerate(get_args(Kind)):
            length, rate = corpus.train.waveforms.shape[-1], corpus.features.sample_rate
            wanted = JudgeConfig(
                kind=kind, classes=words, sample_rate=rate, length=length, seed=seed, corpus=corpus.digest
            )
            judges[f"{column}-{kind}"] = _judge(folder / f"{column}-{kind}", wanted, column, corpus)
    return judges


def _judge(path: Path, wanted: JudgeConfig, column: str, corpus: Corpus) -> Judge:
    if path.with_suffix(".json").is_file():
        found = classifiers.load_judge(path)
        if found.config.model_copy(update={"accuracy": None}) == wanted:
            return found
    fresh = classifiers.fit(wanted, corpus.train.waveforms, corpus.train.columns[column])
    accuracy = classifiers.accuracy(fresh, corpus.test.waveforms, corpus.test.columns[column])
    fresh.config = wanted.model_copy(update={"accuracy": accuracy})
    classifiers.save_judge(path, fresh)
    return fresh


def score(rows: dict[str, Clips], corpus: Corpus, judges: dict[str, Judge]) -> dict[str, dict[str, float]]:
    """Set metrics of each row: accuracies by every judge, Frechet distances with 95 % intervals by those of the label;
    the others by the second, "image", judge of the label.
    """
    scores: dict[str, dict[str, float]] = {name: {} for name in rows}
    for name, one in judges.items():
        column, kind = name.split("-")
        heard = {row: one.hear(clips.waveforms) for row, clips in rows.items()}
        _, reference = heard["real train"]
        for row, (p, features) in heard.items():
            labels = rows[row].columns.get(column)
            if labels is not None:
                scores[row][f"{name}_accuracy"] = float((p.argmax(1) == labels).float().mean())
            if column == "label":
                scores[row][f"{name}_frechet"] = metrics.frechet_distance(reference, features)
                low, high = metrics.frechet_interval(reference, features)
                scores[row] |= {f"{name}_frechet_low": low, f"{name}_frechet_high": high}
            if (column, kind) == ("label", "image"):
                scores[row] |= _label_scores(p, features, reference, corpus.train.columns["label"], labels)
    train_mels = _log_mels(corpus.train.waveforms, corpus.features)
    for row, clips in rows.items():
        if clips is not corpus.train:
            mels = _log_mels(clips.waveforms, corpus.features)
            scores[row]["nearest"] = float(metrics.nearest_distance(mels, train_mels).median())
    return scores


def _label_scores(
    p: Tensor, features: Tensor, reference: Tensor, train_labels: Tensor, labels: Tensor | None
) -> dict[str, float]:
    """What a judge of the label says of one row's clips; ``reference``: its features of the training clips."""
    scores = {
        "inception": metrics.inception_score(p),
        "modified_inception": metrics.modified_inception_score(p),
        "am": metrics.am_score(p, torch.bincount(train_labels) / len(train_labels)),
        "different_bins": metrics.different_bins(reference, features),
    }
    return scores if labels is None else scores | {"diversity": metrics.intra_class_diversity(features, labels)}


def _log_mels(waveforms: Tensor, features: LogMelConfig) -> Tensor:
    log_mel = LogMel(features)
    return torch.cat([log_mel(part) for part in waveforms.split(256)])


def heard_by_pocketsphinx(rows: dict[str, Clips], corpus: Corpus) -> dict[str, float]:
    """Share of up to 300 clips of each row, evenly spaced, in which pocketsphinx hears the label.

    Nothing where it isn't installed or doesn't know the labels as words.
    """
    if "label" not in corpus.words:
        return {}
    try:
        listener = Listener(corpus.words["label"])
    except UserError as error:
        print(f"Without pocketsphinx: {error}")
        return {}
    shares = {}
    for name, clips in rows.items():
        if "label" not in clips.columns:
            continue
        chosen = torch.linspace(0, len(clips.waveforms) - 1, min(HEARD, len(clips.waveforms))).long().tolist()
        right = 0
        with Bar(f"pocketsphinx hears {name}", len(chosen)) as bar:
            for k, i in enumerate(chosen, start=1):
                heard = listener.hear(clips.waveforms[i, 0], corpus.features.sample_rate)
                right += heard == int(clips.columns["label"][i])
                bar.update(k)
        shares[name] = right / len(chosen)
    return shares


def write_clips(folder: Path, clips: Clips, corpus: Corpus) -> None:
    """The first few clips of each label."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = clips.columns.get("label", torch.zeros(len(clips.waveforms)))
    for k, word in enumerate(corpus.words["label"] if "label" in clips.columns else ["clip"]):
        for i, clip in enumerate(clips.waveforms[labels == k][:KEPT]):
            audio.write(folder / f"{word.replace('/', '-')}-{i}.wav", clip[0], corpus.features.sample_rate)


def table(scores: dict[str, dict[str, float]]) -> str:
    """One line a metric, one column a row of clips."""
    names = list(dict.fromkeys(key for row in scores.values() for key in row))
    width = max(map(len, names))
    lines = [" | ".join(["".ljust(width), *scores])]
    for name in names:
        cells = [(f"{row[name]:.4g}" if name in row else "-").rjust(len(head)) for head, row in scores.items()]
        lines.append(" | ".join([name.ljust(width), *cells]))
    return "\n".join(lines)
