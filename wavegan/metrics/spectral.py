"""Distances of spectra and waveforms, without further packages.

All except si_sdr are means over frames, then over files, at the rate of the comparison. Shapes: T samples, K frequency
bins, F frames, C cepstral coefficients.
"""

from __future__ import annotations

import functools
import math

import numpy as np
import torch
from torch import Tensor

from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.metrics.base import Metric, Options, Sound, Undefined, at_least

DECIBELS = 10 * math.sqrt(2) / math.log(10)  # converts a distance of cepstra of natural-log magnitudes


class MelL1(Metric):
    """Mean absolute difference of natural-log mels, in nepers: 80 slaney bands to half the sample rate, magnitudes,
    hop 10 ms, Hann windows of the power of two nearest to 40 ms, floor 1e-5.
    """

    name, better, unit = "mel_l1", "lower", "neper"

    def score(self, real: Sound, fake: Sound) -> float:
        mel = _log_mel(real.sample_rate)
        return float((mel(real.waveform[None]) - mel(fake.waveform[None])).abs().mean())


@functools.cache
def _log_mel(sample_rate: int) -> LogMel:
    n_fft = 2 ** round(np.log2(sample_rate * 0.04))
    return LogMel(LogMelConfig(sample_rate=sample_rate, n_fft=n_fft, hop_length=sample_rate // 100, n_mels=80))


class MultiResolutionSTFT(Metric):
    """M-STFT by BigVGAN's protocol (Lee 2023, arXiv 2206.04658, section 4.1), auraloss's MultiResolutionSTFTLoss: the
    spectral convergence ||r - f|| / ||r|| plus the mean of |ln r - ln f| (Yamamoto 2020, arXiv 1910.11480, equations 4
    to 6), averaged over FFTs of 1024, 2048 and 512 samples with Hann windows of 600, 1200 and 240 and hops of 120, 240
    and 50. Magnitudes are at least 1e-4, frames centred, ends reflected.

    The windows are in samples at any rate, so values at different rates aren't comparable; BigVGAN's are at 24 kHz.
    """

    name, better = "multi_resolution_stft", "lower"
    resolutions = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))

    def score(self, real: Sound, fake: Sound) -> float:
        at_least(real.waveform, 1025, real.sample_rate)
        distances = []
        for n_fft, hop, window in self.resolutions:
            r, f = (magnitudes(s.waveform, n_fft, hop, window).clamp(min=1e-4) for s in (real, fake))
            distances.append((r - f).norm() / r.norm() + (r.log() - f.log()).abs().mean())
        return float(torch.stack(distances).mean())


class LogSpectralDistance(Metric):
    """LSD by AP-BWE's definition (Lu 2024, arXiv 2401.06387): the mean over frames of the root of the mean over bins of
    (log10 |R|^2 - log10 |F|^2)^2; STFT of 2048 samples, Hann, hop 512, powers at least 1e-8. In bels.
    """

    name, better, unit = "lsd", "lower", "bel"
    lowest = 0.0

    def score(self, real: Sound, fake: Sound) -> float:
        at_least(real.waveform, 1025, real.sample_rate)
        first = math.ceil(self.lowest * 2048 / real.sample_rate)
        r, f = (magnitudes(s.waveform, 2048, 512)[first:].square().clamp(min=1e-8).log10() for s in (real, fake))
        return float((r - f).square().mean(0).sqrt().mean())


class LogSpectralDistanceAbove(LogSpectralDistance):
    """LSD of the bins from a cut-off (``--cutoff``, in Hz) up; otherwise as lsd. Undefined from half the rate up."""

    name = "lsd_high"

    def __init__(self, cutoff: float = 4000.0):
        super().__init__()
        self.lowest = cutoff

    @classmethod
    def of(cls, options: Options) -> LogSpectralDistanceAbove:
        return cls(options.cutoff)

    def score(self, real: Sound, fake: Sound) -> float:
        if not self.lowest < real.sample_rate / 2:  # true for NaN
            raise Undefined(f"there is nothing above {self.lowest:g} Hz at {real.sample_rate} Hz")
        return super().score(real, fake)

    @property
    def settings(self) -> str:
        return f"{self.lowest:g} Hz"


class SISDR(Metric):
    """Scale-invariant signal-to-distortion ratio in dB (Le Roux 2019, arXiv 1811.02508, equation 4), after
    subtracting the means; limited to -100 to 100. Inaudible changes of phase or delay ruin it. Mean over files.
    """

    name, better, unit = "si_sdr", "higher", "dB"

    def score(self, real: Sound, fake: Sound) -> float:
        r, f = (s.waveform.double() - s.waveform.double().mean() for s in (real, fake))
        if fake.silent:
            raise Undefined("the output is silent")
        target = (r @ f) / (r @ r) * r
        signal, distortion = float(target.square().sum()), float((target - f).square().sum())
        return 10 * math.log10(min(max(signal / max(distortion, 1e-30), 1e-10), 1e10))


class MelCepstralDistortion(Metric):
    """MCD in dB (Kubichek 1993), without time warping: 10 sqrt(2) / ln 10 times the distance of the mel-cepstra of a
    frame, coefficients 1 to 24 (without the 0th, the energy), the mean over all frames.

    The mel-cepstrum is the cepstrum of the log-magnitude spectrum on a frequency axis warped by a first-order all-pass,
    whose constant fits the mel scale log(1 + f / 1000) best, 0.41 at 16 kHz, 0.455 at 22.05 kHz (Oppenheim and Johnson
    1972; SPTK's freqt, pysptk's sp2mc). Hann windows of the power of two nearest to 32 ms, hop 5 ms, powers at least
    1e-8.
    Other implementations smooth the spectrum, use other orders or skip silence: don't compare their values with these.
    """

    name, better, unit = "mcd", "lower", "dB"

    def score(self, real: Sound, fake: Sound) -> float:
        at_least(real.waveform, cepstral_window(real.sample_rate), real.sample_rate)
        cepstra = (mel_cepstrum(s.waveform, s.sample_rate) for s in (real, fake))
        return DECIBELS * self.distance(*cepstra)

    def distance(self, real: Tensor, fake: Tensor) -> float:
        return float((real - fake).norm(dim=1).mean())


class WarpedMelCepstralDistortion(MelCepstralDistortion):
    """MCD in dB after dynamic time warping: the mean along the path of least total distance, with the steps
    (1, 0), (0, 1) and (1, 1) at equal cost; otherwise as mcd. For speech that isn't aligned with its reference.
    """

    name = "mcd_dtw"

    def distance(self, real: Tensor, fake: Tensor) -> float:
        return time_warped(real.numpy(), fake.numpy())


def magnitudes(waveform: Tensor, n_fft: int, hop_length: int, win_length: int | None = None) -> Tensor:
    """Magnitude spectrogram (T,) -> (K, F); Hann window, centred frames, reflected ends."""
    window = torch.hann_window(win_length or n_fft)
    return torch.stft(waveform, n_fft, hop_length, win_length, window, return_complex=True).abs()


def cepstral_window(sample_rate: int) -> int:
    return 2 ** round(math.log2(0.032 * sample_rate))


def mel_cepstrum(waveform: Tensor, sample_rate: int, order: int = 24) -> Tensor:
    """Coefficients 1 to ``order`` of each frame: (T,) -> (F, C) float64."""
    n_fft = cepstral_window(sample_rate)
    log_magnitude = magnitudes(waveform, n_fft, sample_rate // 200).clamp(min=1e-4).double().log()
    return log_magnitude.T @ torch.from_numpy(_cepstral_basis(n_fft, order, warping(sample_rate)))


def _warped(omega: np.ndarray, alpha: float) -> np.ndarray:
    """Phase of the all-pass: frequencies 0 to pi on the warped axis."""
    return omega + 2 * np.arctan2(alpha * np.sin(omega), 1 - alpha * np.cos(omega))


@functools.cache
def warping(sample_rate: int) -> float:
    """The all-pass constant, to three decimals, that fits Fant's mel scale in least squares."""
    share = np.arange(1, 1000) / 1000
    mel = np.log1p(share * sample_rate / 2 / 1000)
    mel = mel / np.log1p(sample_rate / 2 / 1000)
    constants = np.arange(1, 1000) / 1000
    distances = [np.square(_warped(np.pi * share, alpha) / np.pi - mel).sum() for alpha in constants]
    return float(constants[int(np.argmin(distances))])


@functools.cache
def _cepstral_basis(n_fft: int, order: int, alpha: float) -> np.ndarray:
    """Basis (K, C) from log-magnitudes to c_m = 2/pi integral of log|X| cos(m w') dw', w' the warped frequency."""
    omega = np.pi * np.arange(n_fft // 2 + 1) / (n_fft // 2)
    slope = (1 - alpha**2) / (1 + alpha**2 - 2 * alpha * np.cos(omega))  # dw' / dw
    weight = 2 / (n_fft // 2) * slope
    weight[[0, -1]] /= 2
    return weight[:, None] * np.cos(_warped(omega, alpha)[:, None] * np.arange(1, order + 1))


def time_warped(real: np.ndarray, fake: np.ndarray) -> float:
    """Mean distance of (F, C) and (G, C) along the warping path of least total distance.

    Diagonals are computed one after the other, each vectorised: a cell depends on the two preceding diagonals only.
    """
    rows, columns = len(real), len(fake)
    last = np.full((2, rows + 1), np.inf)  # cost and length of the paths to each row of a diagonal
    before_last = last.copy()
    before_last[:, 0] = 0
    for diagonal in range(2, rows + columns + 1):
        i = np.arange(max(1, diagonal - columns), min(rows, diagonal - 1) + 1)
        steps = np.stack([before_last[:, i - 1], last[:, i - 1], last[:, i]])
        best = steps[np.argmin(steps[:, 0], axis=0), :, np.arange(len(i))].T
        before_last, last = last, np.full((2, rows + 1), np.inf)
        last[:, i] = best + [np.linalg.norm(real[i - 1] - fake[diagonal - i - 1], axis=1), np.ones(len(i))]
    return float(last[0, rows] / last[1, rows])
