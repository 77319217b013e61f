"""HiFi-GAN: log-mel -> waveform by transposed convolutions (Kong 2020, arXiv 2010.05646, section 2.2).

Shapes: B batch, M mel bands, F frames, C channels, T = F * product(upsample_rates) samples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.audio.log_mel import LogMelConfig
from wavegan.models.generators.base import BaseGeneratorConfig, Generator
from wavegan.models.generators.receptive_field import ReceptiveField
from wavegan.models.layers import CausalConvTranspose1d, same_conv, weight_norm
from wavegan.tasks.base import BaseTaskConfig

SLOPE = 0.1
FINAL_SLOPE = 0.01  # the published code leaves PyTorch's default here; published weights need it


Activation = Callable[[int], nn.Module]
Sizes = Annotated[list[Annotated[int, Field(ge=1, le=1024)]], Field(min_length=1, max_length=16)]


class HiFiGANConfig(BaseGeneratorConfig):
    """HiFi-GAN generator. The defaults are V1; ``resblock`` 1 has six convolutions a block, 2 has two.

    ``causal``: no look-ahead; a sample depends on the frames up to its own.
    """

    name: Literal["hifigan"] = "hifigan"
    resblock: Literal[1, 2] = 1
    upsample_rates: Sizes = [8, 8, 2, 2]
    upsample_kernel_sizes: Sizes = [16, 16, 4, 4]
    upsample_initial_channel: int = Field(512, ge=2)
    resblock_kernel_sizes: Sizes = [3, 7, 11]
    resblock_dilation_sizes: list[Sizes] = [[1, 3, 5], [1, 3, 5], [1, 3, 5]]
    causal: bool = False

    @model_validator(mode="after")
    def _check(self) -> HiFiGANConfig:
        if len(self.upsample_rates) != len(self.upsample_kernel_sizes):
            raise ValueError("upsample_rates and upsample_kernel_sizes must have the same length")
        for rate, kernel_size in zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True):
            if kernel_size < rate:
                raise ValueError(f"upsample kernel {kernel_size} must be at least its rate {rate}")
            if rate == 1 and kernel_size % 2 == 0:
                raise ValueError(f"upsample kernel {kernel_size} must be odd for the rate 1")
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            raise ValueError("resblock_kernel_sizes and resblock_dilation_sizes must have the same length")
        if any(k % 2 == 0 for k in self.resblock_kernel_sizes):
            raise ValueError(f"resblock_kernel_sizes must be odd, got {self.resblock_kernel_sizes}")
        if self.upsample_initial_channel % 2 ** len(self.upsample_rates):
            raise ValueError(f"upsample_initial_channel must be divisible by 2 ** {len(self.upsample_rates)}")
        return self

    def check_features(self, features: LogMelConfig) -> str | None:
        return check_rates(self.upsample_rates, features.hop_length)

    def build(self, task: BaseTaskConfig) -> HiFiGAN:
        return HiFiGAN(self, task.features)


def check_rates(upsample_rates: list[int], hop_length: int, bands: int = 1) -> str | None:
    """Return the reason why a frame doesn't become ``hop_length`` samples, or None."""
    product = math.prod(upsample_rates) * bands
    if product == hop_length:
        return None
    shown = " x ".join(map(str, upsample_rates)) + (f" x {bands} bands" if bands > 1 else "")
    return f"generator.upsample_rates multiply to {shown} = {product}, hop_length is {hop_length}"


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


class HiFiGAN(Generator):
    """Log-mel (B, M, F) -> waveform (B, 1, T).

    Weights begin as PyTorch makes them: the N(0, 0.01) of the published code never reaches its weight-normed layers.
    """

    def __init__(self, config: HiFiGANConfig, features: LogMelConfig, final_bias: bool = True):
        super().__init__()
        c = self.config = config
        self.hop_length = features.hop_length
        channels = [c.upsample_initial_channel // 2**i for i in range(len(c.upsample_rates) + 1)]
        self.conv_pre = weight_norm(same_conv(features.n_mels, channels[0], 7, causal=c.causal))
        self.ups = nn.ModuleList(
            weight_norm(upsampling(channels[i], channels[i + 1], k, rate, c.causal))
            for i, (rate, k) in enumerate(zip(c.upsample_rates, c.upsample_kernel_sizes, strict=True))
        )
        self.resblocks = nn.ModuleList(
            nn.ModuleList(
                ResBlock(c, width, k, dilations, self.activation)
                for k, dilations in zip(c.resblock_kernel_sizes, c.resblock_dilation_sizes, strict=True)
            )
            for width in channels[1:]
        )
        self.activation_post = self.activation(channels[-1], FINAL_SLOPE)
        self.conv_post = weight_norm(same_conv(channels[-1], 1, 7, causal=c.causal, bias=final_bias))

    def forward(self, x: Tensor, label: Tensor | None = None, first_frame: int | Tensor = 0) -> Tensor:
        x = self.conv_pre(x)
        for upsample, blocks in zip(self.ups, self.resblocks, strict=True):
            x = upsample(self.before_upsampling(x))
            x = torch.stack([block(x) for block in blocks]).mean(0)
        return self.bounded(self.conv_post(self.activation_post(x)))

    def activation(self, channels: int, slope: float = SLOPE) -> nn.Module:
        return nn.LeakyReLU(slope)

    def before_upsampling(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, SLOPE)

    def bounded(self, x: Tensor) -> Tensor:
        """Limit samples to [-1, 1]."""
        return torch.tanh(x)

    @property
    def context_frames(self) -> tuple[int, int]:
        """Frames before and after a frame that its samples depend on."""
        field = ReceptiveField.of_frame(self.hop_length).through(self.conv_post, self.activation_post)
        for upsample, blocks in zip(reversed(self.ups), reversed(self.resblocks), strict=True):
            field = field.union(*(field.through(*block.modules()) for block in blocks)).through(upsample)
        return field.through(self.conv_pre).context_frames


def upsampling(
    in_channels: int, out_channels: int, kernel_size: int, rate: int, causal: bool = False
) -> nn.ConvTranspose1d:
    """A transposed convolution from F to exactly F * rate; where kernel - rate is odd, as ParallelWaveGAN has it."""
    if causal:
        return CausalConvTranspose1d(in_channels, out_channels, kernel_size, rate)
    excess = kernel_size - rate
    padding = {"padding": (excess + 1) // 2, "output_padding": excess % 2}
    return nn.ConvTranspose1d(in_channels, out_channels, kernel_size, rate, **padding)


class ResBlock(nn.Module):
    """Residual branches in series: a dilated convolution each, and for ``resblock`` 1 a plain one after it."""

    def __init__(self, c: HiFiGANConfig, width: int, kernel_size: int, dilations: list[int], activation: Activation):
        super().__init__()
        parts = {"convs1": dilations, "convs2": [1] * len(dilations)} if c.resblock == 1 else {"convs": dilations}
        for name, sizes in parts.items():
            convs = (weight_norm(same_conv(width, width, kernel_size, size, c.causal)) for size in sizes)
            self.add_module(name, nn.ModuleList(convs))
        self.names = tuple(parts)
        self.activations = nn.ModuleList(activation(width) for _ in range(len(parts) * len(dilations)))

    def branches(self) -> list[tuple[nn.Conv1d, ...]]:
        """The convolutions of each branch."""
        return list(zip(*(getattr(self, name) for name in self.names), strict=True))

    def forward(self, x: Tensor) -> Tensor:
        for i, convs in enumerate(self.branches()):
            hidden = x
            for j, conv in enumerate(convs):
                hidden = conv(self.activations[i * len(convs) + j](hidden))
            x = x + hidden
        return x
