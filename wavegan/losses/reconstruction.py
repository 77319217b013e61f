"""Spectral reconstruction losses.

Shapes: B batch, T samples, K bins, F frames.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F


def magnitude(spectrum: Tensor) -> Tensor:
    """|spectrum| with a finite gradient in silence."""
    return (torch.view_as_real(spectrum).square().sum(-1) + 1e-10).sqrt()


def log_mel_l1(real: Tensor, fake: Tensor, filterbank: Tensor) -> Tensor:
    """L1 distance of natural-log mels, from magnitudes (B, K, F) and a filterbank (K, M)."""
    real_mel, fake_mel = (torch.log((x.transpose(1, 2) @ filterbank).clamp(min=1e-5)) for x in (real, fake))
    return F.l1_loss(fake_mel, real_mel)


def log_amplitude_mse(real: Tensor, fake: Tensor) -> Tensor:
    """Mean squared difference of log-magnitudes (Ai 2023, APNet, arXiv 2305.07952, equation 7)."""
    return F.mse_loss(fake.clamp(min=1e-5).log(), real.clamp(min=1e-5).log())


def anti_wrapping_phase(real: Tensor, fake: Tensor) -> Tensor:
    """Instantaneous phase, group delay and instantaneous frequency, anti-wrapped (Ai 2023, 2305.07952, eq. 11-14).

    Complex spectra (B, K, F). Only the phase of ``fake * conj(real)`` is needed: one atan2 serves all three.
    Weighted by the square root of the relative magnitude, at most 5: phase matters where there is sound.
    """
    level = magnitude(real)
    weight = (level / level.mean(dim=(1, 2), keepdim=True).clamp(min=1e-5)).sqrt().clamp(max=5.0)
    r, f = torch.view_as_real(real), torch.view_as_real(fake)
    unit = r / level.unsqueeze(-1)
    cosine = f[..., 0] * unit[..., 0] + f[..., 1] * unit[..., 1]
    sine = f[..., 1] * unit[..., 0] - f[..., 0] * unit[..., 1]
    # Below -80 dB the phase of fake is noise and its gradient has no bound: leave such bins out.
    audible = (f.detach().square().sum(-1) > 1e-8) & (level > 1e-4)
    difference = torch.atan2(torch.where(audible, sine, 0.0), torch.where(audible, cosine, 1.0))
    instantaneous = (weight * difference.abs()).mean()
    group_delay = (weight[:, 1:] * _anti_wrap(difference.diff(dim=1))).mean()
    frequency = (weight[..., 1:] * _anti_wrap(difference.diff(dim=2))).mean()
    return instantaneous + group_delay + frequency


def _anti_wrap(phase: Tensor) -> Tensor:
    return (phase - 2 * math.pi * torch.round(phase / (2 * math.pi))).abs()


def complex_l1(real: Tensor, fake: Tensor) -> Tensor:
    """L1 distance of real and imaginary parts of the re-analysed spectra (Ai 2023, arXiv 2305.07952, equation 17)."""
    return F.l1_loss(torch.view_as_real(fake), torch.view_as_real(real))
