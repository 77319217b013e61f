"""Evaluation of generated clips as sets, beside the corpus: a table, metrics.json, and clips to listen to.

Rows are the real training and test clips and each model. All are scored by the same classifiers, which are trained on
the training clips when first needed and stored beside the manifests, in the folder "judges".

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
from wavegan.evaluation.formatting import columns
from wavegan.inference.synthesizer import Synthesizer
from wavegan.metrics.recognizer import Recognizer, spoken
from wavegan.models.classifier import Classifier, ClassifierConfig, Kind

SEED = 2024  # of the generated clips
RECOGNIZED = 300  # clips of each row for pocketsphinx
WRITTEN = 3  # clips of each label to listen to
LONGEST_SECONDS = 4
CONDITIONS = ("label", "speaker")
TRAIN, TEST = "real train", "real test"
Scores = dict[str, dict[str, float]]  # of each row


class Clips(NamedTuple):
    """``waveforms`` (N, 1, T); ``labels``: by condition, positions in the corpus's vocabulary, (N,)."""

    waveforms: Tensor
    labels: dict[str, Tensor]


class Corpus(NamedTuple):
    """Real clips of equal length; ``vocabularies``: of the conditions that every clip has."""

    train: Clips
    test: Clips
    vocabularies: dict[str, list[str]]
    features: LogMelConfig
    digest: str


def evaluate_sets(
    models: dict[str, Synthesizer], test: Path, output: Path, count: int = 2048, train: Path | None = None
) -> str:
    """Score ``count`` clips of each model, labels in turn, latents from a fixed seed; returns a table.

    Args:
        test, train: manifests of the real clips; ``train`` is train.jsonl beside ``test`` by default.

    Raises:
        UserError: models of another sample rate than the clips or with labels that these don't have, a manifest that
            can't be read, or fewer than two clips of a set.
    """
    train = train or test.parent / "train.jsonl"
    corpus = read_corpus(train, test, list(models.values()))
    for name, model in models.items():
        if model.sample_rate != corpus.features.sample_rate:
            raise UserError(f"{name} is of {model.sample_rate} Hz, the clips of {corpus.features.sample_rate} Hz.")
        generated_clips(model, 1, corpus)  # reports errors before the long computation
    make_folder(output)
    trained = corpus_classifiers(train.parent / "judges", corpus)
    rows, speeds = {TRAIN: corpus.train, TEST: corpus.test}, {}
    for name, model in models.items():
        start = time.perf_counter()
        rows[name] = generated_clips(model, count, corpus)
        seconds = count * model.config.task.clip_length / model.sample_rate
        speeds[name] = seconds / (time.perf_counter() - start)
    scores = score(rows, corpus, trained)
    for name in models:
        scores[name]["times_real_time"] = speeds[name]
        write_clips(output / name, rows[name], corpus)
    for name, accuracy in pocketsphinx_accuracies(rows, corpus).items():
        scores[name]["pocketsphinx"] = accuracy
    accuracies = {name: classifier.config.accuracy for name, classifier in trained.items()}
    results = {"train": str(train), "test": str(test), "count": count, "judges": accuracies, "scores": scores}
    write_json(output / "metrics.json", results)
    shown = ", ".join(f"{name} {value:.3f}" for name, value in accuracies.items())
    return f"{table(scores)}\n\nAccuracy of the classifiers on the real test clips: {shown}.\nListen: {output}"


def read_corpus(train: Path, test: Path, models: Sequence[Synthesizer]) -> Corpus:
    """Read real clips, cut or padded to the 99th percentile of the training clips, at most to the models' length:
    beyond it, the ends of real clips would distinguish them from all generated ones.
    """
    features = models[0].features
    sets = [manifest.read(train), manifest.read(test)]
    if min(map(len, sets)) < 2:
        raise UserError(f"Each set needs at least two clips; {train} has {len(sets[0])}, {test} {len(sets[1])}.")
    vocabularies = {}
    for condition in CONDITIONS:
        if all(getattr(u, condition) is not None for utterances in sets for u in utterances):
            vocabularies[condition] = sorted({getattr(u, condition) for u in sets[0]})
    usual = int(np.quantile([u.num_samples for u in sets[0]], 0.99))
    longest = max(model.config.task.clip_length for model in models)
    length = min(usual, longest, LONGEST_SECONDS * features.sample_rate)
    clips = [_real_clips(utterances, vocabularies, length, features) for utterances in sets]
    sha = hashlib.sha256()  # recordings may change under the same manifest
    for tensor in (t for part in clips for t in (part.waveforms, *part.labels.values())):
        sha.update(tensor.numpy())
    return Corpus(*clips, vocabularies, features, sha.hexdigest()[:32])


def _real_clips(
    utterances: Sequence[Utterance], vocabularies: dict[str, list[str]], length: int, features: LogMelConfig
) -> Clips:
    data = DataConfig(train=Path(), valid=Path(), segment_length=length, crop="start")
    segments = Segments(utterances, data, features, 0)
    waveforms = torch.stack([segments.clip(i) for i in range(len(utterances))])
    labels = {name: _indices([getattr(u, name) for u in utterances], words) for name, words in vocabularies.items()}
    return Clips(waveforms, labels)


def _indices(values: Sequence[str], vocabulary: list[str]) -> Tensor:
    if unknown := sorted(set(values) - set(vocabulary)):
        raise UserError(f"The training clips have no '{unknown[0]}'; there are: {', '.join(vocabulary)}.")
    return torch.tensor([vocabulary.index(value) for value in values])


def generated_clips(model: Synthesizer, count: int, corpus: Corpus, seed: int = SEED) -> Clips:
    """Generate ``count`` clips, all combinations of the model's labels equally often, at the corpus's length."""
    values, rest = {}, torch.arange(count)
    for name, words in model.config.task.vocabularies.items():
        values[name], rest = [words[i] for i in (rest % len(words)).tolist()], rest // len(words)
    waveforms = torch.from_numpy(model.generate(values.get("label", count), speaker=values.get("speaker"), seed=seed))
    waveforms = F.pad(waveforms, (0, corpus.train.waveforms.shape[-1] - waveforms.shape[-1]))  # cuts if negative
    vocabularies = corpus.vocabularies
    labels = {name: _indices(values[name], vocabularies[name]) for name in values if name in vocabularies}
    return Clips(waveforms[:, None], labels)


def corpus_classifiers(folder: Path, corpus: Corpus) -> dict[str, Classifier]:
    """A classifier of each kind for each condition, trained on the training clips or read from ``folder``."""
    trained = {}
    length, rate = corpus.train.waveforms.shape[-1], corpus.features.sample_rate
    common = {"sample_rate": rate, "length": length, "corpus": corpus.digest}
    for condition, words in corpus.vocabularies.items():
        for seed, kind in enumerate(get_args(Kind) if len(words) > 1 else ()):
            config, name = ClassifierConfig(kind=kind, classes=words, seed=seed, **common), f"{condition}-{kind}"
            trained[name] = _classifier(folder / name, config, condition, corpus)
    return trained


def _classifier(path: Path, config: ClassifierConfig, condition: str, corpus: Corpus) -> Classifier:
    if path.with_suffix(".json").is_file():
        stored = classifiers.load(path)
        if stored.config.model_copy(update={"accuracy": None}) == config:
            return stored
    trained = classifiers.fit(config, corpus.train.waveforms, corpus.train.labels[condition])
    accuracy = classifiers.accuracy(trained, corpus.test.waveforms, corpus.test.labels[condition])
    trained.config = config.model_copy(update={"accuracy": accuracy})
    classifiers.save(path, trained)
    return trained


def score(rows: dict[str, Clips], corpus: Corpus, trained: dict[str, Classifier]) -> Scores:
    """Set metrics of each row: accuracies by every classifier, Frechet distances with 95 % intervals by those of the
    label, the others by the "image" classifier of the label.
    """
    scores: Scores = {row: {} for row in rows}
    for name, classifier in trained.items():
        condition = name.split("-")[0]
        outputs = {row: classifier.predict(clips.waveforms) for row, clips in rows.items()}
        _, reference = outputs[TRAIN]
        for row, (p, features) in outputs.items():
            labels = rows[row].labels.get(condition)
            if labels is not None:
                scores[row][f"{name}_accuracy"] = float((p.argmax(1) == labels).float().mean())
            if condition == "label":
                scores[row][f"{name}_frechet"] = metrics.frechet_distance(reference, features)
                low, high = metrics.frechet_interval(reference, features)
                scores[row] |= {f"{name}_frechet_low": low, f"{name}_frechet_high": high}
            if name == "label-image":
                scores[row] |= _label_scores(p, features, reference, corpus.train.labels["label"], labels)
    log_mel = LogMel(corpus.features)
    mels = {row: torch.cat([log_mel(batch) for batch in clips.waveforms.split(256)]) for row, clips in rows.items()}
    for row in rows:
        if row != TRAIN:
            scores[row]["nearest"] = float(metrics.nearest_distance(mels[row], mels[TRAIN]).median())
    return scores


def _label_scores(
    p: Tensor, features: Tensor, reference: Tensor, train_labels: Tensor, labels: Tensor | None
) -> dict[str, float]:
    """Metrics of one row by a classifier of the label; ``reference``: its features of the training clips."""
    scores = {
        "inception": metrics.inception_score(p),
        "modified_inception": metrics.modified_inception_score(p),
        "am": metrics.am_score(p, torch.bincount(train_labels) / len(train_labels)),
        "different_bins": metrics.different_bins(reference, features),
    }
    return scores if labels is None else scores | {"diversity": metrics.intra_class_diversity(features, labels)}


def pocketsphinx_accuracies(rows: dict[str, Clips], corpus: Corpus) -> dict[str, float]:
    """Share of clips of each row, without the training clips, whose label pocketsphinx recognises; up to 300, evenly
    spaced. {} if it isn't installed or doesn't know the labels as words.
    """
    if "label" not in corpus.vocabularies:
        return {}
    vocabulary = [spoken(label) for label in corpus.vocabularies["label"]]
    try:
        recognizer = Recognizer(vocabulary)
    except UserError as error:
        print(f"Without pocketsphinx: {error}")
        return {}
    if unknown := [word for word in vocabulary if word not in recognizer.known]:
        print(f"Without pocketsphinx: it doesn't know the words {', '.join(unknown)}.")
        return {}
    accuracies = {}
    for name, clips in rows.items():
        if name == TRAIN or "label" not in clips.labels:
            continue
        chosen = torch.linspace(0, len(clips.waveforms) - 1, min(RECOGNIZED, len(clips.waveforms))).long().tolist()
        correct = 0
        with Bar(f"Recognising {name} by pocketsphinx", len(chosen)) as bar:
            for done, i in enumerate(chosen, start=1):
                hypothesis = recognizer.recognize(clips.waveforms[i, 0], corpus.features.sample_rate)
                correct += hypothesis == [vocabulary[int(clips.labels["label"][i])]]
                bar.update(done)
        accuracies[name] = correct / len(chosen)
    return accuracies


def write_clips(folder: Path, clips: Clips, corpus: Corpus) -> None:
    """Write the first few clips of each label."""
    folder.mkdir(parents=True, exist_ok=True)
    labels = clips.labels.get("label", torch.zeros(len(clips.waveforms)))
    for index, word in enumerate(corpus.vocabularies["label"] if "label" in clips.labels else ["clip"]):
        for i, clip in enumerate(clips.waveforms[labels == index][:WRITTEN]):
            audio.write(folder / f"{word.replace('/', '-')}-{i}.wav", clip[0], corpus.features.sample_rate)


def table(scores: Scores) -> str:
    """A line for each metric, a column for each row of clips."""
    lines = [["", *scores]]
    for name in dict.fromkeys(name for row in scores.values() for name in row):
        lines.append([name, *(f"{row[name]:.4g}" if name in row else "-" for row in scores.values())])
    return "\n".join(columns(lines, right=True))
