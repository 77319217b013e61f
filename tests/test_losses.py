"""Losses and their balance against hand-worked numbers."""

from __future__ import annotations

import math

import pytest
import torch

from tests.conftest import speech_like
from wavegan import UserError, load_recipe
from wavegan.audio.log_mel import LogMelConfig
from wavegan.losses import feature_matching, reconstruction
from wavegan.losses.balancer import Balancer, BalancerConfig
from wavegan.losses.objective import ADVERSARIAL, Objective, ObjectiveConfig, Weights
from wavegan.models.discriminators import DiscriminatorOutput

REAL, FAKE = torch.tensor([[0.5, 2.0]]), torch.tensor([[-0.5, 1.0]])


@pytest.mark.parametrize(
    ("name", "discriminator", "generator"),
    [
        ("least_squares", (0.25 + 1.0) / 2 + (0.25 + 1.0) / 2, (2.25 + 0.0) / 2),
        ("hinge", (0.5 + 0.0) / 2 + (0.5 + 2.0) / 2, -(-0.5 + 1.0) / 2),
        ("relativistic", math.log1p(math.exp(-1.0)), math.log1p(math.exp(1.0))),
    ],
)
def test_adversarial_pairs(name, discriminator, generator):
    pair = ADVERSARIAL[name]
    assert float(pair[0](REAL, FAKE)) == pytest.approx(discriminator, abs=1e-6)
    assert float(pair[1](REAL, FAKE)) == pytest.approx(generator, abs=1e-6)


def test_feature_matching_leaves_out_the_logits():
    real = [DiscriminatorOutput(REAL, [torch.zeros(1, 2), torch.zeros(1, 1, 3), REAL])]
    fake = [DiscriminatorOutput(FAKE, [torch.ones(1, 2), torch.full((1, 1, 3), -3.0), FAKE])]
    assert float(feature_matching.feature_matching(real, fake)) == pytest.approx((1 + 3) / 2)


def spectrum(angle: torch.Tensor, level: float = 1.0) -> torch.Tensor:
    return torch.polar(torch.full_like(angle, level), angle)


def test_phase_loss_of_a_constant_turn():
    """A constant phase error of 0.3 costs 0.3 in phase and nothing in its derivatives."""
    angle = torch.rand(1, 9, 7) * 6 - 3
    value = reconstruction.anti_wrapping_phase(spectrum(angle), spectrum(angle + 0.3))
    assert float(value) == pytest.approx(0.3, abs=1e-4)


def test_phase_loss_wraps():
    """An error of 2 pi is none; one that grows by 2 pi - 0.2 a bin costs 0.2 in group delay."""
    angle = torch.zeros(1, 5, 4)
    assert float(reconstruction.anti_wrapping_phase(spectrum(angle), spectrum(angle + 2 * math.pi))) < 1e-4
    ramp = (2 * math.pi - 0.2) * torch.arange(5.0)[None, :, None].expand(1, 5, 4)
    expected = 0.2 * (0 + 1 + 2 + 3 + 4) / 5 + 0.2
    found = reconstruction.anti_wrapping_phase(spectrum(angle), spectrum(ramp))
    assert float(found) == pytest.approx(expected, abs=1e-3)


def test_phase_loss_has_a_finite_gradient_in_silence():
    fake = torch.zeros(1, 5, 4, 2, requires_grad=True)
    real = spectrum(torch.rand(1, 5, 4))
    reconstruction.anti_wrapping_phase(real, torch.view_as_complex(fake)).backward()
    assert torch.isfinite(fake.grad).all()


def test_amplitude_terms_of_a_half_amplitude_copy():
    real = spectrum(torch.rand(1, 5, 4), level=0.8)
    half = reconstruction.log_amplitude_mse(reconstruction.magnitude(real), reconstruction.magnitude(real * 0.5))
    assert float(half) == pytest.approx(math.log(2) ** 2, rel=1e-4)
    assert float(reconstruction.complex_l1(real, real * 0.5)) == pytest.approx(
        float(torch.view_as_real(real).abs().mean()) / 2, rel=1e-4
    )
    bank = torch.rand(5, 3) + 0.1
    distance = reconstruction.log_mel_l1(reconstruction.magnitude(real), reconstruction.magnitude(real * 0.5), bank)
    assert float(distance) == pytest.approx(math.log(2), rel=1e-4)


def objective(**weights: float) -> Objective:
    weights = {"adversarial": 0, "feature_matching": 0, "mel": 0, **weights}
    features = LogMelConfig(sample_rate=16000, n_fft=128, hop_length=32, n_mels=20)
    config = ObjectiveConfig(weights=Weights(**weights), mel_resolutions=[(64, 16, 10)], reconstruction_scale=0.5)
    return Objective(config, features)


def test_objective_weighs_named_terms():
    build = objective(mel=2, complex_stft=3, phase=1, log_amplitude=1, multi_resolution_mel=1, adversarial=4)
    real = speech_like(0.1)[None, None, :1024]
    terms = build.generator(real, real * 0.5)
    assert set(terms) == {"mel", "multi_resolution_mel", "log_amplitude", "phase", "complex_stft"}
    expected = 2 * terms["mel"] + 3 * terms["complex_stft"] + terms["phase"]
    expected = expected + terms["log_amplitude"] + terms["multi_resolution_mel"]
    assert float(build.total(terms)) == pytest.approx(float(expected), rel=1e-5)
    outputs = [DiscriminatorOutput(FAKE, [FAKE, FAKE])]
    with_game = build.generator(real, real * 0.5, None, outputs, outputs)
    assert "feature_matching" not in with_game  # its weight is 0
    total = 0.5 * expected + 4 * with_game["adversarial"]
    assert float(build.total(with_game)) == pytest.approx(float(total), rel=1e-5)


def test_identical_waveforms_cost_nothing():
    build = objective(mel=1, complex_stft=1, phase=1, log_amplitude=1, multi_resolution_mel=1)
    real = speech_like(0.1)[None, None, :1024]
    assert all(float(term) < 1e-3 for term in build.generator(real, real.clone()).values())


def test_spectral_terms_use_the_predicted_spectrum():
    build = objective(log_amplitude=1, complex_stft=1)
    real = speech_like(0.1)[None, None, :1024]
    wrong = torch.ones(1, 65, 32, dtype=torch.complex64)
    terms = build.generator(real, real.clone(), wrong)
    assert float(terms["complex_stft"]) < 1e-6 and float(terms["log_amplitude"]) > 1


def two_terms(x: torch.Tensor, factor: float) -> dict[str, torch.Tensor]:
    """Means over clips whose gradients have the lengths 5 ``factor`` and 13."""
    return {"a": factor * (3 * x[..., 0] + 4 * x[..., 1]).mean(), "b": (12 * x[..., 0] - 5 * x[..., 1]).mean()}


@pytest.mark.parametrize("batch", [1, 4])
def test_balanced_gradients_have_the_length_of_their_share(batch):
    balancer = Balancer(BalancerConfig(decay=0.5, total_norm=2.0))
    x = torch.zeros(batch, 1, 2, requires_grad=True)
    weights = {"a": 1.0, "b": 3.0}  # shares 1/4 and 3/4 of the length 2
    of_b = 1.5 * torch.tensor([12.0, -5.0]) / 13
    (gradient,) = torch.autograd.grad(balancer.total(two_terms(x, 1.0), weights, [x], torch.clone), x)
    expected = 0.5 * torch.tensor([3.0, 4.0]) / 5 + of_b
    assert torch.allclose(gradient, expected.expand(batch, 1, 2) / batch)  # a loss is the mean over the clips
    # Three times as long, beside an average of (0.5 * 5 + 15) / (0.5 + 1): the pull grows until that has followed.
    (gradient,) = torch.autograd.grad(balancer.total(two_terms(x, 3.0), weights, [x], torch.clone), x)
    expected = 0.5 * torch.tensor([9.0, 12.0]) / (17.5 / 1.5) + of_b
    assert torch.allclose(gradient, expected.expand(batch, 1, 2) / batch)
    assert {name: average.tolist() for name, average in balancer.averages.items()} == {
        "a": [17.5, 1.5],
        "b": [19.5, 1.5],
    }


def test_the_balance_of_a_waveform_and_a_spectrum():
    """A term of each, with gradients of length 5 at one clip: |3 + 4i| at the spectrum, (3, 4) at the waveform."""
    x = torch.zeros(1, 1, 2, requires_grad=True)
    spectrum = torch.zeros(1, 1, 1, dtype=torch.complex64, requires_grad=True)
    parts = torch.view_as_real(spectrum)
    terms = {"a": 3 * x[..., 0].sum() + 4 * x[..., 1].sum(), "b": (3 * parts[..., 0] + 4 * parts[..., 1]).sum()}
    total = Balancer(BalancerConfig()).total(terms, {"a": 4.0, "b": 1.0}, [x, spectrum], torch.clone)
    gradients = torch.autograd.grad(total, [x, spectrum])
    assert torch.allclose(gradients[0], torch.tensor([[[0.6, 0.8]]]) * 0.8)
    assert torch.allclose(gradients[1], torch.tensor([[[0.6 + 0.8j]]]) * 0.2)


def test_a_balancer_uses_the_mean_of_all_processes():
    x = torch.zeros(1, 1, 2, requires_grad=True)
    balancer = Balancer(BalancerConfig())
    total = balancer.total({"a": two_terms(x, 1.0)["a"]}, {"a": 7.0}, [x], lambda lengths: lengths + 5)  # 5 here, 10
    assert torch.allclose(torch.autograd.grad(total, x)[0], torch.tensor([[[0.3, 0.4]]]))
    assert balancer.averages["a"].tolist() == [10.0, 1.0]


def test_generation_has_nothing_to_balance(recipe_file):
    task = "{name: generation, features: {sample_rate: 16000, n_fft: 128, hop_length: 32, n_mels: 20}, length: 1024}"
    overrides = [f"task={task}", "generator={name: wavegan, dim: 1}", "objective={balancer: {}}"]
    with pytest.raises(UserError, match="objective.balancer balances against reconstruction terms"):
        load_recipe(recipe_file, [*overrides, "trainer.adversarial_start=0"])


def test_spectral_variance_sees_smoothed_texture_and_no_level():
    noise = torch.randn(2, 8192, generator=torch.Generator().manual_seed(0))
    features = LogMelConfig(sample_rate=16000, n_fft=256, hop_length=64, n_mels=20)
    none = dict.fromkeys(Weights.model_fields, 0.0)
    objective = Objective(ObjectiveConfig(weights=Weights(**none | {"spectral_variance": 1.0})), features)

    def distance(fake: torch.Tensor) -> float:
        return float(objective.generator(noise.unsqueeze(1), fake.unsqueeze(1))["spectral_variance"])

    assert distance(noise) == 0 and distance(0.1 * noise) < 1e-3
    other = torch.randn(2, 8192, generator=torch.Generator().manual_seed(1))
    click = torch.zeros(2, 8192)
    click[:, ::64] = 1.0  # a line spectrum at low frequencies only: flat magnitudes within a window
    assert distance(other) < 0.3 < 1.0 < distance(click)


def test_log_spread_of_a_known_texture():
    """Magnitudes that alternate by e and 1/e over bins: detail of a mean over many bins is 1 neper."""
    level = torch.exp(torch.tensor([1.0, -1.0]).repeat(32)).reshape(1, 64, 1).expand(1, 64, 9)
    inner = reconstruction.log_spread(level, bins=9)[:, 20:40]
    mean = torch.tensor([1 / 9, -1 / 9]).repeat(10)  # of 9 bins, 5 of one kind
    assert torch.allclose(inner.exp(), (1 - mean.abs()).reshape(1, 20, 1).expand_as(inner), atol=1e-3)
    assert torch.allclose(reconstruction.log_spread(100 * level, 9), reconstruction.log_spread(level, 9), atol=1e-5)
