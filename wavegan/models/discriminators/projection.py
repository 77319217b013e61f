"""Class-conditional logits by projection (Miyato 2018, arXiv 1802.05637).

Shapes: B batch, C channels, V conditions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wavegan.models.layers import LabelEmbeddings


class Projection(nn.Module):
    """Inner product of the labels' embeddings with the features, added to the logits.

    The embeddings of several labels are summed, and the product of further ones is added: a sum alone can't model
    how one speaker says one word.
    """

    def __init__(self, label_sizes: Sequence[int], channels: int):
        super().__init__()
        self.embeddings = LabelEmbeddings(label_sizes, channels)
        self.factors = LabelEmbeddings(label_sizes if len(label_sizes) > 1 else (), channels)

    def forward(self, features: Tensor, label: Tensor | None) -> Tensor | float:
        """features (B, C, ...) and label (B, V) -> (B, 1); 0 without labels."""
        embedded = self.embeddings(label)
        if not embedded:
            return 0.0
        pooled = features.flatten(2).mean(2) if features.dim() > 2 else features
        direction = torch.stack(embedded).sum(0)
        if factors := self.factors(label):
            direction = direction + torch.stack(factors).prod(0)
        return (pooled * direction).sum(1, keepdim=True)
