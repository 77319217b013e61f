"""Augmentation of what discriminators see: the same random changes on real and fake, so that few recordings suffice.

Karras 2020 (arXiv 2006.06676): with a probability below 1 the generator doesn't learn the changes themselves.

Shapes: B batch, T samples.
"""

from __future__ import annotations

import torch
from pydantic import Field
from torch import Tensor

from wavegan.config import Config


class AugmentConfig(Config):
    """Each change happens to a clip with ``probability``; its size is drawn up to the given one, both ways.

    ``speed``: resampling, which moves the pitch with it; 0.05 is 5 %. ``mask``: share of the clip that is silenced.
    """

    probability: float = Field(0.5, ge=0, le=1)
    shift_seconds: float = Field(0.0, ge=0)
    gain_db: float = Field(0.0, ge=0)
    speed: float = Field(0.0, ge=0, lt=1)
    mask: float = Field(0.0, ge=0, lt=1)


def augment(config: AugmentConfig, waveforms: list[Tensor], sample_rate: int) -> list[Tensor]:
    """Change clip i of every (B, 1, T) in the same way; differentiable; draws from torch's global random state."""
    batch, _, length = waveforms[0].shape
    device = waveforms[0].device

    def draw(size: float) -> Tensor:
        """(B, 1), uniform in [-size, size] for the clips that are changed, 0 for the others."""
        amount = (2 * torch.rand(batch, 1, device=device) - 1) * size
        return amount * (torch.rand(batch, 1, device=device) < config.probability)

    shift = (draw(config.shift_seconds) * sample_rate).round()
    gain = 10 ** (draw(config.gain_db) / 20)
    speed = 1 + draw(config.speed)
    width = draw(config.mask).abs() * length
    first = torch.rand(batch, 1, device=device) * (length - width)
    time = torch.arange(length, device=device, dtype=torch.float32)
    audible = gain * ((time < first) | (time >= first + width))
    moved = bool((speed != 1).any() or (shift != 0).any())
    return [(_read(w[:, 0], (time - shift) * speed) if moved else w[:, 0]).mul(audible)[:, None] for w in waveforms]


def _read(waveform: Tensor, position: Tensor) -> Tensor:
    """Linear interpolation of (B, T) at fractional positions (B, T); silence beyond the ends."""
    length = waveform.shape[-1]
    padded = torch.nn.functional.pad(waveform, (1, 2))
    position = (position + 1).clamp(0, length + 1)
    index = position.floor().long().clamp(max=length + 1)
    fraction = position - index
    return padded.gather(1, index) * (1 - fraction) + padded.gather(1, index + 1) * fraction
