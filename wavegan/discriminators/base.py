"""The contract of a discriminator.

Shapes: B batch, T samples, C channels, V conditions.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor, nn


class DiscriminatorOutput(NamedTuple):
    """``logits`` (B, N); ``feature_maps``, each with the batch first, the last one being the logits' own map."""

    logits: Tensor
    feature_maps: list[Tensor]


class Discriminator(nn.Module):
    """What it hears of a waveform, then its network: penalties that perturb its input step in between."""

    def analyse(self, waveform: Tensor) -> Tensor:
        """(B, 1, T) -> the representation that is judged; the waveform itself unless a subclass says otherwise."""
        return waveform

    def judge(self, x: Tensor, label: Tensor | None = None) -> DiscriminatorOutput:
        """The representation, and labels (B, V) or None, -> logits and feature maps."""
        raise NotImplementedError

    def forward(self, waveform: Tensor, label: Tensor | None = None) -> DiscriminatorOutput:
        return self.judge(self.analyse(waveform), label)
