"""The contract of a discriminator.

Shapes: B batch, T samples, C channels.
"""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor


class DiscriminatorOutput(NamedTuple):
    """``logits`` (B, N); ``feature_maps``, each with the batch first, the last one being the logits' own map."""

    logits: Tensor
    feature_maps: list[Tensor]
