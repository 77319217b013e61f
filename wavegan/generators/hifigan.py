"""HiFi-GAN: log-mel -> waveform by transposed convolutions (Kong 2020, arXiv 2010.05646, section 2.2).

Shapes: B batch, M mel bands, F frames, C channels, T = F * product(upsample_rates) samples.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.config import Config
from wavegan.dsp import LogMelConfig
from wavegan.layers import same_padding, weight_norm

if TYPE_CHECKING:
    from wavegan.tasks import TaskConfig

SLOPE = 0.1
FINAL_SLOPE = 0.01  # the published code leaves PyTorch's default here; published weights need it


class HiFiGANConfig(Config):
    """HiFi-GAN generator. The defaults are V1; ``resblock`` 1 has six convolutions a block, 2 has two."""

    name: Literal["hifigan"] = "hifigan"
    resblock: Literal[1, 2] = 1
    upsample_rates: list[int] = [8, 8, 2, 2]
    upsample_kernel_sizes: list[int] = [16, 16, 4, 4]
    upsample_initial_channel: int = Field(512, ge=2)
    resblock_kernel_sizes: list[int] = [3, 7, 11]
    resblock_dilation_sizes: list[list[int]] = [[1, 3, 5], [1, 3, 5], [1, 3, 5]]

    @model_validator(mode="after")
    def _check(self) -> HiFiGANConfig:
        if len(self.upsample_rates) != len(self.upsample_kernel_sizes):
            raise ValueError("upsample_rates and upsample_kernel_sizes must have the same length")
        for rate, kernel_size in zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True):
            if kernel_size < rate or (kernel_size - rate) % 2:
                raise ValueError(f"upsample kernel {kernel_size} must exceed its rate {rate} by an even number")
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            raise ValueError("resblock_kernel_sizes and resblock_dilation_sizes must have the same length")
        if any(k % 2 == 0 for k in self.resblock_kernel_sizes):
            raise ValueError(f"resblock_kernel_sizes must be odd, got {self.resblock_kernel_sizes}")
        if self.upsample_initial_channel % 2 ** len(self.upsample_rates):
            raise ValueError(f"upsample_initial_channel must be divisible by 2 ** {len(self.upsample_rates)}")
        return self

    def check(self, task: TaskConfig) -> str | None:
        """Why this generator can't do the task, or None."""
        if task.name != "vocoder":
            return f"generator 'hifigan' reads mels; the task is '{task.name}'"
        features = task.features
        product = math.prod(self.upsample_rates)
        if product != features.hop_length:
            shown = " x ".join(map(str, self.upsample_rates))
            return f"generator.upsample_rates multiply to {shown} = {product}, hop_length is {features.hop_length}"
        return None

    def build(self, task: TaskConfig) -> HiFiGAN:
        return HiFiGAN(self, task.features)


V1 = HiFiGANConfig()
V2 = HiFiGANConfig(upsample_initial_channel=128)
V3 = HiFiGANConfig(
    resblock=2,
    upsample_rates=[8, 8, 4],
    upsample_kernel_sizes=[16, 16, 8],
    upsample_initial_channel=256,
    resblock_kernel_sizes=[3, 5, 7],
    resblock_dilation_sizes=[[1, 2], [2, 6], [3, 12]],
)


class HiFiGAN(nn.Module):
    """Log-mel (B, M, F) -> waveform (B, 1, T).

    Weights begin as PyTorch makes them: the N(0, 0.01) of the published code never reaches its weight-normed layers.
    """

    def __init__(self, config: HiFiGANConfig, features: LogMelConfig):
        super().__init__()
        c = config
        channels = [c.upsample_initial_channel // 2**i for i in range(len(c.upsample_rates) + 1)]
        self.conv_pre = weight_norm(nn.Conv1d(features.n_mels, channels[0], 7, padding=3))
        self.ups = nn.ModuleList(
            weight_norm(nn.ConvTranspose1d(channels[i], channels[i + 1], k, rate, padding=(k - rate) // 2))
            for i, (rate, k) in enumerate(zip(c.upsample_rates, c.upsample_kernel_sizes, strict=True))
        )
        block = ResBlock1 if c.resblock == 1 else ResBlock2
        self.resblocks = nn.ModuleList(
            nn.ModuleList(
                block(width, k, dilations)
                for k, dilations in zip(c.resblock_kernel_sizes, c.resblock_dilation_sizes, strict=True)
            )
            for width in channels[1:]
        )
        self.conv_post = weight_norm(nn.Conv1d(channels[-1], 1, 7, padding=3))

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        x = self.conv_pre(x)
        for upsample, blocks in zip(self.ups, self.resblocks, strict=True):
            x = upsample(F.leaky_relu(x, SLOPE))
            x = torch.stack([block(x) for block in blocks]).mean(0)
        return torch.tanh(self.conv_post(F.leaky_relu(x, FINAL_SLOPE)))

    def generate(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor, None]:
        return self(x, label), None

    @property
    def context_frames(self) -> int:
        """Frames on each side that can change a frame's samples: the receptive field, rounded up."""
        reach, scale = 3.0, 1.0  # conv_pre
        for upsample, blocks in zip(self.ups, self.resblocks, strict=True):
            reach += upsample.kernel_size[0] / upsample.stride[0] / scale
            scale *= upsample.stride[0]
            reach += max(block.reach for block in blocks) / scale
        return math.ceil(reach + 3 / scale) + 1


class ResBlock1(nn.Module):
    """Pairs of a dilated and a plain convolution with a residual each."""

    def __init__(self, channels: int, kernel_size: int, dilations: list[int]):
        super().__init__()
        self.convs1 = nn.ModuleList(_conv(channels, kernel_size, d) for d in dilations)
        self.convs2 = nn.ModuleList(_conv(channels, kernel_size, 1) for _ in dilations)
        self.reach = sum(same_padding(kernel_size, d) + same_padding(kernel_size) for d in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for conv1, conv2 in zip(self.convs1, self.convs2, strict=True):
            x = x + conv2(F.leaky_relu(conv1(F.leaky_relu(x, SLOPE)), SLOPE))
        return x


class ResBlock2(nn.Module):
    """Dilated convolutions with a residual each."""

    def __init__(self, channels: int, kernel_size: int, dilations: list[int]):
        super().__init__()
        self.convs = nn.ModuleList(_conv(channels, kernel_size, d) for d in dilations)
        self.reach = sum(same_padding(kernel_size, d) for d in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for conv in self.convs:
            x = x + conv(F.leaky_relu(x, SLOPE))
        return x


def _conv(channels: int, kernel_size: int, dilation: int) -> nn.Module:
    padding = same_padding(kernel_size, dilation)
    return weight_norm(nn.Conv1d(channels, channels, kernel_size, dilation=dilation, padding=padding))
