"""The contract of a discriminator, and its last layer.

Shapes: B batch, T samples, C channels, V conditions, N judgements of a clip.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from torch import Tensor, nn


class DiscriminatorOutput(NamedTuple):
    """``logits`` (B, N); ``feature_maps``, each with the batch first, the last one being the logits' own map.

    ``direction`` (B, N), of discriminators with ``separate``: the same logits for the learning of the last layer's
    direction, and of nothing else.
    """

    logits: Tensor
    feature_maps: list[Tensor]
    direction: Tensor | None = None

    def part(self, clips: slice) -> DiscriminatorOutput:
        """The output for some of the clips."""
        direction = None if self.direction is None else self.direction[clips]
        return DiscriminatorOutput(self.logits[clips], [maps[clips] for maps in self.feature_maps], direction)


class Discriminator(nn.Module):
    """What it hears of a waveform, then its network: penalties that perturb its input step in between."""

    separate = False  # whether the last layer's direction learns by itself, as SAN's does

    def analyse(self, waveform: Tensor) -> Tensor:
        """(B, 1, T) -> the representation that is judged; the waveform itself unless a subclass says otherwise."""
        return waveform

    def judge(self, x: Tensor, label: Tensor | None = None) -> DiscriminatorOutput:
        """The representation, and labels (B, V) or None, -> logits and feature maps."""
        raise NotImplementedError

    def forward(self, waveform: Tensor, label: Tensor | None = None) -> DiscriminatorOutput:
        return self.judge(self.analyse(waveform), label)

    def weigh(
        self, last: nn.Module, x: Tensor, apply: Callable[[Tensor, Tensor, Tensor], Tensor]
    ) -> tuple[Tensor, Tensor | None]:
        """The last layer, ``apply(x, weight, bias)``, which has one output: logits, and with ``separate`` their
        direction's.

        SAN's split (Takida 2024, arXiv 2301.12811; for vocoders Shibuya 2024, BigVSAN, 2309.02836): the weight is a
        length times a direction of length 1. The logits teach all but the direction, the second ones only it.
        BigVSAN adds its bias to the features; here it stays behind them, which can say the same.
        """
        weight, bias = last.weight, last.bias
        if not self.separate:
            return apply(x, weight, bias), None
        length = weight.norm()
        direction = weight / length
        logits = apply(x, length * direction.detach(), bias)
        return logits, apply(x.detach(), length.detach() * direction, bias.detach()).flatten(1)
