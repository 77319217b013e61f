"""The training loop of HiFi-GAN as Kong 2020 (arXiv 2010.05646, sections 2 and 3.1) describes it, for comparison.

Real and fake pass through the discriminators separately, in the updates of both players; nothing is frozen or detached
in the generator's update, so that the discriminators get unused gradients; the multi-period discriminator is made of
Conv2d with kernels (k, 1).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from wavegan.audio.log_mel import LogMel
from wavegan.data import manifest
from wavegan.data.segments import Segments
from wavegan.training.recipe import Recipe

LEARNING_RATE, BETAS = 2e-4, (0.8, 0.99)
MEL_WEIGHT, FEATURE_MATCHING_WEIGHT = 45, 2
NUM_DISCRIMINATORS, NUM_HIDDEN_MAPS = 8, 46
PERIODS = (2, 3, 5, 7, 11)
PERIOD_WIDTHS = (1, 32, 128, 512, 1024, 1024)
SCALE_LAYERS = (  # channels in and out, kernel, stride, groups
    (1, 128, 15, 1, 1),
    (128, 128, 41, 2, 4),
    (128, 256, 41, 2, 16),
    (256, 512, 41, 4, 16),
    (512, 1024, 41, 4, 16),
    (1024, 1024, 41, 1, 16),
    (1024, 1024, 5, 1, 1),
)


class PeriodDiscriminator(nn.Module):
    """Convolutions (k, 1) over the columns of the waveform, folded into rows of ``period`` samples.

    (B, 1, T) -> the feature maps of all layers, the logits last.
    """

    def __init__(self, period: int):
        super().__init__()
        self.period = period
        layers = []
        for i in range(5):
            stride = 3 if i < 4 else 1
            conv = nn.Conv2d(PERIOD_WIDTHS[i], PERIOD_WIDTHS[i + 1], (5, 1), (stride, 1), padding=(2, 0))
            layers.append(weight_norm(conv))
        self.layers = nn.ModuleList(layers)
        self.last = weight_norm(nn.Conv2d(PERIOD_WIDTHS[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, waveform: Tensor) -> list[Tensor]:
        missing = -waveform.shape[2] % self.period
        folded = F.pad(waveform, (0, missing), mode="reflect") if missing else waveform
        return feature_maps(self, folded.view(len(folded), 1, -1, self.period))


class ScaleDiscriminator(nn.Module):
    """Strided and grouped convolutions with long kernels over the waveform.

    (B, 1, T) -> the feature maps of all layers, the logits last.
    """

    def __init__(self, norm):  # noqa: ANN001
        super().__init__()
        self.layers = nn.ModuleList(
            norm(nn.Conv1d(c_in, c_out, kernel, stride, padding=kernel // 2, groups=groups))
            for c_in, c_out, kernel, stride, groups in SCALE_LAYERS
        )
        self.last = norm(nn.Conv1d(SCALE_LAYERS[-1][1], 1, 3, padding=1))

    def forward(self, waveform: Tensor) -> list[Tensor]:
        return feature_maps(self, waveform)


def feature_maps(discriminator: PeriodDiscriminator | ScaleDiscriminator, x: Tensor) -> list[Tensor]:
    maps = []
    for layer in discriminator.layers:
        x = F.leaky_relu(layer(x), 0.1)
        maps.append(x)
    return [*maps, discriminator.last(x)]


class Discriminators(nn.Module):
    """Five periods, and three scales: the waveform, halved once and twice."""

    def __init__(self) -> None:
        super().__init__()
        self.periods = nn.ModuleList(PeriodDiscriminator(period) for period in PERIODS)
        self.scales = nn.ModuleList(ScaleDiscriminator(norm) for norm in (spectral_norm, weight_norm, weight_norm))
        self.halve = nn.AvgPool1d(4, 2, padding=2)

    def forward(self, waveform: Tensor) -> list[list[Tensor]]:
        outputs = [discriminator(waveform) for discriminator in self.periods]
        for i, discriminator in enumerate(self.scales):
            waveform = self.halve(waveform) if i else waveform
            outputs.append(discriminator(waveform))
        return outputs


class Plain:
    """The published training loop."""

    def __init__(self, recipe: Recipe, device: str):
        self.device, self.num_steps = torch.device(device), 0
        features = recipe.task.features
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=recipe.trainer.precision == "bf16-mixed")
        self.batches = Segments(manifest.read(recipe.data.train), recipe.data, features, recipe.trainer.seed)
        self.input_mel = LogMel(features).to(device)
        # Up to the Nyquist frequency; the epsilon keeps the root's gradient finite in silence.
        self.loss_mel = LogMel(features.model_copy(update={"fmax": None, "epsilon": 1e-10})).to(device)
        self.generator = recipe.generator.build(recipe.task).to(device)
        self.discriminators = Discriminators().to(device)
        self.optimizer_g = torch.optim.AdamW(self.generator.parameters(), LEARNING_RATE, BETAS)
        self.optimizer_d = torch.optim.AdamW(self.discriminators.parameters(), LEARNING_RATE, BETAS)

    @torch.no_grad()
    def copy_weights(self, generator: nn.Module, discriminators: nn.Module) -> None:
        """Copy weights and the vectors of spectral norm; kernels (k, 1) have as many values as kernels k."""
        for target, source in ((self.generator, generator), (self.discriminators, discriminators)):
            for kind in ("parameters", "buffers"):
                for tensor, value in zip(getattr(target, kind)(), getattr(source, kind)(), strict=True):
                    tensor.copy_(value.view_as(tensor))

    def step(self) -> Tensor:
        """Train on one batch; returns its mel loss."""
        real = self.batches.batch(self.num_steps).waveform.to(self.device)
        self.num_steps += 1
        with self.autocast:
            fake = self.generator(self.input_mel(real))
        self.train_discriminators(real, fake.detach())
        return self.train_generator(real, fake)

    def train_discriminators(self, real: Tensor, fake: Tensor) -> None:
        self.optimizer_d.zero_grad()
        with self.autocast:
            real_outputs, fake_outputs = self.discriminators(real), self.discriminators(fake)
        loss = sum(
            (1 - r[-1].float()).square().mean() + f[-1].float().square().mean()
            for r, f in zip(real_outputs, fake_outputs, strict=True)
        )
        loss.backward()
        self.optimizer_d.step()

    def train_generator(self, real: Tensor, fake: Tensor) -> Tensor:
        self.optimizer_g.zero_grad()
        with self.autocast:
            real_outputs, fake_outputs = self.discriminators(real), self.discriminators(fake)
        adversarial = sum((1 - f[-1].float()).square().mean() for f in fake_outputs)
        # Without the logits, as in the package: the adversarial term covers them.
        matching = sum(
            F.l1_loss(f.float(), r.float())
            for fakes, reals in zip(fake_outputs, real_outputs, strict=True)
            for f, r in zip(fakes[:-1], reals[:-1], strict=True)
        )
        mel = F.l1_loss(self.loss_mel(fake), self.loss_mel(real))
        (adversarial + FEATURE_MATCHING_WEIGHT * matching + MEL_WEIGHT * mel).backward()
        self.optimizer_g.step()
        return mel.detach()
