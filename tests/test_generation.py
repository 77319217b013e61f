"""Generation as a task: generators, discriminators, penalties, augmentation, training, and playing of latents."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from tests.conftest import speech_like
from tests.test_models import count
from tests.test_trainer import assert_resumes_exactly, metrics_without_speed
from wavegan import Synthesizer, UserError, audio
from wavegan.checkpoints import native
from wavegan.data import manifest
from wavegan.data.augment import AugmentConfig, augment
from wavegan.data.manifest import Utterance
from wavegan.losses import diversity
from wavegan.losses.penalties import FiniteDifferencePenalty, GradientPenalty
from wavegan.metrics.recognizer import Recognizer, spoken
from wavegan.models.discriminators import (
    Discriminators,
    FramesConfig,
    PeriodConfig,
    ResolutionConfig,
    ScaleConfig,
    WaveGANDiscriminatorConfig,
)
from wavegan.models.discriminators.wavegan import shuffle_phase
from wavegan.models.generators import LatentConfig, SpectralConfig, WaveGANConfig
from wavegan.models.strides import strides_for
from wavegan.tasks.generation import GenerationConfig
from wavegan.training.runs import start_run

FEATURES = {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "n_mels": 12, "floor": 1e-3}
CONDITIONS = {"label": ["one", "two", "zero"], "speaker": ["ann", "bob"]}
TASK = GenerationConfig(features=FEATURES, length=1024, conditions=CONDITIONS, latent_dim=8)
GENERATORS = {
    "latent": LatentConfig(style_dim=8, channels=8, num_stages=3, vocoder=SpectralConfig(dim=8, num_blocks=1)),
    "wavegan": WaveGANConfig(dim=2, embedding_dim=3),
}
DISCRIMINATORS = {
    "frames": FramesConfig(resolutions=[(64, 16, 12), (128, 32, 16)], channels=8),
    "period": PeriodConfig(periods=[2, 3], channels=[4, 8]),
    "resolution": ResolutionConfig(resolutions=[(64, 16, 64)], channels=4, input="complex"),
    "scale": ScaleConfig(scales=2, channels=[16] * 7),
    "wavegan": WaveGANDiscriminatorConfig(dim=2),
}
LABELS = torch.tensor([[0, 1], [2, 0], [1, 1], [1, 0]])


@pytest.fixture(params=GENERATORS.values(), ids=GENERATORS.keys())
def generator(request):
    torch.manual_seed(0)
    return request.param.build(TASK)


@pytest.fixture(params=DISCRIMINATORS.values(), ids=DISCRIMINATORS.keys())
def discriminators(request):
    torch.manual_seed(0)
    return Discriminators([request.param], TASK)


def test_wavegan_has_the_published_size():
    for length, g, d in [(16384, 19_065_345, 17_427_969), (65536, 73_149_953, 69_875_201)]:
        task = GenerationConfig(features=FEATURES, length=length, conditions={}, latent_dim=100, latent="uniform")
        assert count(WaveGANConfig().build(task)) == g
        assert count(Discriminators([WaveGANDiscriminatorConfig()], task)) == d
    assert strides_for(32768) == [4, 4, 4, 4, 4, 2]


@pytest.mark.parametrize("length", [1000, 5000, 20000])
def test_wavegan_makes_any_length(length):
    task = TASK.model_copy(update={"length": length})
    fake = WaveGANConfig(dim=1).build(task)(task.draw(2), LABELS[:2])
    assert fake.shape == (2, 1, length) and fake.abs().max() <= 1
    assert Discriminators([WaveGANDiscriminatorConfig(dim=1)], task)(fake, LABELS[:2])[0].logits.shape == (2, 1)


def test_labels_and_latents_change_the_waveform_and_gradients_reach_everything(generator):
    z = TASK.draw(4, torch.Generator().manual_seed(1))
    fake = generator(z, LABELS)
    assert fake.shape == (4, 1, 1024)
    assert torch.equal(generator.generate(z, LABELS)[0], fake)
    for other in (generator(z + 1, LABELS), generator(z, LABELS.flip(0))):
        assert not torch.allclose(other, fake)
    fake.square().sum().backward()
    dead = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead


def test_latents_are_normal_or_uniform_and_repeatable():
    uniform = TASK.model_copy(update={"latent": "uniform"})
    drawn = [task.draw(2000, torch.Generator().manual_seed(3)) for task in (TASK, uniform, uniform)]
    assert abs(drawn[0].std() - 1) < 0.05 and drawn[0].abs().max() > 2
    assert drawn[1].abs().max() <= 1 and abs(drawn[1].std() - 3**-0.5) < 0.02
    assert torch.equal(drawn[1], drawn[2])


def test_unconditional_generation():
    task = TASK.model_copy(update={"conditions": {}})
    generator = WaveGANConfig(dim=1).build(task)
    assert task.label_sizes == () and generator(task.draw(3)).shape == (3, 1, 1024)
    assert Discriminators([WaveGANDiscriminatorConfig(dim=1)], task)(torch.randn(3, 1, 1024))[0].logits.shape == (3, 1)


def test_projection_judges_the_label(discriminators):
    waveform = torch.randn(4, 1, 1024) * 0.1
    discriminators.eval()
    right, wrong = discriminators(waveform, LABELS), discriminators(waveform, LABELS.flip(0))
    assert all(not torch.allclose(r.logits, w.logits) for r, w in zip(right, wrong, strict=True))
    for member in discriminators.members:  # what a label adds is its embedding's inner product with the features
        for embedding in [*member.projection.embeddings, *member.projection.factors]:
            nn.init.zeros_(embedding.weight)
    for plain, labelled in zip(discriminators(waveform), discriminators(waveform, LABELS), strict=True):
        assert torch.allclose(plain.logits, labelled.logits)


def test_compare_repeats_the_labels(discriminators):
    discriminators.eval()
    real, fake = torch.randn(4, 1, 1024) * 0.1, torch.randn(4, 1, 1024) * 0.1
    for outputs, waveform in zip(discriminators.compare(real, fake, LABELS), (real, fake), strict=True):
        for output, expected in zip(outputs, discriminators(waveform, LABELS), strict=True):
            assert torch.allclose(output.logits, expected.logits, atol=1e-5)


def test_forward_is_judge_of_analyse_and_silence_has_a_finite_gradient(discriminators):
    discriminators.eval()
    waveform = torch.zeros(2, 1, 1024).requires_grad_()
    for member in discriminators.members:
        assert torch.equal(member.judge(member.analyse(waveform)).logits, member(waveform).logits)
    sum(o.logits.sum() for o in discriminators(waveform)).backward()
    assert torch.isfinite(waveform.grad).all()


def test_phase_shuffle_shifts_by_at_most_its_size_with_reflection():
    x = torch.arange(8.0).expand(1, 2, 8)
    seen = {}
    for seed in range(40):
        torch.manual_seed(seed)
        seen[tuple(shuffle_phase(x, 2)[0, 0].tolist())] = True
    assert set(seen) == {
        (0, 1, 2, 3, 4, 5, 6, 7),
        (1, 0, 1, 2, 3, 4, 5, 6),
        (2, 1, 0, 1, 2, 3, 4, 5),
        (1, 2, 3, 4, 5, 6, 7, 6),
        (2, 3, 4, 5, 6, 7, 6, 5),
    }


class Linear(nn.Module):
    """A discriminator whose gradient is known: the logits are w . x."""

    def __init__(self, weight: torch.Tensor):
        super().__init__()
        self.weight = nn.Parameter(weight)

    def analyse(self, waveform):
        return waveform

    def judge(self, x, label=None):
        from wavegan.models.discriminators import DiscriminatorOutput

        return DiscriminatorOutput(x.flatten(1) @ self.weight[:, None], [])

    def forward(self, waveform, label=None):
        return self.judge(waveform, label)


def linear_discriminators(weight: torch.Tensor) -> Discriminators:
    discriminators = Discriminators([], TASK)
    discriminators.members.append(Linear(weight))
    return discriminators


def test_gradient_penalty_of_a_known_gradient():
    weight = torch.tensor([3.0, 4.0])  # a norm of 5 everywhere: (5 - 1) ** 2
    real, fake = torch.randn(6, 1, 2), torch.randn(6, 1, 2)
    discriminators = linear_discriminators(weight)
    penalty = GradientPenalty()(discriminators, real, fake, None)
    assert penalty.item() == pytest.approx(16.0, rel=1e-5)
    penalty.backward()
    assert torch.allclose(discriminators.members[0].weight.grad, 2 * 4 * weight / 5, atol=1e-4)


def test_finite_difference_penalty_estimates_r1_plus_r2():
    torch.manual_seed(0)
    weight = torch.tensor([3.0, 4.0])
    real, fake = torch.randn(4000, 1, 2), torch.randn(4000, 1, 2)
    deviation = torch.cat([real, fake]).std()
    penalty = FiniteDifferencePenalty()(linear_discriminators(weight), real, fake, None)
    assert penalty.item() == pytest.approx(2 * 25 * float(deviation) ** 2, rel=0.05)  # |w| ** 2 at real and at fake


def test_diversity_is_what_two_takes_lack_of_their_distance():
    z, other = torch.zeros(2, 4), torch.tensor([[2.0] * 4, [0.5] * 4])
    mel, far = torch.zeros(2, 3, 5), torch.stack([torch.full((3, 5), 0.2), torch.full((3, 5), 0.4)])
    # 0.2 / 2 = 0.1, which lacks 0.2 of 0.3; 0.4 / 0.5 = 0.8, which lacks nothing
    assert diversity.diversity(z, other, mel, far, limit=0.3).item() == pytest.approx((0.2 + 0) / 2)


def test_the_diversity_term_moves_takes_apart(digits_recipe, tmp_path):
    trainer = start_run(digits_recipe, ["objective.weights={diversity: 100}", "augment=null"], tmp_path / "run")
    first = trainer.train_step()["train/g/diversity"].item()
    for _ in range(20):
        last = trainer.train_step()["train/g/diversity"].item()
    assert last < first


def test_penalties_reach_every_discriminator(discriminators):
    real, fake = torch.randn(4, 1, 1024) * 0.1, torch.randn(4, 1, 1024) * 0.1
    for penalty in (GradientPenalty(), FiniteDifferencePenalty()):
        discriminators.zero_grad()
        value = penalty(discriminators, real, fake, LABELS)
        value.backward()
        assert torch.isfinite(value) and value > 0
        for member in discriminators.members:
            assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in member.parameters())


def test_finite_differences_see_the_gradient_and_not_the_phase_shuffle():
    torch.manual_seed(0)
    discriminators = Discriminators([WaveGANDiscriminatorConfig(dim=2)], TASK)
    real, fake = torch.randn(4, 1, 1024), torch.randn(4, 1, 1024)
    penalty = FiniteDifferencePenalty(epsilon=1e-3)
    shuffled = penalty(discriminators.train(), real, fake, LABELS).item()
    plain = penalty(discriminators.eval(), real, fake, LABELS).item()
    assert 0.1 < shuffled / plain < 10


def test_penalty_comes_every_nth_turn_of_the_discriminators(digits_recipe, tmp_path):
    options = ["trainer.critic_steps=1", "objective.penalty.interval=2", "trainer.max_steps=8"]
    trainer = start_run(digits_recipe, options, tmp_path / "run")
    logs = [trainer.train_step() for s in range(8) if not setattr(trainer, "step", s)]
    assert [s for s, terms in enumerate(logs) if "train/d/penalty" in terms] == [0, 4]


def test_augment_changes_real_and_fake_alike():
    config = AugmentConfig(probability=1, shift_seconds=0.01, gain_db=6, speed=0.1, mask=0.3)
    torch.manual_seed(1)
    same = speech_like(0.2, 8000).expand(8, 1, -1)
    real, fake = augment(config, [same, same.clone()], 8000)
    assert torch.equal(real, fake)
    assert not torch.allclose(real[0], real[1])
    assert not torch.allclose(real, same)


def test_augment_with_probability_0_is_the_identity_and_shift_moves_whole_samples():
    clip = speech_like(0.2, 8000).expand(4, 1, -1)
    (same,) = augment(AugmentConfig(probability=0, shift_seconds=0.1, gain_db=6, speed=0.1, mask=0.5), [clip], 8000)
    assert torch.equal(same, clip)
    torch.manual_seed(0)
    (moved,) = augment(AugmentConfig(probability=1, shift_seconds=0.01), [clip], 8000)
    for row in moved[:, 0]:
        shifts = [s for s in range(-80, 81) if torch.equal(row, shifted(clip[0, 0], s))]
        assert len(shifts) == 1


def test_augment_of_log_mels_adds_gain_above_the_floor():
    mel = torch.randn(16, 4, 50) - 2
    floor = float(mel.min())
    torch.manual_seed(0)
    (louder,) = augment(AugmentConfig(probability=1, gain_db=20), [mel], 100, log_floor=floor)
    gain = (louder - mel).flatten(1).median(1).values  # most bins lie above the floor before and after
    assert gain.abs().max() <= math.log(10) + 1e-5 and gain.std() > 0.1
    expected = (mel + gain[:, None, None]).clamp(min=floor)
    assert torch.allclose(louder, torch.where(mel > floor, expected, mel), atol=1e-5)  # silence stays silence
    (masked,) = augment(AugmentConfig(probability=1, mask=0.5), [mel], 100, log_floor=floor)
    silent = (masked == floor).all(1)
    assert 0.05 < silent.float().mean() < 0.4
    assert torch.allclose(masked, torch.where(silent[:, None], torch.tensor(floor), mel), atol=1e-5)


def test_first_stage_makes_mels_and_its_trunk_begins_the_next(digits_recipe, tmp_path):
    start_run(digits_recipe, MEL, tmp_path / "frames").train()
    with pytest.raises(UserError, match="makes mels only"):
        Synthesizer.from_pretrained(tmp_path / "frames").generate(["one"])
    trunk = native.load_generator(tmp_path / "frames")[0].trunk.state_dict()
    options = [f"trainer.initial_weights={{trunk: {tmp_path / 'frames'}}}"]
    options += [f"trainer.initial_discriminators={tmp_path / 'frames'}"]
    judges = native.load_trainer(tmp_path / "frames")["discriminators"]
    trainer = start_run(digits_recipe, options, tmp_path / "whole")
    assert all(torch.equal(tensor, trunk[name]) for name, tensor in trainer.generator.trunk.state_dict().items())
    own = trainer.discriminators.state_dict()
    assert all(torch.equal(own[name], tensor) for name, tensor in judges.items()) and len(own) > len(judges)
    with pytest.raises(UserError, match="are not the first ones of this recipe"):
        start_run(digits_recipe, [*options, "discriminators.0.channels=4"], tmp_path / "other")
    for override, expected in (("task.output=mel", "left out"), ("generator.vocoder=null", "given")):
        with pytest.raises(UserError, match=f"generator.vocoder must be {expected}"):
            start_run(digits_recipe, [override], tmp_path / "other")


def shifted(x: torch.Tensor, by: int) -> torch.Tensor:
    result = torch.zeros_like(x)
    if by >= 0:
        result[by:] = x[: len(x) - by]
    else:
        result[:by] = x[-by:]
    return result


RECIPE = """
name: tiny-digits
task:
  name: generation
  features: {{sample_rate: 8000, n_fft: 64, hop_length: 16, n_mels: 12, floor: 1e-3}}
  length: 1024
  conditions: {{label: [], speaker: []}}
  latent_dim: 8
generator:
  {{name: latent, style_dim: 8, channels: 8, num_stages: 3, vocoder: {{name: spectral, dim: 8, num_blocks: 1}}}}
discriminators:
  - {{name: frames, resolutions: [[64, 16, 12]], channels: 8}}
  - {{name: period, periods: [2], channels: [4, 8]}}
objective: {{adversarial: relativistic, penalty: {{name: finite_difference, interval: 2}}}}
augment: {{shift_seconds: 0.01, gain_db: 3, speed: 0.05, mask: 0.1}}
data:
  {{train: {corpus}/train.jsonl, valid: {corpus}/valid.jsonl, segment_length: 1024, crop: start, global_batch_size: 4}}
trainer: {{max_steps: 6, betas: [0, 0.99], log_interval: 1, valid_interval: 100, checkpoint_interval: 100,
  accelerator: cpu, num_samples: 0}}
"""
WAVEGAN = ["generator={name: wavegan, dim: 1}", "discriminators=[{name: wavegan, dim: 1}]", "augment=null"]
WAVEGAN += ["objective={adversarial: wasserstein, penalty: {name: gradient}}", "task.latent=uniform"]
WAVEGAN += ["trainer.critic_steps=5", "trainer.max_steps=12"]


@pytest.fixture
def digits_corpus(tmp_path: Path) -> Path:
    """Twelve clips of three labels by two speakers, the same for training and validation."""
    utterances = []
    for i, (label, speaker) in enumerate([(a, b) for a in CONDITIONS["label"] for b in CONDITIONS["speaker"]] * 2):
        path = tmp_path / f"{label}-{speaker}-{i}.wav"
        waveform = speech_like(0.1 + 0.01 * i, 8000, seed=i)
        audio.write(path, waveform, 8000)
        columns = {"label": label, "speaker": speaker}
        utterances.append(Utterance(id=path.stem, path=path, sample_rate=8000, num_samples=len(waveform), **columns))
    for name in ("train", "valid", "test"):
        manifest.write(tmp_path / f"{name}.jsonl", utterances)
    return tmp_path


@pytest.fixture
def digits_recipe(digits_corpus: Path) -> Path:
    path = digits_corpus / "tiny.yaml"
    path.write_text(RECIPE.format(corpus=digits_corpus))
    return path


MEL = ["task.output=mel", "generator.vocoder=null"]
MEL += ["discriminators=[{name: frames, resolutions: [[64, 16, 12]], channels: 8}]"]


@pytest.mark.parametrize("overrides", [[], WAVEGAN, MEL], ids=["latent", "wavegan", "mel"])
def test_training_resumes_exactly(digits_recipe, tmp_path, overrides):
    """Latents, augmentation, penalties and phase shuffle are drawn anew at each step: no state is lost."""
    assert_resumes_exactly(digits_recipe, overrides, tmp_path, stop=4)
    terms = set().union(*metrics_without_speed(tmp_path / "whole"))
    assert {"train/d/adversarial", "train/d/penalty", "train/g/adversarial", "valid/diversity"} <= terms


def test_critic_steps_train_the_generator_on_every_sixth_batch(digits_recipe, tmp_path):
    trainer = start_run(digits_recipe, WAVEGAN, tmp_path / "run")
    moved = []
    for _ in range(12):
        before = [p.detach().clone() for p in trainer.generator.parameters()]
        trainer.train_step()
        trainer.step += 1
        moved.append(any(not torch.equal(a, b) for a, b in zip(before, trainer.generator.parameters(), strict=True)))
    assert moved == [step % 6 == 5 for step in range(12)]


def test_vocabulary_comes_from_the_corpus_and_travels_with_the_weights(digits_recipe, tmp_path):
    trainer = start_run(digits_recipe, [], tmp_path / "run")
    trainer.train()
    assert native.read_config(tmp_path / "run").task.conditions == CONDITIONS
    assert (tmp_path / "run/samples/step-00000006/grid.png").stat().st_size > 1000
    model = Synthesizer.from_pretrained(tmp_path / "run")
    assert model.generate(["two", "one"], speaker="bob").shape == (2, 1024)
    with pytest.raises(UserError, match="No such label: 'four'. There are: one, two, zero"):
        model.generate(["four"])


def test_parts_begin_as_a_checkpoint_and_stay_frozen(digits_recipe, tmp_path):
    vocoder = digits_recipe.parent / "vocoder.yaml"
    vocoder.write_text(
        f"""
name: tiny-vocoder
task: {{name: vocoder, features: {{sample_rate: 8000, n_fft: 64, hop_length: 16, n_mels: 12, floor: 1e-3}}}}
generator: {{name: spectral, dim: 8, num_blocks: 1}}
objective: {{weights: {{mel: 1}}, mel_resolutions: [[64, 16, 12]]}}
data: {{train: {digits_recipe.parent}/train.jsonl, valid: {digits_recipe.parent}/valid.jsonl, segment_length: 512}}
trainer: {{max_steps: 2, adversarial_start: 1, accelerator: cpu}}
"""
    )
    start_run(vocoder, [], tmp_path / "vocoder").train()
    weights = native.load_generator(tmp_path / "vocoder")[0].state_dict()
    options = [f"trainer.initial_weights={{vocoder: {tmp_path / 'vocoder'}}}", "trainer.frozen=[vocoder]"]
    trainer = start_run(digits_recipe, options, tmp_path / "run")
    trainer.train()
    for name, tensor in trainer.ema.vocoder.state_dict().items():
        assert torch.equal(tensor, weights[name])
    with pytest.raises(UserError, match="does not fit the recipe: floor"):
        start_run(digits_recipe, [*options, "task.features.floor=1e-4"], tmp_path / "other")
    with pytest.raises(UserError, match="has no part 'voice'"):
        start_run(digits_recipe, ["trainer.frozen=[voice]"], tmp_path / "other")


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("data.segment_length=512", "segment_length 512 must be task.length 1024"),
        ("task.length=1000", "must be a multiple of hop_length x 2 ** generator.num_stages = 128"),
        ("discriminators=[]", "generation needs discriminators"),
        ("objective.weights={phase: 10}", "generation copies nothing and has no phase term"),
        ("generator={name: spectral}", "generator 'spectral' reads mels; the task 'generation' gives noise"),
        ("task.conditions={colour: []}", "task.conditions"),
        ("task.features.mean=[0,0,0,0,0,0,0,0,0,0,0,0]", "mean and std"),
        ("task.features.log=log10", "generation works on natural logarithms"),
        ("discriminators.0.resolutions=[[64, 0, 12]]", "should be [n_fft, hop, n_mels]"),
        ("trainer.frozen=[trunk, vocoder]", "leaves nothing of the generator to train"),
        ("task.conditions={label: [a, a]}", "a word appears twice"),
        ("task.conditions={label: [one]}", "No such label: 'two'. There are: one"),
    ],
)
def test_recipe_faults(digits_recipe, tmp_path, override, expected):
    with pytest.raises(UserError) as error:
        start_run(digits_recipe, [override], tmp_path / "run")
    assert expected in str(error.value)
    assert not (tmp_path / "run/config.json").exists()


def test_corpus_without_labels_is_refused(digits_recipe, corpus, tmp_path):
    with pytest.raises(UserError, match="utterances have no label"):
        start_run(digits_recipe, [f"data.train={corpus}/train.jsonl"], tmp_path / "run")


def test_collapse_is_announced(digits_recipe, tmp_path, capsys):
    """A generator that ignores its latent makes takes that don't differ."""
    trainer = start_run(digits_recipe, [], tmp_path / "run")
    with torch.no_grad():
        trainer.ema.trunk.style[0].weight[:, :8] = 0
    assert trainer.validate()["valid/diversity"] < 1e-3
    assert "the generator is collapsing" in capsys.readouterr().err


@pytest.fixture(scope="module")
def speaker() -> Synthesizer:
    """An untrained generator with the ten digits and two speakers."""
    task = TASK.model_copy(update={"conditions": {"label": list("0123456789"), "speaker": ["ann", "bob"]}})
    config = GENERATORS["latent"]
    torch.manual_seed(0)
    contents = native.CheckpointConfig.of_today(step=0, name="tiny", task=task, generator=config)
    return Synthesizer(config.build(task), contents)


def test_digits_by_seed_latent_and_speaker(speaker):
    first = speaker.digits("123", seed=1)
    assert first.dtype == np.float32 and first.ndim == 1
    assert np.array_equal(first, speaker.digits([1, "2", 3], seed=1))
    assert np.array_equal(first, speaker.digits(123, seed=1))
    assert np.array_equal(first, speaker.digits("1 2 3", seed=1, z=speaker.latent(3, seed=1)))
    assert not np.array_equal(first, speaker.digits("123", seed=2))
    assert not np.array_equal(speaker.digits("1", speaker="ann"), speaker.digits("1", speaker="bob"))
    typical = [speaker.generate(["1"], truncation=0, seed=seed, speaker="ann") for seed in (1, 2)]
    assert np.array_equal(*typical)


def test_the_embedded_model_is_understood_by_an_independent_recogniser():
    """pocketsphinx, which knows neither the corpus nor the generator, hears three in four of the real recordings."""
    model, digits = Synthesizer.from_pretrained("digits-8k"), [spoken(label) for label in "0123456789"]
    recognizer = Recognizer(digits)
    clips = model.generate(list("0123456789") * 5, seed=3)
    assert clips.shape == (50, 7168) and np.abs(clips).max() <= 1
    hypotheses = [recognizer.recognize(torch.from_numpy(clip), model.sample_rate) for clip in clips]
    assert sum(words == [digits[i % 10]] for i, words in enumerate(hypotheses)) >= 25  # by chance: 5
    silent = [np.abs(clip).max() < 0.05 for clip in clips]
    assert not any(silent)


def test_gap_is_silence_between_digits(speaker):
    without, with_gap = speaker.digits("12", gap=0), speaker.digits("12", gap=0.5)
    assert len(with_gap) - len(without) == 4000
    assert np.array_equal(np.flatnonzero(with_gap == 0)[-1] - np.flatnonzero(with_gap == 0)[0] >= 3999, True)


def test_latents_between_two_takes_move_from_one_to_the_other(speaker):
    a, b = speaker.latent(1, seed=1), speaker.latent(1, seed=2)
    walk = [speaker.generate(["7"], speaker="ann", z=a + t * (b - a)) for t in (0.0, 0.5, 1.0)]
    assert np.array_equal(walk[0], speaker.generate(["7"], speaker="ann", seed=1))
    assert np.abs(walk[1] - walk[0]).max() > 0 and np.abs(walk[1] - walk[2]).max() > 0


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"digits": "12a"}, "'a' is not a digit"),
        ({"digits": "-3"}, "'-' is not a digit"),
        ({"digits": ""}, "No digits given"),
        ({"digits": []}, "No digits given"),
        ({"digits": "1", "seed": -1}, "seed should be a whole number from 0 up to"),
        ({"digits": "1", "seed": 1.5}, "seed should be a whole number"),
        ({"digits": "1", "seed": "1"}, "seed should be a whole number"),
        ({"digits": "1", "truncation": "1"}, "truncation should be between 0 and 1, got '1'"),
        ({"digits": "²"}, "'²' is not a digit"),
        ({"digits": 10**5000}, "digits should be a number"),
        ({"digits": 1.5}, "digits should be a number"),
        ({"digits": "1", "truncation": 1.1}, "truncation should be between 0 and 1, got 1.1"),
        ({"digits": "1", "truncation": float("nan")}, "truncation should be between 0 and 1"),
        ({"digits": "1", "gap": -0.1}, "gap should be between 0 and 10 seconds"),
        ({"digits": "1", "speaker": "eve"}, "No such speaker: 'eve'. There are: ann, bob"),
        ({"digits": "12", "z": np.zeros((1, 8))}, r"z should be finite, of shape \(2, 8\), got \(1, 8\)"),
    ],
)
def test_bad_requests_say_what_is_wrong(speaker, options, expected):
    with pytest.raises(UserError, match=expected):
        speaker.digits(**options)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"labels": None}, "labels should be a list of names, got None"),
        ({"labels": True}, "labels should be a list of names, got True"),
        ({"labels": 1.5}, "labels should be a list of names"),
        ({"labels": "12"}, "labels should be a list of names, got '12'"),
        ({"labels": []}, "give at least one label"),
        ({"labels": np.int64(3)}, "This model needs labels"),
        ({"labels": ["1"], "speaker": 3}, "speaker should be a list of names, got 3"),
        ({"labels": ["1"], "z": ["a"]}, "z should be an array of numbers"),
        ({"labels": ["1"], "z": np.zeros((1, 8), complex)}, "z should be finite"),
    ],
)
def test_bad_requests_for_clips_say_what_is_wrong(speaker, options, expected):
    with pytest.raises(UserError, match=expected):
        speaker.generate(**options)


@pytest.mark.parametrize("count", [-1, 0, 1.5, True, None, "3"])
def test_latents_are_counted(speaker, count):
    with pytest.raises(UserError, match="count should be a whole number from 1 up"):
        speaker.latent(count)


def test_a_vocoder_does_not_speak_and_a_speaker_does_not_vocode(speaker):
    with pytest.raises(UserError, match="can't speak out of noise"):
        Synthesizer.from_pretrained("vocoder-16k").digits("1")
    with pytest.raises(UserError, match="can't copy speech"):
        speaker.vocode(np.zeros(1000, np.float32))
