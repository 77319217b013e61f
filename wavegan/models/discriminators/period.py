"""Multi-period discriminator, MPD (Kong 2020, arXiv 2010.05646, section 2.3).

The published Conv2d with (k, 1) kernels runs along the strided axis of memory. Here the period comes first and time
last, (B, C, period, N), so that a (1, k) kernel reads neighbours: the same mathematics and parameters, faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.models.discriminators.base import (
    BaseDiscriminatorConfig,
    ConvDiscriminator,
    Discriminator,
    DiscriminatorOutput,
)
from wavegan.models.layers import weight_norm
from wavegan.tasks.base import BaseTaskConfig


class PeriodConfig(BaseDiscriminatorConfig):
    """One sub-discriminator per period. The defaults are the published width; light: [16, 32, 64, 128, 128]."""

    name: Literal["period"] = "period"
    periods: list[Annotated[int, Field(ge=1)]] = Field([2, 3, 5, 7, 11], min_length=1)
    channels: list[int] = Field([32, 128, 512, 1024, 1024], min_length=1)

    def build(self, task: BaseTaskConfig) -> list[Discriminator]:
        return [PeriodDiscriminator(period, self.channels, task.label_sizes) for period in self.periods]


class PeriodDiscriminator(ConvDiscriminator):
    """(B, 1, T) -> logits (B, N)."""

    def __init__(self, period: int, channels: list[int], label_sizes: Sequence[int] = ()):
        strides = [3] * (len(channels) - 1) + [1]
        convs = [
            weight_norm(RowConv(c_in, c_out, 5, stride, padding=2))
            for c_in, c_out, stride in zip([1, *channels], channels, strides, strict=False)
        ]
        super().__init__(convs, weight_norm(nn.Conv1d(channels[-1], 1, 3, padding=1)), _along_time, label_sizes)
        self.period = period

    def judge(self, x: Tensor, label: Tensor | None = None) -> DiscriminatorOutput:
        x = F.pad(x, (0, -x.shape[-1] % self.period), mode="reflect")
        x = x.unflatten(2, (-1, self.period)).transpose(2, 3).contiguous()  # (B, 1, p, T / p)
        return super().judge(x, label)


class RowConv(nn.Conv1d):
    """A 1-D convolution of every row of (B, C, p, N)."""

    def forward(self, x: Tensor) -> Tensor:
        return _along_time(x, self.weight, self.bias, self.stride[0])


def _along_time(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> Tensor:
    """A 1-D convolution, padded to keep the length, of every row of (B, C, p, N)."""
    return F.conv2d(x, weight.unsqueeze(2), bias, (1, stride), (0, weight.shape[-1] // 2))
