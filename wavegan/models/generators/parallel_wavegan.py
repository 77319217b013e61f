"""Parallel WaveGAN: noise and a log-mel -> waveform by a non-causal WaveNet (Yamamoto 2020, arXiv 1910.11480).

The upsampling of the mel, repetition and smoothing, is that of the published weights.

Shapes: B batch, M mel bands, F frames, C residual channels, G gate channels, T = F * product(upsample_rates) samples.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.audio.log_mel import LogMelConfig
from wavegan.models.generators.base import BaseGeneratorConfig, Generator
from wavegan.models.generators.hifigan import Sizes, check_rates
from wavegan.models.generators.receptive_field import ReceptiveField
from wavegan.models.layers import same_padding, weight_norm
from wavegan.tasks.base import BaseTaskConfig


class ParallelWaveGANConfig(BaseGeneratorConfig):
    """Parallel WaveGAN generator; the defaults are the paper's.

    Dilations double from 1 in each of ``stacks`` parts of the ``layers``. ``context``: frames on each side in the
    first convolution over the mel.
    """

    name: Literal["parallel_wavegan"] = "parallel_wavegan"
    upsample_rates: Sizes = [4, 4, 4, 4]
    context: int = Field(2, ge=0, le=1024)
    layers: int = Field(30, ge=1, le=1024)
    stacks: int = Field(3, ge=1)
    kernel_size: int = Field(3, ge=1, le=1024)
    residual_channels: int = Field(64, ge=1)
    gate_channels: int = Field(128, ge=2, multiple_of=2)
    skip_channels: int = Field(64, ge=1)

    @model_validator(mode="after")
    def _check(self) -> ParallelWaveGANConfig:
        if self.layers % self.stacks:
            raise ValueError(f"layers {self.layers} must be a multiple of stacks {self.stacks}")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {self.kernel_size}")
        if self.layers // self.stacks > 16:
            raise ValueError(f"{self.layers // self.stacks} layers a stack double the dilation too often: at most 16")
        return self

    def check_features(self, features: LogMelConfig) -> str | None:
        return check_rates(self.upsample_rates, features.hop_length)

    def build(self, task: BaseTaskConfig) -> ParallelWaveGAN:
        return ParallelWaveGAN(self, task.features)


class ParallelWaveGAN(Generator):
    """Log-mel (B, M, F), and noise (B, 1, T), -> waveform (B, 1, T)."""

    def __init__(self, config: ParallelWaveGANConfig, features: LogMelConfig):
        super().__init__()
        c = config
        self.rates, self.hop_length = c.upsample_rates, features.hop_length
        # Replicates the ends of the mel, in training those of the crop; the published training crops wider mels.
        ends = {"bias": False, "padding_mode": "replicate"}
        self.conv_in = _conv(features.n_mels, features.n_mels, 2 * c.context + 1, **ends)
        self.smooth = nn.ModuleList(_average(2 * rate + 1) for rate in c.upsample_rates)
        self.first_conv = _conv(1, c.residual_channels, 1)
        self.blocks = nn.ModuleList(
            Block(c, features.n_mels, 2 ** (i % (c.layers // c.stacks)), last=i == c.layers - 1)
            for i in range(c.layers)
        )
        self.last_convs = nn.ModuleList(_conv(c.skip_channels, width, 1) for width in (c.skip_channels, 1))

    def forward(
        self, x: Tensor, label: Tensor | None = None, first_frame: int | Tensor = 0, noise: Tensor | None = None
    ) -> Tensor:
        """``noise``: (B, 1, T); drawn by default, in training from torch's global random state, else by ``noise()``."""
        condition = self.upsample(x)
        hidden = self.first_conv(self._draw(x, first_frame) if noise is None else noise)
        total = 0.0
        for block in self.blocks:
            hidden, skip = block(hidden, condition)
            total = total + skip
        total = total * len(self.blocks) ** -0.5
        for conv in self.last_convs:
            total = conv(F.relu(total))
        return total  # no tanh: the published network has none

    def upsample(self, x: Tensor) -> Tensor:
        """Log-mel (B, M, F) -> (B, M, T)."""
        x = self.conv_in(x).unsqueeze(1)
        for rate, smooth in zip(self.rates, self.smooth, strict=True):
            x = smooth(x.unsqueeze(-1).expand(*x.shape, rate).flatten(-2))
        return x.squeeze(1)

    def noise(self, first_frame: int, num_frames: int, seed: int = 0) -> Tensor:
        """N(0, 1), (1, num_frames * hop_length), the same for a frame wherever a window begins.

        Drawn by a counter (Philox; Salmon 2011, doi 10.1145/2063384.2063405): each frame has its own stream.
        """
        frames = range(first_frame, first_frame + num_frames)
        streams = (np.random.Generator(np.random.Philox(key=seed, counter=frame << 64)) for frame in frames)
        return torch.from_numpy(np.stack([s.standard_normal(self.hop_length, np.float32) for s in streams])).view(1, -1)

    def _draw(self, x: Tensor, first_frame: int | Tensor) -> Tensor:
        shape = (len(x), 1, x.shape[-1] * self.hop_length)
        if self.training:
            return torch.randn(shape, device=x.device, dtype=x.dtype)
        starts = torch.as_tensor(first_frame).expand(len(x)).tolist()
        drawn = {start: self.noise(start, x.shape[-1]) for start in set(starts)}
        return torch.stack([drawn[start] for start in starts]).to(x)

    @property
    def context_frames(self) -> tuple[int, int]:
        """Frames before and after a frame that its samples depend on."""
        field = ReceptiveField.of_frame(self.hop_length).through(*(block.conv for block in self.blocks))
        for rate in reversed(self.rates):
            first, last = field.wider(rate, rate)
            field = ReceptiveField(first // rate, last // rate)
        return field.through(self.conv_in).context_frames


class Block(nn.Module):
    """Gated dilated convolution; the last block has no residual output, which nothing would read."""

    def __init__(self, config: ParallelWaveGANConfig, n_mels: int, dilation: int, last: bool):
        super().__init__()
        c = config
        self.conv = _conv(c.residual_channels, c.gate_channels, c.kernel_size, dilation)
        self.condition = _conv(n_mels, c.gate_channels, 1, bias=False)
        self.skip = _conv(c.gate_channels // 2, c.skip_channels, 1)
        self.out = None if last else _conv(c.gate_channels // 2, c.residual_channels, 1)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """(B, C, T) and the mel (B, M, T) -> the next block's input and the skip connection."""
        filtered, gate = (self.conv(x) + self.condition(condition)).chunk(2, dim=1)
        hidden = torch.tanh(filtered) * torch.sigmoid(gate)
        x = x if self.out is None else (self.out(hidden) + x) * math.sqrt(0.5)
        return x, self.skip(hidden)


def _conv(
    in_channels: int,
    out_channels: int,
    kernel_size: int,
    dilation: int = 1,
    bias: bool = True,
    padding_mode: Literal["zeros", "replicate"] = "zeros",
) -> nn.Module:
    """A convolution that keeps the length, initialised as in the published code."""
    options = {"padding": same_padding(kernel_size, dilation), "padding_mode": padding_mode, "bias": bias}
    conv = nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, **options)
    nn.init.kaiming_normal_(conv.weight, nonlinearity="relu")
    if bias:
        nn.init.zeros_(conv.bias)
    return weight_norm(conv)


def _average(kernel_size: int) -> nn.Module:
    """Smoothing along time, the same in every band; initialised as a moving average."""
    conv = nn.Conv2d(1, 1, (1, kernel_size), padding=(0, kernel_size // 2), bias=False)
    nn.init.constant_(conv.weight, 1 / kernel_size)
    return weight_norm(conv)
