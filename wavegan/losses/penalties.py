"""Gradient penalties on discriminators, without which a GAN with no reconstruction losses diverges.

Shapes: B batch, T samples. A discriminator is ``judge(analyse(waveform), label)``; penalties that perturb its input
perturb the output of ``analyse`` (a standardised log-mel, a spectrum, the waveform itself).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from wavegan.core.config import Config
from wavegan.models.discriminators import Discriminators
from wavegan.models.discriminators.base import Discriminator


class GradientPenalty(Config):
    """WGAN-GP: (|grad D| - 1) ** 2 between real and fake waveforms (Gulrajani 2017, arXiv 1704.00028, equation 3)."""

    name: Literal["gradient"] = "gradient"
    weight: float = Field(10.0, ge=0)
    interval: int = Field(1, ge=1)

    def __call__(self, discriminators: Discriminators, real: Tensor, fake: Tensor, label: Tensor | None) -> Tensor:
        mix = torch.rand(len(real), 1, 1, device=real.device)
        between = (real + mix * (fake - real)).detach().requires_grad_(True)
        terms = []
        for output in discriminators(between, label):
            # Clips are independent: the gradient of the sum holds the gradient of each.
            (gradient,) = torch.autograd.grad(output.logits.mean(1).sum(), between, create_graph=True)
            terms.append((gradient.flatten(1).norm(dim=1) - 1).square().mean())
        return torch.stack(terms).mean()


def _analysed(
    discriminators: Discriminators, real: Tensor, fake: Tensor, label: Tensor | None
) -> Iterator[tuple[Discriminator, Tensor, Tensor | None]]:
    """Each discriminator, its representation of real and fake clips together, their labels."""
    waveform = torch.cat([real, fake])
    labels = None if label is None else torch.cat([label, label])
    for member in discriminators.members:
        with torch.no_grad():
            x = member.analyse(waveform)
        yield member, x, labels


class ExactPenalty(Config):
    """R1 + R2 as ``FiniteDifferencePenalty`` estimates them, by double backward: exact, and quick on a GPU.

    Penalises the gradient of a clip's mean logit, in the same units, so that a weight means the same in both.
    """

    name: Literal["exact"] = "exact"
    weight: float = Field(0.15, ge=0)
    interval: int = Field(4, ge=1)

    def __call__(self, discriminators: Discriminators, real: Tensor, fake: Tensor, label: Tensor | None) -> Tensor:
        terms = []
        for member, x, labels in _analysed(discriminators, real, fake, label):
            x.requires_grad_(True)
            logits = member.judge(x, labels).logits
            (gradient,) = torch.autograd.grad(logits.mean(1).sum(), x, create_graph=True)
            terms.append(2 * (x.detach().std() * gradient).flatten(1).square().sum(1).mean())
        return torch.stack(terms).mean()


class FiniteDifferencePenalty(Config):
    """R1 + R2, the squared gradient norm at real and fake inputs (Mescheder 2018, arXiv 1801.04406; R3GAN, 2501.05441).

    By finite differences, E over u ~ N(0, I) of ((D(x + e u) - D(x)) / e) ** 2: no double backward, which is
    slow on a CPU. The step ``epsilon`` is in units of the input's deviation: a weight means the same for any input.
    Every ``interval``-th step, with the weight multiplied by it.
    """

    name: Literal["finite_difference"] = "finite_difference"
    weight: float = Field(0.15, ge=0)
    interval: int = Field(4, ge=1)
    epsilon: float = Field(0.05, gt=0)

    def __call__(self, discriminators: Discriminators, real: Tensor, fake: Tensor, label: Tensor | None) -> Tensor:
        terms = []
        for member, x, labels in _analysed(discriminators, real, fake, label):
            step = self.epsilon * x.std()
            # One forward for both, so that phase shuffle and spectral norm are the same for them.
            pair = torch.cat([x, x + step * torch.randn_like(x)])
            still, moved = member.judge(pair, None if labels is None else labels.repeat(2, 1)).logits.chunk(2)
            change = (moved - still) / self.epsilon
            terms.append(2 * change.square().mean())  # the mean over 2 B clips, twice: R1 + R2
        return torch.stack(terms).mean()


PenaltyConfig = Annotated[GradientPenalty | ExactPenalty | FiniteDifferencePenalty, Field(discriminator="name")]
