"""The diversity-sensitive loss."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def diversity(z: Tensor, other_z: Tensor, mel: Tensor, other_mel: Tensor, limit: float) -> Tensor:
    """Hinge on the distance of two takes of one label, per unit of latent distance: 0 from ``limit`` up.

    The diversity-sensitive loss of Yang 2019 (arXiv 1901.09024, equation 4), on log-mels (B, M, F) and latents (B, Z),
    both distances as mean absolute differences.
    """
    distance = (mel - other_mel).abs().mean(dim=(1, 2)) / (z - other_z).abs().mean(dim=1).clamp(min=1e-6)
    return F.relu(limit - distance).mean()
