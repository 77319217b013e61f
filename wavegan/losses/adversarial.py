"""Adversarial losses: for each game the discriminator's and the generator's, of logits (B, N) for real and fake."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional as F


def least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Mao 2017, arXiv 1611.04076, equation 9 (a = 0, b = 1), without the factor 1/2 as in HiFi-GAN."""
    return (1 - real).square().mean() + fake.square().mean()


def least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    return (1 - fake).square().mean()


def hinge_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Lim 2017, arXiv 1705.02894."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(real: Tensor, fake: Tensor) -> Tensor:
    return -fake.mean()


def relativistic_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Relativistic pairing (Jolicoeur-Martineau 2019, arXiv 1807.00734; R3GAN, Huang 2024, arXiv 2501.05441)."""
    return F.softplus(fake - real).mean()


def relativistic_generator(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(real - fake).mean()


def wasserstein_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Arjovsky 2017, arXiv 1701.07875, as in Gulrajani 2017, 1704.00028: to be used with a gradient penalty."""
    return fake.mean() - real.mean()


def soft_least_squares_discriminator(real: Tensor, fake: Tensor) -> Tensor:
    """Least squares that only ever fall as the real is preferred, as SAN needs (BigVSAN, Shibuya 2024, 2309.02836)."""
    return F.softplus(1 - real).square().mean() + F.softplus(fake).square().mean()


def soft_least_squares_generator(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(1 - fake).square().mean()


ADVERSARIAL = {
    "least_squares": (least_squares_discriminator, least_squares_generator),
    "hinge": (hinge_discriminator, hinge_generator),
    "relativistic": (relativistic_discriminator, relativistic_generator),
    "wasserstein": (wasserstein_discriminator, hinge_generator),  # -D(fake) is the generator's part of both
}
SAN = {  # whose loss of the generator, as a function of one logit, falls everywhere
    "least_squares": (soft_least_squares_discriminator, soft_least_squares_generator),
    "hinge": ADVERSARIAL["hinge"],
}
