"""Pitch and voicing by CARGAN's protocol (Morrison 2022, arXiv 2110.10139, section 4 and its code), as reported by
BigVGAN and others: CREPE (Kim 2018, arXiv 1802.06182), the full network, as in the package torchcrepe.

At 16 kHz, hop 185 samples, 50 to 550 Hz, Viterbi decoding; frames below -60 dB of A-weighted loudness count as
aperiodic; tracks are interpolated to the number of frames of a hop of 256 samples at 22.05 kHz; voicing is by
torchcrepe's hysteresis. Values are over all frames of all files, not means over files.

Two differences: this package's resampling filter, and the same dither for every file, which torchcrepe adds to its
20-cent bins, so that equal files have equal tracks.

Shapes: T samples, F frames.
"""

from __future__ import annotations

import functools
import warnings
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wavegan.metrics.base import Metric, Sound, Undefined, at_least, ratio, seeded
from wavegan.metrics.crepe import WINDOW, probabilities

RATE, HOP = 16000, 185
BATCH = 1024  # frames decoded together
CARGAN_RATE, CARGAN_HOP = 22050, 256
LOWEST, HIGHEST = 50.0, 550.0


class Track(NamedTuple):
    """Fundamental frequency in Hz, periodicity from 0 to 1, and voicing, (F,) each."""

    hertz: Tensor
    periodicity: Tensor
    voiced: Tensor


class PitchMetric(Metric):
    """Base of the metrics of pitch and voicing."""

    package = "torchcrepe"

    def parts(self, real: Sound, fake: Sound) -> tuple[float, ...]:
        for sound in (real, fake):
            at_least(sound.at(RATE), WINDOW, RATE)
        return self.count(real.once(track), fake.once(track))

    def count(self, real: Track, fake: Track) -> tuple[float, ...]:
        raise NotImplementedError


class PitchError(PitchMetric):
    """Root mean square error of log F0, in cents, over the frames that are voiced in both; CARGAN's protocol."""

    name, better, unit = "f0_rmse", "lower", "cent"

    def count(self, real: Track, fake: Track) -> tuple[float, ...]:
        both = real.voiced & fake.voiced
        if not both.any():
            raise Undefined("no frame is voiced in both")
        cents = 1200 * (real.hertz[both].double().log2() - fake.hertz[both].double().log2())
        return float(cents.square().sum()), float(both.sum())

    def value(self, sums: np.ndarray) -> np.ndarray:
        return np.sqrt(super().value(sums))


class VoicingF1(PitchMetric):
    """F1 of the decision voiced or unvoiced, with the reference's as ground truth, 0 to 1; CARGAN's protocol."""

    name, better, num_parts = "vuv_f1", "higher", 3

    def count(self, real: Track, fake: Track) -> tuple[float, ...]:
        if not (real.voiced | fake.voiced).any():
            raise Undefined("no frame is voiced")
        pairs = (real.voiced & fake.voiced, ~real.voiced & fake.voiced, real.voiced & ~fake.voiced)
        return tuple(float(frames.sum()) for frames in pairs)

    def value(self, sums: np.ndarray) -> np.ndarray:
        hits, false_alarms, misses = np.moveaxis(np.asarray(sums), -1, 0)
        return ratio(2 * hits, 2 * hits + false_alarms + misses)


class PeriodicityError(PitchMetric):
    """Root mean square error of CREPE's periodicity, over all frames; CARGAN's protocol."""

    name, better = "periodicity", "lower"

    def count(self, real: Track, fake: Track) -> tuple[float, ...]:
        error = real.periodicity.double() - fake.periodicity.double()
        return float(error.square().sum()), float(len(error))

    def value(self, sums: np.ndarray) -> np.ndarray:
        return np.sqrt(super().value(sums))


def track(sound: Sound) -> Track:
    """Pitch, periodicity and voicing of a sound of at least WINDOW samples at RATE."""
    import torchcrepe

    waveform = sound.at(RATE)
    padding = (WINDOW - HOP) // 2
    padded = F.pad(waveform[None, None], (padding, padding), mode="reflect")[0]
    tracks = [decoded(frames) for frames in torchcrepe.preprocess(padded, RATE, HOP, batch_size=BATCH, pad=False)]
    hertz, periodicity = (torch.cat(parts, 1) for parts in zip(*tracks, strict=True))
    periodicity = torchcrepe.threshold.Silence()(periodicity, padded, RATE, HOP, pad=False)
    size = len(waveform) * CARGAN_RATE // RATE // CARGAN_HOP
    stretch = functools.partial(F.interpolate, size=size, mode="linear", align_corners=False)
    hertz, periodicity = stretch(hertz.log2()[None])[0].exp2(), stretch(periodicity[None])[0]
    return Track(hertz[0], periodicity[0], voiced(hertz, periodicity)[0])


def decoded(frames: Tensor) -> tuple[Tensor, Tensor]:
    """Frequency in Hz and periodicity, (1, F), of frames by torchcrepe.preprocess."""
    import torchcrepe

    with seeded():
        return torchcrepe.postprocess(probabilities(frames).T[None], LOWEST, HIGHEST, return_periodicity=True)


def voiced(hertz: Tensor, periodicity: Tensor) -> Tensor:
    """Voicing by torchcrepe's hysteresis, (1, F) each."""
    import torchcrepe

    with warnings.catch_warnings(), np.errstate(invalid="ignore", divide="ignore"):
        warnings.simplefilter("ignore", RuntimeWarning)  # means of empty sets if nothing is voiced
        return ~torchcrepe.threshold.Hysteresis()(hertz, periodicity).isnan()
