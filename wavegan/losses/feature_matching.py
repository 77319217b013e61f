"""Feature matching."""

from __future__ import annotations

import torch
from torch import Tensor

from wavegan.models.discriminators import DiscriminatorOutput

Outputs = list[DiscriminatorOutput]


def feature_matching(real: Outputs, fake: Outputs) -> Tensor:
    """Mean absolute difference of the hidden feature maps, averaged over layers and discriminators.

    Kumar 2019, arXiv 1910.06711, section 2.3 (a sum there). The last map is the logits, which the adversarial loss
    already drives.
    """
    terms = [
        (f - r.detach()).abs().mean()
        for real_out, fake_out in zip(real, fake, strict=True)
        for r, f in zip(real_out.feature_maps[:-1], fake_out.feature_maps[:-1], strict=True)
    ]
    return torch.stack(terms).mean()
