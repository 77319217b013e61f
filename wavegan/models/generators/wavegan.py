"""WaveGAN's generator (Donahue 2019, arXiv 1802.04208, table 3): noise to waveform by transposed convolutions.

Shapes: B batch, Z latent, V conditions, T samples.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.models.generators.base import BaseGeneratorConfig, Generator
from wavegan.models.layers import LabelEmbeddings
from wavegan.models.strides import KERNEL_SIZE, strides_for
from wavegan.tasks.generation import GenerationConfig


class WaveGANConfig(BaseGeneratorConfig):
    """``dim`` 64 is published. Other lengths than 16,384 x 2 ** n start from fewer than 16 frames and are cut."""

    accepts: ClassVar = frozenset({"latent"})

    name: Literal["wavegan"] = "wavegan"
    dim: int = Field(64, ge=1)
    embedding_dim: int = Field(50, ge=1)

    def build(self, task: GenerationConfig) -> WaveGAN:
        return WaveGAN(self, task)


class WaveGAN(Generator):
    """(B, Z) and labels (B, V) -> waveform (B, 1, T). Labels, not in the paper, are embedded beside the latent."""

    def __init__(self, config: WaveGANConfig, task: GenerationConfig):
        super().__init__()
        self.length, self.strides = task.clip_length, strides_for(task.clip_length)
        start = math.ceil(self.length / math.prod(self.strides))
        widths = [config.dim * 2**i for i in reversed(range(len(self.strides)))]
        self.embeddings = LabelEmbeddings(task.label_sizes, config.embedding_dim)
        inputs = task.latent_dim + config.embedding_dim * len(task.label_sizes)
        self.start_shape = (widths[0], start)
        self.start = nn.Linear(inputs, widths[0] * start)
        self.convs = nn.ModuleList(
            nn.ConvTranspose1d(c_in, c_out, KERNEL_SIZE, stride)
            for c_in, c_out, stride in zip(widths, [*widths[1:], 1], self.strides, strict=True)
        )

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        x = F.relu(self.start(torch.cat([x, *self.embeddings(label)], dim=1)).unflatten(1, self.start_shape))
        for conv, stride in zip(self.convs, self.strides, strict=True):
            length = x.shape[-1] * stride
            left = (KERNEL_SIZE - stride) // 2  # "same" padding: the output is the input times the stride
            x = conv(x)[..., left : left + length]
            x = torch.tanh(x) if conv is self.convs[-1] else F.relu(x)
        return x[..., : self.length]
