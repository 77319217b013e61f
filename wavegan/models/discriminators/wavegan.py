"""WaveGAN's discriminator (Donahue 2019, arXiv 1802.04208, table 4) with phase shuffle (section 3.3).

Shapes: B batch, T samples, V conditions.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.models.discriminators.base import BaseDiscriminatorConfig, Discriminator, DiscriminatorOutput
from wavegan.models.discriminators.projection import Projection
from wavegan.models.strides import KERNEL_SIZE, strides_for
from wavegan.tasks.base import BaseTaskConfig


class WaveGANDiscriminatorConfig(BaseDiscriminatorConfig):
    """``phase_shuffle``: the largest shift, in samples, of the first four layers' output; 2 is published, 0 is none."""

    name: Literal["wavegan"] = "wavegan"
    dim: int = Field(64, ge=1)
    phase_shuffle: int = Field(2, ge=0)

    def build(self, task: BaseTaskConfig) -> list[Discriminator]:
        return [WaveGANDiscriminator(self, task)]


class WaveGANDiscriminator(Discriminator):
    """(B, 1, T) -> logits (B, 1). Labels, not in the paper, by projection."""

    def __init__(self, config: WaveGANDiscriminatorConfig, task: BaseTaskConfig):
        super().__init__()
        self.phase_shuffle = config.phase_shuffle
        self.strides = strides_for(task.clip_length)
        factor = math.prod(self.strides)
        frames = math.ceil(task.clip_length / factor)
        self.num_samples = frames * factor
        widths = [config.dim * 2**i for i in range(len(self.strides))]
        self.convs = nn.ModuleList(
            nn.Conv1d(c_in, c_out, KERNEL_SIZE, stride)
            for c_in, c_out, stride in zip([1, *widths], widths, self.strides, strict=False)
        )
        self.out = nn.Linear(widths[-1] * frames, 1)
        self.projection = Projection(task.label_sizes, widths[-1])

    def analyse(self, waveform: Tensor) -> Tensor:
        return F.pad(waveform, (0, self.num_samples - waveform.shape[-1]))

    def judge(self, x: Tensor, label: Tensor | None = None) -> DiscriminatorOutput:
        feature_maps = []
        for i, (conv, stride) in enumerate(zip(self.convs, self.strides, strict=True)):
            left = (KERNEL_SIZE - stride) // 2
            x = F.leaky_relu(conv(F.pad(x, (left, KERNEL_SIZE - stride - left))), 0.2)
            if i < 4 and self.training:
                x = shuffle_phase(x, self.phase_shuffle)
            feature_maps.append(x)
        logits, direction = self.weigh(self.out, x.flatten(1))
        logits = logits + self.projection(x, label)
        return DiscriminatorOutput(logits, [*feature_maps, logits], direction)


def shuffle_phase(x: Tensor, most: int) -> Tensor:
    """Shift (B, C, N) by one random number of samples in [-most, most], with reflection padding."""
    if most == 0:
        return x
    shift = int(torch.randint(-most, most + 1, ()))
    length = x.shape[-1]
    padded = F.pad(x, (max(shift, 0), max(-shift, 0)), mode="reflect")
    return padded[..., :length] if shift > 0 else padded[..., padded.shape[-1] - length :]
