"""Class-conditional judgement by projection (Miyato 2018, arXiv 1802.05637).

Shapes: B batch, C channels, V conditions.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from wavegan.layers import LabelEmbeddings


class Projection(nn.Module):
    """Inner product of each label's embedding with the features: what is added to the logits."""

    def __init__(self, label_sizes: Sequence[int], channels: int):
        super().__init__()
        self.embeddings = LabelEmbeddings(label_sizes, channels)

    def forward(self, features: Tensor, label: Tensor | None) -> Tensor | float:
        """features (B, C, ...) and label (B, V) -> (B, 1); 0 without labels."""
        embedded = self.embeddings(label)
        if not embedded:
            return 0.0
        pooled = features.flatten(2).mean(2) if features.dim() > 2 else features
        return (pooled * torch.stack(embedded).sum(0)).sum(1, keepdim=True)
