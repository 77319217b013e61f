"""MelGAN: log-mel -> waveform by transposed convolutions and residual stacks (Kumar 2019, arXiv 1910.06711, table 1);
with several bands, which a fixed filterbank joins to the waveform, multi-band MelGAN (Yang 2020, arXiv 2005.05106).

Shapes: B batch, M mel bands, F frames, C channels, T = F * product(upsample_rates) * bands samples.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.audio.log_mel import LogMelConfig
from wavegan.audio.pqmf import PQMF, PQMFConfig
from wavegan.models.generators.base import BaseGeneratorConfig, Generator
from wavegan.models.generators.hifigan import Sizes, check_rates, upsampling
from wavegan.models.generators.receptive_field import ReceptiveField
from wavegan.models.layers import same_padding, weight_norm
from wavegan.tasks.base import BaseTaskConfig

SLOPE = 0.2
KERNEL_SIZE = 7  # of the first and the last convolution


class MelGANConfig(BaseGeneratorConfig):
    """MelGAN generator; the defaults are the paper's.

    ``stacks``: residual stacks per stage, of dilation stack_kernel_size ** 0, 1, ... ``bands``: above 1, the network
    makes that many at 1 / bands of the rate.
    """

    name: Literal["melgan"] = "melgan"
    upsample_rates: Sizes = [8, 8, 2, 2]
    upsample_initial_channel: int = Field(512, ge=2)
    stacks: int = Field(3, ge=1, le=8)
    stack_kernel_size: int = Field(3, ge=1, le=1024)
    bands: int = Field(1, ge=1, le=64)
    pqmf: PQMFConfig = PQMFConfig()

    @model_validator(mode="after")
    def _check(self) -> MelGANConfig:
        if self.upsample_initial_channel % 2 ** len(self.upsample_rates):
            raise ValueError(f"upsample_initial_channel must be divisible by 2 ** {len(self.upsample_rates)}")
        if self.stack_kernel_size % 2 == 0:
            raise ValueError(f"stack_kernel_size must be odd, got {self.stack_kernel_size}")
        if self.stack_kernel_size**self.stacks > 65536:
            raise ValueError(f"{self.stacks} stacks of kernel {self.stack_kernel_size} reach further than 65536")
        return self

    def check_features(self, features: LogMelConfig) -> str | None:
        return check_rates(self.upsample_rates, features.hop_length, self.bands)

    def build(self, task: BaseTaskConfig) -> MelGAN:
        return MelGAN(self, task.features)


# Yang 2020 at a hop of 256, in the sizes of the package ParallelWaveGAN.
FULL_BAND = MelGANConfig(upsample_rates=[8, 8, 4], stacks=4)
MULTI_BAND = MelGANConfig(upsample_rates=[8, 4, 2], upsample_initial_channel=384, stacks=4, bands=4)


class MelGAN(Generator):
    """Log-mel (B, M, F) -> waveform (B, 1, T).

    Weights begin as PyTorch makes them: the N(0, 0.02) of the published code never reaches its weight-normed layers.
    """

    def __init__(self, config: MelGANConfig, features: LogMelConfig):
        super().__init__()
        c = config
        self.hop_length = features.hop_length
        channels = [c.upsample_initial_channel // 2**i for i in range(len(c.upsample_rates) + 1)]
        self.conv_pre = _conv(features.n_mels, channels[0], KERNEL_SIZE)
        self.ups = nn.ModuleList(
            weight_norm(upsampling(channels[i], channels[i + 1], 2 * rate, rate))
            for i, rate in enumerate(c.upsample_rates)
        )
        self.stacks = nn.ModuleList(
            nn.ModuleList(ResidualStack(width, c.stack_kernel_size, c.stack_kernel_size**j) for j in range(c.stacks))
            for width in channels[1:]
        )
        self.conv_post = _conv(channels[-1], c.bands, KERNEL_SIZE)
        self.pqmf = PQMF(c.bands, c.pqmf) if c.bands > 1 else None

    def forward(self, x: Tensor, label: Tensor | None = None, first_frame: int | Tensor = 0) -> Tensor:
        x = self.conv_pre(x)
        for upsample, stacks in zip(self.ups, self.stacks, strict=True):
            x = upsample(F.leaky_relu(x, SLOPE))
            for stack in stacks:
                x = stack(x)
        x = torch.tanh(self.conv_post(F.leaky_relu(x, SLOPE)))
        if self.pqmf is None:
            return x
        with torch.autocast(x.device.type, enabled=False):
            return self.pqmf.synthesis(x.float())

    @property
    def context_frames(self) -> tuple[int, int]:
        """Frames before and after a frame that its samples depend on."""
        field = ReceptiveField.of_frame(self.hop_length)
        if self.pqmf is not None:
            first, last = field.wider(self.pqmf.taps // 2, self.pqmf.taps // 2)
            field = ReceptiveField(-(-first // self.pqmf.bands), last // self.pqmf.bands)
        field = field.through(self.conv_post)
        for upsample, stacks in zip(reversed(self.ups), reversed(self.stacks), strict=True):
            field = field.through(*(stack.dilated for stack in stacks), upsample)
        return field.through(self.conv_pre).context_frames


class ResidualStack(nn.Module):
    """A dilated convolution and a pointwise one, beside a pointwise skip connection."""

    def __init__(self, channels: int, kernel_size: int, dilation: int):
        super().__init__()
        self.dilated = _conv(channels, channels, kernel_size, dilation)
        self.pointwise = weight_norm(nn.Conv1d(channels, channels, 1))
        self.skip = weight_norm(nn.Conv1d(channels, channels, 1))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.dilated(F.leaky_relu(x, SLOPE))
        return self.pointwise(F.leaky_relu(hidden, SLOPE)) + self.skip(x)


class MirroredConv(nn.Conv1d):
    """A convolution with reflection padding; past the reflection of a short input, its last sample is repeated."""

    def forward(self, x: Tensor) -> Tensor:
        (amount,), last = self.padding, x.shape[-1] - 1
        distance = torch.arange(1, amount + 1, device=x.device)
        left, right = distance.flip(0).clamp(max=last), (last - distance).clamp(min=0)
        x = torch.cat([x.index_select(-1, left), x, x.index_select(-1, right)], dim=-1)
        return F.conv1d(x, self.weight, self.bias, dilation=self.dilation)


def _conv(in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1) -> nn.Module:
    padding = same_padding(kernel_size, dilation)
    return weight_norm(MirroredConv(in_channels, out_channels, kernel_size, padding=padding, dilation=dilation))
