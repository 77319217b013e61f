"""Multi-period discriminator, MPD (Kong 2020, arXiv 2010.05646, section 2.3).

The published Conv2d with (k, 1) kernels runs along the strided axis of memory. Here the period comes first and time
last, (B, C, period, N), so that a (1, k) kernel reads neighbours: the same mathematics and parameters, faster.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.core.config import Config
from wavegan.models.discriminators.base import Discriminator, DiscriminatorOutput
from wavegan.models.discriminators.projection import Projection
from wavegan.models.layers import weight_norm

if TYPE_CHECKING:
    from wavegan.tasks import TaskConfig


class PeriodConfig(Config):
    """One sub-discriminator a period. The defaults are the published width; light: [16, 32, 64, 128, 128]."""

    name: Literal["period"] = "period"
    periods: list[Annotated[int, Field(ge=1)]] = Field([2, 3, 5, 7, 11], min_length=1)
    channels: list[int] = Field([32, 128, 512, 1024, 1024], min_length=1)

    def build(self, task: TaskConfig) -> list[nn.Module]:
        return [PeriodDiscriminator(period, self.channels, task.label_sizes) for period in self.periods]


class PeriodDiscriminator(Discriminator):
    """(B, 1, T) -> logits (B, N)."""

    def __init__(self, period: int, channels: list[int], label_sizes: Sequence[int] = ()):
        super().__init__()
        self.period = period
        widths = [1, *channels]
        strides = [3] * (len(channels) - 1) + [1]
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv1d(c_in, c_out, 5, stride, padding=2))
            for c_in, c_out, stride in zip(widths, channels, strides, strict=False)
        )
        self.conv_post = weight_norm(nn.Conv1d(channels[-1], 1, 3, padding=1))
        self.projection = Projection(label_sizes, channels[-1])

    def judge(self, x: Tensor, label: Tensor | None = None) -> DiscriminatorOutput:
        waveform = F.pad(x, (0, -x.shape[-1] % self.period), mode="reflect")
        x = waveform.unflatten(2, (-1, self.period)).transpose(2, 3).contiguous()  # (B, 1, p, T / p)
        feature_maps = []
        for conv in self.convs:
            x = F.leaky_relu(_along_time(x, conv.weight, conv.bias, conv.stride[0]), 0.1)
            feature_maps.append(x)
        logits, direction = self.weigh(self.conv_post, x, _along_time)
        feature_maps.append(logits)
        return DiscriminatorOutput(logits.flatten(1) + self.projection(x, label), feature_maps, direction)


def _along_time(x: Tensor, weight: Tensor, bias: Tensor, stride: int = 1) -> Tensor:
    """A 1-D convolution, padded to keep the length, of every row of (B, C, p, N)."""
    return F.conv2d(x, weight.unsqueeze(2), bias, (1, stride), (0, weight.shape[-1] // 2))
