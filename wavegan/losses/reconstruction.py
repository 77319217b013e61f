"""Reconstruction losses: terms that compare a copy with its recording, each a function with ``@term``.

Shapes: B batch, T samples, K bins, F frames, M mel bands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from wavegan.audio.log_mel import LogMelConfig
from wavegan.audio.stft import hann_window, stft
from wavegan.core.errors import UserError
from wavegan.core.registry import OURS, package_of

Resolution = tuple[int, int]  # n_fft, hop_length


class Comparison:
    """A recording and its copy, as the terms read them.

    Attributes:
        real, fake: waveforms (B, T), float32.
        predicted: the complex spectrum (B, K, F) that a spectral generator made ``fake`` from, on the grid of
            ``features``; None for generators in the time domain.
        features: the mel contract of the task, up to the Nyquist frequency and without standardisation.
        config: the ``ObjectiveConfig``.
        mel_banks: for each term on mels, its resolutions and their filterbanks (K, M).
    """

    def __init__(
        self,
        real: Tensor,
        fake: Tensor,
        predicted: Tensor | None,
        features: LogMelConfig,
        config: Any,
        mel_banks: dict[str, Sequence[tuple[Resolution, Tensor]]],
    ):
        self.real, self.fake, self.predicted = real, fake, predicted
        self.features, self.config, self.mel_banks = features, config, mel_banks
        self.base = (features.n_fft, features.hop_length)
        self._spectra: dict[Resolution, tuple[Tensor, Tensor]] = {}

    def spectra(self, n_fft: int, hop_length: int) -> tuple[Tensor, Tensor]:
        """Complex STFTs (B, K, F) of real and fake, computed once for all terms; at the features' own resolution with
        their window and padding.
        """
        resolution = (n_fft, hop_length)
        if resolution not in self._spectra:
            is_base = resolution == self.base
            window = hann_window(self.features.window_length if is_base else n_fft).to(self.fake.device)
            padding = self.features.padding if is_base else "center"
            with torch.no_grad():
                real = stft(self.real, *resolution, window, padding)
            self._spectra[resolution] = (real, stft(self.fake, *resolution, window, padding))
        return self._spectra[resolution]

    def grid_spectra(self) -> tuple[Tensor, Tensor]:
        """STFT of real, and the generator's spectrum, or else the STFT of fake, on the features' grid.

        APNet compares on the predicted spectrum, so that the gradient reaches each bin directly.
        """
        target, analysed = self.spectra(*self.base)
        predicted = analysed if self.predicted is None else self.predicted
        return target[..., : predicted.shape[-1]], predicted  # "center" has one frame more than the generator makes


Term = Callable[[Comparison], Tensor]
TERMS: dict[str, Term] = {}


def term(function: Term) -> Term:
    """Register a loss term under its function's name: a key of ``objective.weights`` in recipes.

    Raises:
        UserError: another package's term has the name.
    """
    name = function.__name__
    if name in ("adversarial", "feature_matching", "diversity"):
        raise UserError(f"The loss term '{name}' has the name of a built-in one: rename the function.")
    if name in TERMS and package_of(TERMS[name]) != package_of(function):
        raise UserError(f"The loss term '{name}' of {function.__module__} has the name of {TERMS[name].__module__}'s.")
    TERMS[name] = function
    return function


def plugin_terms(names: Sequence[str]) -> dict[str, str]:
    """{"loss term NAME": package} of the terms that other packages define."""
    packages = {name: package_of(TERMS[name]) for name in names if name in TERMS}
    return {f"loss term {name}": package for name, package in packages.items() if package != OURS}


@term
def mel(comparison: Comparison) -> Tensor:
    """L1 distance of log-mels at the features' resolution (HiFi-GAN, Kong 2020, arXiv 2010.05646, equation 5)."""
    return _mel_distance(comparison, "mel")


@term
def multi_resolution_mel(comparison: Comparison) -> Tensor:
    """L1 distance of log-mels, summed over ``mel_resolutions`` (Kumar 2023, DAC, arXiv 2306.06546, section 3.4)."""
    return _mel_distance(comparison, "multi_resolution_mel")


def _mel_distance(comparison: Comparison, name: str) -> Tensor:
    distances = []
    for resolution, bank in comparison.mel_banks[name]:
        real, fake = (magnitude(spectrum) for spectrum in comparison.spectra(*resolution))
        distances.append(log_mel_l1(real, fake, bank))
    return torch.stack(distances).sum()


@term
def log_amplitude(comparison: Comparison) -> Tensor:
    """Squared distance of log-magnitudes on the features' grid."""
    real, fake = comparison.grid_spectra()
    return log_amplitude_mse(magnitude(real), magnitude(fake))


@term
def phase(comparison: Comparison) -> Tensor:
    """Anti-wrapped phase distances on the features' grid."""
    return anti_wrapping_phase(*comparison.grid_spectra())


@term
def complex_stft(comparison: Comparison) -> Tensor:
    """L1 distance of real and imaginary parts, of the finished waveform."""
    return complex_l1(*comparison.spectra(*comparison.base))


@term
def spectral_variance(comparison: Comparison) -> Tensor:
    """Distance of the local spread of log-magnitudes, averaged over ``variance_resolutions``, above ``variance_above``.

    Regression averages fine spectral texture away and sounds smooth; this restores its variance, as global variance
    does for the parameters of statistical synthesis (Toda 2007, IEICE E90-D(5), section 3).
    """
    config, distances = comparison.config, []
    for n_fft, hop_length, bins in config.variance_resolutions:
        first = max(round(config.variance_above * n_fft / comparison.features.sample_rate) - bins, 0)
        spectra = (magnitude(spectrum)[:, first:] for spectrum in comparison.spectra(n_fft, hop_length))
        real, fake = (log_spread(level, bins) for level in spectra)
        distances.append((real - fake).abs().mean())
    return torch.stack(distances).mean()


def log_spread(level: Tensor, bins: int, frames: int = 7) -> Tensor:
    """Log of the local standard deviation of log-magnitudes, in nepers: (B, K, F) -> (B, K - bins // 2, F).

    A log-magnitude's detail is its difference from the mean of ``bins`` neighbouring bins; its mean square is taken
    over 2 * bins - 1 bins and ``frames`` frames. The lowest ``bins // 2`` bins only serve as neighbours.
    """
    log_level = level.clamp(min=1e-5).log().transpose(1, 2)
    detail = log_level - _moving_average(log_level, bins)
    power = _moving_average(detail.square(), 2 * bins - 1).transpose(1, 2)
    return 0.5 * (_moving_average(power, frames) + 1e-3).log()[:, bins // 2 :]


def _moving_average(x: Tensor, width: int) -> Tensor:
    """Mean over an odd ``width`` of the last dimension, over fewer values at the ends."""
    return F.avg_pool1d(x, width, 1, width // 2, count_include_pad=False)


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
    # Below -80 dB the phase of fake is noise and its gradient is unbounded: leave such bins out.
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
