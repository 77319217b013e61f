"""Multi-scale discriminator, MSD (Kumar 2019, arXiv 1910.06711; as in Kong 2020, arXiv 2010.05646, section 2.3)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.models.discriminators.base import BaseDiscriminatorConfig, ConvDiscriminator, Discriminator
from wavegan.models.layers import LongConv1d, spectral_norm, weight_norm
from wavegan.tasks.base import BaseTaskConfig

KERNEL_SIZES = (15, 41, 41, 41, 41, 41, 5)
STRIDES = (1, 2, 2, 4, 4, 1, 1)
GROUPS = (1, 4, 16, 16, 16, 16, 1)


class ScaleConfig(BaseDiscriminatorConfig):
    """One sub-discriminator per scale; scale i reads the waveform averaged down by 2**i. Light: channels / 8."""

    name: Literal["scale"] = "scale"
    scales: int = Field(3, ge=1)
    channels: list[int] = Field([128, 128, 256, 512, 1024, 1024, 1024], min_length=7, max_length=7)

    @field_validator("channels")
    @classmethod
    def _check(cls, channels: list[int]) -> list[int]:
        for c_in, c_out, groups in zip([1, *channels], channels, GROUPS, strict=False):
            if c_out < 1 or c_in % min(groups, c_in) or c_out % min(groups, c_in):
                raise ValueError(f"{c_in} -> {c_out} channels can't be split into {groups} groups; use multiples of 16")
        return channels

    def build(self, task: BaseTaskConfig) -> list[Discriminator]:
        return [ScaleDiscriminator(i, self.channels, task.label_sizes) for i in range(self.scales)]


class ScaleDiscriminator(ConvDiscriminator):
    """(B, 1, T) -> logits (B, N). The raw scale is spectrally normalised, the others weight-normed, as published."""

    def __init__(self, poolings: int, channels: list[int], label_sizes: Sequence[int] = ()):
        norm = weight_norm if poolings else spectral_norm
        widths = [1, *channels]
        convs = [
            norm(LongConv1d(widths[i], widths[i + 1], k, STRIDES[i], padding=k // 2, groups=min(GROUPS[i], widths[i])))
            for i, k in enumerate(KERNEL_SIZES)
        ]
        conv_post = norm(nn.Conv1d(channels[-1], 1, 3, padding=1))
        super().__init__(convs, conv_post, partial(F.conv1d, padding=1), label_sizes)
        self.poolings = poolings

    def analyse(self, waveform: Tensor) -> Tensor:
        for _ in range(self.poolings):
            waveform = F.avg_pool1d(waveform, 4, 2, padding=2)
        return waveform
