"""Classifiers, set metrics against hand-worked values, and the evaluation of a generation model."""

from __future__ import annotations

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from tests.conftest import speech_like
from tests.test_generation import WAVEGAN, digits_corpus, digits_recipe  # noqa: F401  (fixtures)
from wavegan import Synthesizer, UserError, audio, metrics
from wavegan.audio.log_mel import LogMelConfig
from wavegan.data import manifest
from wavegan.evaluation import classifiers, evaluate
from wavegan.evaluation.classifiers import accuracy, fit
from wavegan.evaluation.generated_sets import read_corpus
from wavegan.metrics.recognizer import Recognizer, spoken
from wavegan.models.classifier import Classifier, ClassifierConfig
from wavegan.training.runs import start_run

RATE = 8000


def tones(count: int, seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Clips of three classes that differ in pitch and shape, (count, 1, 2400), and their labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    time = np.arange(2400) / RATE
    clips = []
    for label in labels:
        frequency = [300, 700, 1500][label] * random.uniform(0.9, 1.1)
        clips.append(0.3 * np.sin(2 * np.pi * frequency * time) + 0.01 * random.standard_normal(2400))
    return torch.from_numpy(np.array(clips, np.float32))[:, None], torch.from_numpy(labels)


@pytest.mark.parametrize("kind", ["frames", "image"])
def test_a_classifier_learns_survives_saving_and_is_repeatable(kind, tmp_path):
    contents = ClassifierConfig(kind=kind, classes=["low", "mid", "high"], sample_rate=RATE, length=2400, seed=1)
    clips, labels = tones(60, seed=0)
    before = torch.get_rng_state()
    classifier = fit(contents, clips, labels, steps=40, batch_size=16)
    assert torch.equal(torch.get_rng_state(), before)
    assert accuracy(classifier, *tones(60, seed=1)) > 0.9
    probabilities, features = classifier.predict(clips)
    assert probabilities.shape == (60, 3) and torch.allclose(probabilities.sum(1), torch.ones(60), atol=1e-5)
    assert features.shape == (60, 128)
    classifiers.save(tmp_path / "classifier", classifier)
    assert torch.equal(classifiers.load(tmp_path / "classifier").predict(clips)[0], probabilities)
    again = fit(contents, clips, labels, steps=40, batch_size=16)
    assert torch.equal(again.predict(clips)[0], probabilities)
    (tmp_path / "classifier.safetensors").write_bytes(b"no")
    with pytest.raises(UserError, match="can't be read"):
        classifiers.load(tmp_path / "classifier")


def test_the_two_kinds_share_neither_features_nor_architecture():
    both = [ClassifierConfig(kind=k, classes=["a", "b"], sample_rate=RATE, length=800) for k in ("frames", "image")]
    assert both[0].features.n_fft != both[1].features.n_fft and both[0].features.mel_scale != both[1].features.mel_scale
    layers = [{type(m) for m in Classifier(c).modules()} for c in both]
    assert torch.nn.Conv1d in layers[0] and torch.nn.Conv2d not in layers[0]
    assert torch.nn.Conv2d in layers[1] and torch.nn.Conv1d not in layers[1]


def test_inception_scores_of_known_distributions():
    sure = torch.eye(4).repeat(5, 1)
    flat = torch.full((20, 4), 0.25)
    assert metrics.inception_score(sure) == pytest.approx(4, rel=1e-6)
    assert metrics.inception_score(flat) == pytest.approx(1, rel=1e-6)
    assert metrics.modified_inception_score(flat) == pytest.approx(1, rel=1e-6)
    p = torch.tensor([[0.9, 0.1], [0.4, 0.6]])
    pairs = [float((a * (a / b).log()).sum()) for a in p.double() for b in p.double()]
    assert metrics.modified_inception_score(p) == pytest.approx(math.exp(sum(pairs) / 4), rel=1e-6)


def test_am_score_of_known_distributions():
    even = torch.full((4,), 0.25)
    assert metrics.am_score(torch.eye(4), even) == pytest.approx(0, abs=1e-6)
    assert metrics.am_score(torch.full((8, 4), 0.25), even) == pytest.approx(math.log(4), rel=1e-6)
    skewed = torch.tensor([[0.5, 0.5], [0.5, 0.5]])
    expected = 0.9 * math.log(0.9 / 0.5) + 0.1 * math.log(0.1 / 0.5) + math.log(2)
    assert metrics.am_score(skewed, torch.tensor([0.9, 0.1])) == pytest.approx(expected, rel=1e-6)


def test_frechet_distance_of_known_gaussians():
    torch.manual_seed(0)
    features = torch.randn(500, 6)
    assert metrics.frechet_distance(features, features) == pytest.approx(0, abs=1e-8)
    assert metrics.frechet_distance(features, features + 2) == pytest.approx(24, rel=1e-6)
    # Three times as wide: the trace of (a + 9 a - 2 * 3 a), a the covariance, and the means move.
    expected = 4 * torch.cov(features.double().T).trace() + (2 * features.double().mean(0)).square().sum()
    assert metrics.frechet_distance(features, 3 * features) == pytest.approx(float(expected), rel=1e-6)


def test_different_bins_finds_a_missing_mode():
    torch.manual_seed(0)
    centres = 20 * torch.randn(10, 4)
    train = torch.cat([c + torch.randn(100, 4) for c in centres])
    same = torch.cat([c + torch.randn(100, 4) for c in centres])
    collapsed = torch.cat([c + torch.randn(200, 4) for c in centres[:5]])
    assert metrics.different_bins(train, same, bins=10) <= 0.2
    assert metrics.different_bins(train, collapsed, bins=10) >= 0.9
    assert metrics.different_bins(train[::50], same) <= 0.5  # 20 clips: two bins
    assert math.isnan(metrics.different_bins(train[:19], same))  # too few to say


def test_intra_class_diversity_is_the_mean_distance_within_classes():
    features = torch.tensor([[0.0, 0], [3, 4], [10, 0], [10, 1]])
    assert metrics.intra_class_diversity(features, torch.tensor([0, 0, 1, 1])) == pytest.approx(3)
    assert math.isnan(metrics.intra_class_diversity(features, torch.arange(4)))


def test_nearest_distance_sees_a_shifted_copy():
    torch.manual_seed(0)
    train = torch.randn(20, 8, 30)
    copy, other = train[3:4].roll(2, dims=-1), torch.randn(1, 8, 30)
    distances = metrics.nearest_distance(torch.cat([copy, other]), train)
    assert distances[0] < 1e-5 and distances[1] > 1


def test_pocketsphinx_gates_silence_and_knows_its_words():
    digits = [spoken(label) for label in "0123456789"]
    recognizer = Recognizer(digits)
    assert digits[7] == "seven" and list(recognizer.known) == digits
    assert recognizer.recognize(torch.zeros(8000), RATE) == []
    assert recognizer.recognize(speech_like(0.5, RATE), RATE) in [[], *([word] for word in digits)]
    assert list(Recognizer(["one", "qzxw"]).known) == ["one"]


def test_evaluation_prints_the_table_and_keeps_its_classifiers(digits_recipe, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(fit, "__defaults__", (20, 16))  # a classifier in a second: this test is about the plumbing
    folder = digits_recipe.parent
    start_run(digits_recipe, ["trainer.max_steps=2"], tmp_path / "run").train()
    shown = evaluate([str(tmp_path / "run")], folder / "test.jsonl", tmp_path / "out", count=120)
    lines = dict(line.split(" | ", 1) for line in shown.splitlines() if " | " in line)
    rows = {name.strip() for name in lines}
    wanted = {"label-frames_accuracy", "label-image_frechet", "speaker-image_accuracy", "nearest", "times_real_time"}
    assert wanted <= rows
    assert "label-frames" in shown and "real train" in shown and "real test" in shown
    found = json.loads((tmp_path / "out/metrics.json").read_text())
    assert found["count"] == 120 and set(found["scores"]) == {"real train", "real test", "run"}
    assert found["scores"]["real train"]["label-image_frechet"] == pytest.approx(0, abs=1e-3)
    ours = found["scores"]["run"]
    assert ours["label-image_frechet_low"] < ours["label-image_frechet"] < ours["label-image_frechet_high"]
    assert found["scores"]["real test"]["speaker-image_accuracy"] == found["judges"]["speaker-image"]
    assert len(list((tmp_path / "out/run").glob("*.wav"))) == 9
    stamps = {p: p.stat().st_mtime_ns for p in (folder / "judges").iterdir()}
    assert len(stamps) == 8
    evaluate([str(tmp_path / "run")], folder / "test.jsonl", tmp_path / "out", count=120)
    assert stamps == {p: p.stat().st_mtime_ns for p in (folder / "judges").iterdir()}


def test_recordings_changed_under_the_same_manifest_are_another_corpus(digits_recipe):  # noqa: F811
    folder, features = digits_recipe.parent, LogMelConfig(sample_rate=8000, n_fft=256, hop_length=64, n_mels=20)
    model = SimpleNamespace(features=features, config=SimpleNamespace(task=SimpleNamespace(clip_length=8192)))

    def digest() -> str:
        return read_corpus(folder / "train.jsonl", folder / "test.jsonl", [model]).digest

    first, again = digest(), digest()
    utterance = manifest.read(folder / "train.jsonl")[0]
    waveform, rate = audio.read(utterance.path)
    audio.write(utterance.path, 0.5 * waveform, rate)
    assert first == again != digest()
    model.config.task.clip_length = 1000  # the model's length, so that the ends of real clips don't count
    assert read_corpus(folder / "train.jsonl", folder / "test.jsonl", [model]).test.waveforms.shape[-1] == 1000


def test_evaluation_of_an_unconditional_model_beside_a_conditional_one(digits_recipe, tmp_path, monkeypatch):  # noqa: F811
    monkeypatch.setattr(fit, "__defaults__", (20, 16))
    start_run(digits_recipe, ["trainer.max_steps=1"], tmp_path / "told").train()
    overrides = [*WAVEGAN, "task.conditions={}", "task.length=1500", "data.segment_length=1500", "trainer.max_steps=1"]
    trainer = start_run(digits_recipe, overrides, tmp_path / "untold")
    trainer.train()
    models = [str(tmp_path / name) for name in ("told", "untold")]
    evaluate(models, digits_recipe.parent / "test.jsonl", tmp_path / "out", count=100)
    scores = json.loads((tmp_path / "out/metrics.json").read_text())["scores"]
    assert "label-image_accuracy" in scores["told"] and "label-image_accuracy" not in scores["untold"]
    assert {"label-image_frechet", "inception", "am", "nearest"} <= scores["untold"].keys()
    command = f"wavegan generate 3 -o OUT.wav --model '{tmp_path}/x y'"
    assert trainer.task.next_step(tmp_path / "x y") == f"Listen to it: {command}"
    assert Synthesizer.from_pretrained(tmp_path / "untold").generate(3).shape == (3, 1500)


def test_vocoders_and_generation_are_evaluated_apart(digits_recipe, tmp_path):  # noqa: F811
    start_run(digits_recipe, ["trainer.max_steps=1"], tmp_path / "run").train()
    with pytest.raises(UserError, match="can't be compared with vocoders"):
        evaluate([str(tmp_path / "run"), "vocoder-16k"], digits_recipe.parent / "test.jsonl", tmp_path / "out")
    other = manifest.read(digits_recipe.parent / "test.jsonl")
    manifest.write(tmp_path / "odd.jsonl", [other[0].model_copy(update={"label": "ten"}), other[1]])
    with pytest.raises(UserError, match="The training clips have no 'ten'"):
        evaluate(
            [str(tmp_path / "run")], tmp_path / "odd.jsonl", tmp_path / "o", train=digits_recipe.parent / "train.jsonl"
        )


def test_classifiers_get_the_faded_audio_of_the_corpus(digits_corpus):  # noqa: F811
    """Clips end in a fade, not in a click."""
    from wavegan.audio.log_mel import LogMelConfig
    from wavegan.data.segments import DataConfig, Segments

    utterances = manifest.read(digits_corpus / "train.jsonl")
    features = LogMelConfig(sample_rate=8000, n_fft=64, hop_length=16, n_mels=12)
    data = DataConfig(train=digits_corpus, valid=digits_corpus, segment_length=4000, crop="start")
    clip = Segments(utterances, data, features, 0).clip(0)[0]
    whole, _ = audio.read(utterances[0].path)
    assert torch.equal(clip[: len(whole) - 80], whole[:-80])
    assert clip[len(whole) - 1] == 0 and not clip[len(whole) :].any()
