"""Tasks: the only place where vocoder, digits and the others differ.

Shapes: B batch, T samples, M mel bands, F frames.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from wavegan.config import Config
from wavegan.dsp import LogMel, LogMelConfig


class VocoderConfig(Config):
    """Log-mel to waveform; ``features`` is the contract that travels with the weights."""

    name: Literal["vocoder"] = "vocoder"
    features: LogMelConfig

    def build(self) -> Vocoder:
        return Vocoder(self)


TaskConfig = VocoderConfig  # becomes a union on `name` with the second task


class Vocoder(nn.Module):
    """Copy-synthesis: the generator's input is the log-mel of its target."""

    def __init__(self, config: VocoderConfig):
        super().__init__()
        self.log_mel = LogMel(config.features)

    @torch.no_grad()
    def sample_input(self, waveform: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, 1, T), T a multiple of the hop, -> (B, M, T / hop): the trailing frame of "center" is dropped."""
        return self.log_mel(waveform)[..., : waveform.shape[-1] // self.log_mel.config.hop_length]

    def compose(self, fake: Tensor, x: Tensor) -> Tensor:
        return fake
