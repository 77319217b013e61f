"""Noise and labels to waveform at low cost: a style network, a trunk over log-mel frames, a spectral generator.

The trunk is a 1-D network over mel frames, as in ASGAN (Baas 2022, arXiv 2210.05271); frames cost a hundredth of
samples. Discriminators judge the waveform: their gradient passes through the spectral generator.

Shapes: B batch, Z latent, S style, C channels, M mel bands, F frames, V conditions, T = F * hop_length samples.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.models.generators.base import BaseGeneratorConfig, Generator
from wavegan.models.generators.spectral import SpectralConfig, SpectralGenerator
from wavegan.models.layers import LabelEmbeddings, initialise_kaiming, same_padding
from wavegan.tasks.base import BaseTaskConfig
from wavegan.tasks.generation import GenerationConfig


class LatentConfig(BaseGeneratorConfig):
    """``channels`` decides the cost on a CPU; the clip's frames must be divisible by 2 ** ``num_stages``.

    ``vocoder``: turns the mel frames into the waveform; left out for tasks that make mels.
    """

    accepts: ClassVar = frozenset({"latent"})
    makes: ClassVar = frozenset({"waveform", "mel"})

    name: Literal["latent"] = "latent"
    style_dim: int = Field(128, ge=1)
    channels: int = Field(112, ge=1)
    kernel_size: int = Field(5, ge=1, le=1024)
    num_stages: int = Field(4, ge=1, le=16)
    vocoder: SpectralConfig | None = None

    def check_task(self, task: BaseTaskConfig) -> str | None:
        samples = task.features.hop_length * 2**self.num_stages
        if task.clip_length % samples:
            multiple = f"hop_length x 2 ** generator.num_stages = {samples}"
            return f"task.length {task.clip_length} must be a multiple of {multiple}"
        if self.kernel_size % 2 == 0:
            return f"generator.kernel_size must be odd, got {self.kernel_size}"
        if (task.makes == "mel") != (self.vocoder is None):
            action = "left out" if self.vocoder else "given"
            return f"the task '{task.name}' makes {task.makes}s: generator.vocoder must be {action}"
        return self.vocoder.check_features(task.features) if self.vocoder else None

    def stages(self, max_steps: int) -> dict[str, int]:
        return self.vocoder.stages(max_steps) if self.vocoder else {}

    def build(self, task: GenerationConfig) -> LatentGenerator:
        return LatentGenerator(self, task)


class LatentGenerator(Generator):
    """(B, Z) and labels (B, V) -> waveform (B, 1, T), or, without a vocoder, log-mel (B, M, F)."""

    def __init__(self, config: LatentConfig, task: GenerationConfig):
        super().__init__()
        self.trunk = Trunk(config, task)
        self.vocoder = None if config.vocoder is None else SpectralGenerator(config.vocoder, task.features)

    def forward(self, x: Tensor, label: Tensor | None = None) -> Tensor:
        return self.generate(x, label)[0]

    def generate(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        mel = self.trunk(x, label)
        return (mel, None) if self.vocoder is None else self.vocoder.generate(mel)

    def at(self, step: int, max_steps: int) -> None:
        if self.vocoder is not None:
            self.vocoder.at(step, max_steps)


class Trunk(nn.Module):
    """(B, Z) and labels (B, V) -> log-mel (B, M, F)."""

    def __init__(self, config: LatentConfig, task: GenerationConfig):
        super().__init__()
        c, features = config, task.features
        self.channels = c.channels
        self.shift, self.scale = features.normal_range
        self.floor = features.log_floor
        self.embeddings = LabelEmbeddings(task.label_sizes, c.style_dim // 2)
        width = task.latent_dim + len(task.label_sizes) * (c.style_dim // 2)
        self.style = nn.Sequential(
            nn.Linear(width, c.style_dim), nn.LeakyReLU(0.2), nn.Linear(c.style_dim, c.style_dim), nn.LeakyReLU(0.2)
        )
        start = task.clip_length // features.hop_length // 2**c.num_stages
        self.start = nn.Linear(c.style_dim, c.channels * start)
        self.stages = nn.ModuleList(StyleBlock(c.channels, c.style_dim, c.kernel_size) for _ in range(c.num_stages))
        self.out = nn.Conv1d(c.channels, features.n_mels, c.kernel_size, padding=same_padding(c.kernel_size))
        initialise_kaiming(self)
        for stage in self.stages:  # residual branches begin small, styles near the identity
            nn.init.normal_(stage.convs[-1].weight, std=1e-3)
            nn.init.normal_(stage.modulation.weight, std=0.5 * c.style_dim**-0.5)

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        style = self.style(torch.cat([z, *self.embeddings(label)], dim=1))
        hidden = self.start(style).unflatten(1, (self.channels, -1))
        for stage in self.stages:
            hidden = F.interpolate(hidden, scale_factor=2.0, mode="linear", align_corners=False)
            hidden = stage(hidden, style)
        mel = self.out(F.leaky_relu(hidden, 0.2)) / self.scale + self.shift
        mel = self.floor + F.softplus(mel - self.floor)  # soft, so that the gradient doesn't vanish in silence
        return mel.clamp(max=self.shift + 5 / self.scale)  # far above a full-scale tone: exp stays finite


class StyleBlock(nn.Module):
    """Residual block whose input the style scales and shifts (FiLM, Perez 2018, arXiv 1709.07871)."""

    def __init__(self, channels: int, style_dim: int, kernel_size: int):
        super().__init__()
        self.modulation = nn.Linear(style_dim, 2 * channels)
        self.convs = nn.ModuleList(
            nn.Conv1d(channels, channels, kernel_size, padding=same_padding(kernel_size)) for _ in range(2)
        )

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        scale, shift = self.modulation(style).unsqueeze(-1).chunk(2, dim=1)
        hidden = x * (1 + scale) + shift
        for conv in self.convs:
            hidden = conv(F.leaky_relu(hidden, 0.2))
        return x + hidden
