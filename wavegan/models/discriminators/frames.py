"""Frame discriminator: 1-D convolutions over the log-mel frames of a waveform (ASGAN, Baas 2022, arXiv 2210.05271).

The cheapest judge of words and speakers; several resolutions resolve both the pulses and the harmonics of a voice.

Shapes: B batch, T samples, M mel bands, F frames.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.audio.log_mel import LogMel
from wavegan.models.discriminators.base import BaseDiscriminatorConfig, Discriminator, DiscriminatorOutput
from wavegan.models.discriminators.projection import Projection
from wavegan.models.layers import initialise_kaiming, same_padding
from wavegan.tasks.base import BaseTaskConfig


class FramesConfig(BaseDiscriminatorConfig):
    """One sub-discriminator per resolution [n_fft, hop_length, n_mels]; frames are pooled until about 8 are left."""

    name: Literal["frames"] = "frames"
    resolutions: list[tuple[int, int, int]] = Field([(256, 64, 64)], min_length=1)
    channels: int = Field(112, ge=1)
    kernel_size: int = Field(5, ge=1)

    @model_validator(mode="after")
    def _check(self) -> FramesConfig:
        for n_fft, hop_length, n_mels in self.resolutions:
            if not (n_fft >= 16 and n_fft % 2 == 0 and 1 <= hop_length <= n_fft // 2 and n_mels >= 1):
                raise ValueError(f"[{n_fft}, {hop_length}, {n_mels}] should be [n_fft, hop, n_mels], 2 hop <= n_fft")
        if self.kernel_size % 2 == 0:
            raise ValueError(f"kernel_size must be odd, got {self.kernel_size}")
        return self

    def build(self, task: BaseTaskConfig) -> list[Discriminator]:
        return [FramesDiscriminator(self, task, resolution) for resolution in self.resolutions]


class FramesDiscriminator(Discriminator):
    """(B, 1, T) -> logits (B, 1), one for the whole clip."""

    def __init__(self, config: FramesConfig, task: BaseTaskConfig, resolution: tuple[int, int, int]):
        super().__init__()
        n_fft, hop_length, n_mels = resolution
        update = {"n_fft": n_fft, "hop_length": hop_length, "n_mels": n_mels, "win_length": None}
        update |= {"padding": "center", "mean": None, "std": None, "epsilon": 1e-9}  # a finite gradient in silence
        features = task.features.model_copy(update=update)
        self.log_mel = LogMel(features)
        self.shift, self.scale = features.normal_range
        self.num_frames = task.clip_length // hop_length
        c, k = config.channels, config.kernel_size
        self.stem = nn.Conv1d(n_mels, c, k, padding=same_padding(k))
        num_stages, frames = 0, self.num_frames
        while frames > 8:
            num_stages, frames = num_stages + 1, -(-frames // 2)
        self.stages = nn.ModuleList(
            nn.ModuleList(nn.Conv1d(c, c, k, padding=same_padding(k)) for _ in range(2)) for _ in range(num_stages)
        )
        self.hidden = nn.Linear(c * frames, c)
        self.out = nn.Linear(c, 1)
        initialise_kaiming(self)
        for stage in self.stages:
            nn.init.normal_(stage[-1].weight, std=1e-3)  # residual branches begin small
        self.projection = Projection(task.label_sizes, c)

    def analyse(self, waveform: Tensor) -> Tensor:
        """(B, 1, T), or log-mels (B, M, F) of a task that makes them, -> (B, M, F) scaled to about [-1, 3]."""
        mel = self.log_mel(waveform)[..., : self.num_frames] if waveform.shape[1] == 1 else waveform
        return (mel - self.shift) * self.scale

    def judge(self, x: Tensor, label: Tensor | None = None) -> DiscriminatorOutput:
        feature_maps = []
        x = self.stem(x)
        for stage in self.stages:
            hidden = x
            for conv in stage:
                hidden = conv(F.leaky_relu(hidden, 0.2))
            x = F.avg_pool1d(x + hidden, 2, ceil_mode=True)
            feature_maps.append(x)
        features = F.leaky_relu(self.hidden(F.leaky_relu(x, 0.2).flatten(1)), 0.2)
        logits, direction = self.weigh(self.out, features)
        logits = logits + self.projection(features, label)
        return DiscriminatorOutput(logits, [*feature_maps, logits], direction)
