"""Discriminators: their two turns, the published period, and SAN's split of the last layer by hand-worked numbers."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from wavegan import UserError, load_recipe
from wavegan.audio.log_mel import LogMelConfig
from wavegan.losses import feature_matching
from wavegan.losses.objective import Objective, ObjectiveConfig
from wavegan.models.discriminators import (
    Discriminators,
    FramesConfig,
    PeriodConfig,
    ResolutionConfig,
    ScaleConfig,
    WaveGANDiscriminatorConfig,
)
from wavegan.models.discriminators.base import Discriminator, DiscriminatorOutput
from wavegan.models.layers import LongConv1d
from wavegan.tasks.generation import GenerationConfig

FEATURES = {"sample_rate": 8000, "n_fft": 64, "hop_length": 16, "n_mels": 12, "floor": 1e-3}
UNLABELLED = GenerationConfig(features=FEATURES, length=1024, conditions={})
CONFIGS = {
    "frames": FramesConfig(resolutions=[(64, 16, 12)], channels=8),
    "period": PeriodConfig(periods=[2, 3], channels=[4, 8]),
    "resolution": ResolutionConfig(resolutions=[(64, 16, 64)], channels=4),
    "scale": ScaleConfig(scales=2, channels=[16] * 7),
    "wavegan": WaveGANDiscriminatorConfig(dim=2, phase_shuffle=0),
}


@pytest.fixture(params=CONFIGS.values(), ids=CONFIGS.keys())
def config(request):
    torch.manual_seed(0)
    return request.param


def test_in_the_generators_turn_outputs_and_its_gradient_are_those_of_one_forward(config):
    discriminators = Discriminators([config], UNLABELLED).eval()  # spectral norm moves in training mode
    real, fake = torch.randn(2, 2, 1, 1024).mul(0.1)
    results = []
    for learning in (True, False):
        clips = fake.clone().requires_grad_()
        real_out, fake_out = discriminators.compare(real, clips, learning=learning)
        loss = feature_matching.feature_matching(real_out, fake_out) + sum(o.logits.square().mean() for o in fake_out)
        (gradient,) = torch.autograd.grad(loss, clips)
        maps = [one for output in real_out + fake_out for one in (output.logits, *output.feature_maps)]
        results.append([gradient / gradient.norm(), *maps])
        assert real_out[0].logits.requires_grad == learning
    for ours, expected in zip(*results, strict=True):
        assert torch.allclose(ours, expected, atol=1e-5)


@pytest.mark.parametrize("period", [2, 3, 5, 7, 11])
def test_a_period_is_the_published_conv2d_in_all_its_maps(period):
    """Kong 2020, section 2.3: the waveform folded to (T / p, p), kernels (5, 1) and strides (3, 1) down its columns."""
    torch.manual_seed(0)
    (module,) = Discriminators([PeriodConfig(periods=[period], channels=[4, 8, 8, 8])], UNLABELLED).members
    waveform = torch.randn(2, 1, 1000)
    x = F.pad(waveform, (0, -1000 % period), mode="reflect").view(2, 1, -1, period)
    output = module(waveform)
    for i, conv in enumerate([*module.convs, module.conv_post]):
        norm, direction = (conv.state_dict()[f"parametrizations.weight.original{k}"] for k in range(2))
        weight = norm * direction / direction.flatten(1).norm(dim=1).view(-1, 1, 1)
        stride, size = (1 if i >= 3 else 3), weight.shape[-1]
        x = F.conv2d(x, weight.unsqueeze(-1), conv.bias, (stride, 1), (size // 2, 0))
        x = F.leaky_relu(x, 0.1) if i < 4 else x
        assert torch.allclose(output.feature_maps[i], x.transpose(2, 3), atol=1e-5)
    assert torch.allclose(output.logits, x.transpose(2, 3).flatten(1), atol=1e-5)


@pytest.mark.parametrize(
    ("channels_in", "channels_out", "size", "stride", "groups", "length"),
    [(1, 8, 15, 1, 1, 300), (16, 16, 41, 2, 4, 301), (16, 32, 41, 4, 16, 299), (8, 8, 41, 4, 2, 3), (8, 4, 5, 1, 1, 9)],
)
def test_a_long_kernel_in_parts_is_one_convolution(channels_in, channels_out, size, stride, groups, length):
    torch.manual_seed(0)
    conv = LongConv1d(channels_in, channels_out, size, stride, size // 2, groups=groups).double()
    x = torch.randn(2, channels_in, length, dtype=torch.float64, requires_grad=True)
    expected = F.conv1d(x, conv.weight, conv.bias, stride, size // 2, groups=groups)
    output = conv(x)
    assert torch.allclose(output, expected, atol=1e-12)
    wanted = [x, conv.weight, conv.bias]
    for ours, theirs in zip(*(torch.autograd.grad(y.square().sum(), wanted) for y in (output, expected)), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-10)


class Scaled(Discriminator):
    """D(x) = <w, s x> + b on clips of two samples."""

    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(2.0))
        self.out = nn.Linear(2, 1)
        with torch.no_grad():
            self.out.weight.copy_(torch.tensor([[3.0, 4.0]]))  # length 5, direction (0.6, 0.8)
            self.out.bias.fill_(0.5)

    def judge(self, x, label=None):
        logits, direction = self.weigh(self.out, self.scale * x.flatten(1), F.linear)
        return DiscriminatorOutput(logits, [logits], direction)


def scaled_terms(adversarial: str) -> tuple[Scaled, Objective, dict[str, torch.Tensor]]:
    """The discriminator's terms for the clips (1, 0), real, and (0, 1), fake: logits 6.5 and 8.5."""
    ensemble = Discriminators([], UNLABELLED)
    ensemble.members = nn.ModuleList([Scaled()])
    ensemble.members[0].separate = True
    features = LogMelConfig(sample_rate=16000, n_fft=64, hop_length=16, n_mels=20)
    objective = Objective(ObjectiveConfig(adversarial=adversarial, san=True), features, paired=False)
    outputs = ensemble.compare(torch.tensor([[[1.0, 0.0]]]), torch.tensor([[[0.0, 1.0]]]))
    return ensemble.members[0], objective, objective.discriminator(*outputs)


def test_san_with_hinge_by_hand():
    module, objective, terms = scaled_terms("hinge")
    assert terms["adversarial"].item() == pytest.approx(0 + 9.5) and terms["direction"].item() == pytest.approx(2.0)
    objective.discriminator_total(terms).backward()
    # The hinge of the fake: 1 for each unit of its logit, so the length gets <direction, h> = 1.6, the scale 4.
    assert module.scale.grad.item() == pytest.approx(4.0) and module.out.bias.grad.item() == pytest.approx(1.0)
    along = 1.6 * torch.tensor([0.6, 0.8])
    # The direction gets 5 (h_fake - h_real) = (-10, 10), less its part along itself, by the length.
    across = (torch.tensor([-10.0, 10.0]) - 2.0 * torch.tensor([0.6, 0.8])) / 5
    assert torch.allclose(module.out.weight.grad[0], along + across, atol=1e-5)


def test_san_with_least_squares_by_hand():
    module, objective, terms = scaled_terms("least_squares")
    soft = [math.log1p(math.exp(value)) ** 2 for value in (1 - 6.5, 8.5, 1 - 8.5)]
    assert terms["adversarial"].item() == pytest.approx(soft[0] + soft[1])
    assert terms["direction"].item() == pytest.approx(soft[0] - soft[2])
    outputs = [DiscriminatorOutput(torch.tensor([[8.5]]), [])]
    generator = objective.generator(torch.zeros(1, 1, 2), torch.zeros(1, 1, 2), None, outputs, outputs)
    assert generator["adversarial"].item() == pytest.approx(soft[2])


def test_san_judges_the_same_and_parts_what_learns(config):
    plain, separate = (Discriminators([config], UNLABELLED, separate=value).eval() for value in (False, True))
    separate.load_state_dict(plain.state_dict())
    waveform = torch.randn(2, 1, 1024) * 0.1
    for member, expected, output in zip(separate.members, plain(waveform), separate(waveform), strict=True):
        assert expected.direction is None
        assert torch.allclose(output.logits, expected.logits, atol=1e-5)
        assert torch.allclose(output.direction, expected.logits, atol=1e-5)
        last = getattr(member, "out" if hasattr(member, "out") else "conv_post")
        weights = [p for name, p in last.named_parameters() if name != "bias"]
        others = [p for p in member.parameters() if all(p is not weight for weight in weights)]
        assert turn(output.logits, weights) < 1e-5 < 1e-3 < turn(output.direction, weights)
        assert not any(gradients(output.direction, others)) and any(gradients(output.logits, others))


def gradients(logits: torch.Tensor, parameters: list[nn.Parameter]) -> list[torch.Tensor]:
    """How large the gradients of the logits' squares are, where there are any."""
    found = torch.autograd.grad(logits.square().sum(), parameters, retain_graph=True, allow_unused=True)
    return [g.abs().sum() for g in found if g is not None]


def turn(logits: torch.Tensor, weights: list[nn.Parameter]) -> float:
    """How much a step would turn the weights instead of making them longer or shorter."""
    found = torch.autograd.grad(logits.square().sum(), weights, retain_graph=True)
    across = [g - (g * w).sum() / w.square().sum() * w for g, w in zip(found, weights, strict=True)]
    return max(float(part.detach().abs().max()) for part in across)


def test_san_is_refused_where_it_is_not_defined(recipe_file):
    with pytest.raises(UserError, match="san is defined for adversarial least_squares and hinge, not relativistic"):
        load_recipe(recipe_file, ["objective.san=true", "objective.adversarial=relativistic"])
    generation = (
        "{name: generation, features: {sample_rate: 16000, n_fft: 128, hop_length: 32, n_mels: 20}, length: 1024}"
    )
    overrides = [f"task={generation}", "generator={name: wavegan, dim: 1}", "objective={san: true, adversarial: hinge}"]
    with pytest.raises(UserError, match="objective.san is for tasks without labels"):
        load_recipe(recipe_file, [*overrides, "trainer.adversarial_start=0"])
