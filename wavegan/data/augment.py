"""Augmentation of the discriminators' input, the same random changes for real and fake, for training on little data.

Karras 2020 (arXiv 2006.06676): with a probability below 1, the generator doesn't learn the changes themselves.

Shapes: B batch, C channels, T samples or frames.
"""

from __future__ import annotations

import math

import torch
from pydantic import Field
from torch import Tensor

from wavegan.core.config import Config


class AugmentConfig(Config):
    """Each change is applied to a clip with ``probability``; its size is uniform up to the given one, both ways.

    ``speed``: of a waveform by resampling, which changes the pitch as well; 0.05 is 5 %. ``mask``: share of the clip
    that is silenced.
    """

    probability: float = Field(0.5, ge=0, le=1)
    shift_seconds: float = Field(0.0, ge=0)
    gain_db: float = Field(0.0, ge=0)
    speed: float = Field(0.0, ge=0, lt=1)
    mask: float = Field(0.0, ge=0, lt=1)


def augment(
    config: AugmentConfig, clips: list[Tensor], sample_rate: float, log_floor: float | None = None
) -> list[Tensor]:
    """Change clip i of every (B, C, T) in the same way; differentiable; draws from torch's global random state.

    Clips are waveforms or, with ``log_floor``, log-mels: silence is the floor, a gain is added, speed changes the tempo
    only. ``sample_rate``: samples or frames a second.
    """
    batch, _, length = clips[0].shape
    device = clips[0].device

    def draw(size: float) -> Tensor:
        """Draw (B, 1), uniform in [-size, size] for clips to change, 0 for the others."""
        amount = (2 * torch.rand(batch, 1, device=device) - 1) * size
        return amount * (torch.rand(batch, 1, device=device) < config.probability)

    shift = (draw(config.shift_seconds) * sample_rate).round()
    gain = draw(config.gain_db) * math.log(10) / 20  # nepers
    speed = 1 + draw(config.speed)
    width = draw(config.mask).abs() * length
    first = torch.rand(batch, 1, device=device) * (length - width)
    time = torch.arange(length, device=device, dtype=torch.float32)
    audible = (time < first) | (time >= first + width)
    moved = bool((speed != 1).any() or (shift != 0).any())

    def change(clip: Tensor) -> Tensor:
        clip = clip if log_floor is None else clip - log_floor
        clip = _read(clip, (time - shift) * speed) if moved else clip
        if log_floor is None:
            return clip * (gain.exp() * audible)[:, None]
        louder = (clip + gain[:, None]).clamp(min=0)
        return torch.where((clip > 0) & audible[:, None], louder, 0.0) + log_floor  # silence stays silence

    return [change(clip) for clip in clips]


def _read(clip: Tensor, position: Tensor) -> Tensor:
    """Linear interpolation of (B, C, T) at fractional positions (B, T); zeros beyond the ends."""
    length = clip.shape[-1]
    padded = torch.nn.functional.pad(clip, (1, 2))
    position = (position + 1).clamp(0, length + 1)[:, None]
    index = position.floor().long()
    fraction = position - index
    index = index.expand(-1, clip.shape[1], -1)
    return padded.gather(2, index) * (1 - fraction) + padded.gather(2, index + 1) * fraction
