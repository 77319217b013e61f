"""The contract of a discriminator, and the convolutional one that three of them are.

Shapes: B batch, T samples, C channels, V conditions, N logits of a clip.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.core.config import Config
from wavegan.models.discriminators.projection import Projection
from wavegan.tasks.base import BaseTaskConfig

Layer = Callable[[Tensor, Tensor, Tensor], Tensor]


class BaseDiscriminatorConfig(Config):
    """Configuration of one or several discriminators. Where the task has labels, each judges whether they fit."""

    name: str

    def build(self, task: BaseTaskConfig) -> list[Discriminator]:
        raise NotImplementedError


class DiscriminatorOutput(NamedTuple):
    """``logits`` (B, N); ``feature_maps``, batch first, of which the last is the map of the logits.

    ``direction`` (B, N), of discriminators with ``separate``: the same logits, with a gradient for the direction of
    the last layer only.
    """

    logits: Tensor
    feature_maps: list[Tensor]
    direction: Tensor | None = None

    def part(self, clips: slice) -> DiscriminatorOutput:
        """The output for some of the clips."""
        direction = None if self.direction is None else self.direction[clips]
        return DiscriminatorOutput(self.logits[clips], [maps[clips] for maps in self.feature_maps], direction)


class Discriminator(nn.Module):
    """A representation of the waveform, then a network; penalties perturb the network's input in between."""

    separate = False  # the direction of the last layer is learned separately, as in SAN

    def analyse(self, waveform: Tensor) -> Tensor:
        """(B, 1, T) -> the representation that is judged, by default the waveform itself."""
        return waveform

    def judge(self, x: Tensor, label: Tensor | None = None) -> DiscriminatorOutput:
        """The representation, and labels (B, V) or None, -> logits and feature maps."""
        raise NotImplementedError

    def forward(self, waveform: Tensor, label: Tensor | None = None) -> DiscriminatorOutput:
        return self.judge(self.analyse(waveform), label)

    def weigh(self, last: nn.Module, x: Tensor, apply: Layer = F.linear) -> tuple[Tensor, Tensor | None]:
        """Logits, ``apply(x, weight, bias)`` of the last layer; with ``separate``, also those of its direction.

        SAN's split (Takida 2024, arXiv 2301.12811; for vocoders Shibuya 2024, BigVSAN, 2309.02836): the weight is a
        length times a direction of length 1. The logits have a gradient for all but the direction, the second ones
        only for it. BigVSAN adds its bias to the features; here it follows them, which is as expressive.
        """
        weight, bias = last.weight, last.bias
        if not self.separate:
            return apply(x, weight, bias), None
        length = weight.norm()
        direction = weight / length
        logits = apply(x, length * direction.detach(), bias)
        return logits, apply(x.detach(), length.detach() * direction, bias.detach()).flatten(1)


class ConvDiscriminator(Discriminator):
    """``convs`` with leaky ReLU and ``conv_post``, one channel of logits; labels by projection.

    ``last``: ``conv_post`` as a function of input, weight and bias.
    """

    def __init__(self, convs: Iterable[nn.Module], conv_post: nn.Module, last: Layer, label_sizes: Sequence[int]):
        super().__init__()
        self.convs = nn.ModuleList(convs)
        self.conv_post = conv_post
        self.last = last
        self.projection = Projection(label_sizes, conv_post.in_channels)

    def judge(self, x: Tensor, label: Tensor | None = None) -> DiscriminatorOutput:
        feature_maps = []
        for conv in self.convs:
            x = F.leaky_relu(conv(x), 0.1)
            feature_maps.append(x)
        logits, direction = self.weigh(self.conv_post, x, self.last)
        feature_maps.append(logits)
        return DiscriminatorOutput(logits.flatten(1) + self.projection(x, label), feature_maps, direction)
