"""Single metrics of one pair as functions, and the few that are quick enough to tell while training and vocoding.

Waveforms are (T,) tensors at the same rate; where a metric is undefined the answer is NaN.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from wavegan.metrics.base import Metric, Sound, Undefined, installed
from wavegan.metrics.no_reference import DNSMOS
from wavegan.metrics.perceptual import ESTOI, PESQ
from wavegan.metrics.spectral import MelL1, MultiResolutionSTFT

COPY_SECONDS = 60  # PESQ and ESTOI of hours would take longer than the copy, and all memory


def mel_l1(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """See MelL1."""
    return _one(MelL1(), Sound(real, sample_rate), Sound(fake, sample_rate))


def multi_resolution_stft(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """See MultiResolutionSTFT."""
    return _one(MultiResolutionSTFT(), Sound(real, sample_rate), Sound(fake, sample_rate))


def pesq(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """See PESQ.

    Raises:
        UserError: the ``metrics`` extra isn't installed.
    """
    return _one(PESQ(), Sound(real, sample_rate), Sound(fake, sample_rate))


def estoi(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """See ESTOI."""
    return _one(ESTOI(), Sound(real, sample_rate), Sound(fake, sample_rate))


def dnsmos(waveform: Tensor, sample_rate: int) -> float:
    """See DNSMOS.

    Raises:
        UserError: the ``metrics`` extra isn't installed.
    """
    return _one(DNSMOS(), None, Sound(waveform, sample_rate))


def _one(metric: Metric, real: Sound | None, fake: Sound) -> float:
    try:
        metric.update(real, fake)
    except Undefined:
        pass
    return metric.compute()


def copy_quality(real: Tensor, fake: Tensor, sample_rate: int) -> dict[str, float]:
    """The quick paired metrics of the first minute: mel L1 and ESTOI always, PESQ where its package is installed."""
    pair = [Sound(waveform[: COPY_SECONDS * sample_rate], sample_rate) for waveform in (real, fake)]
    return {
        metric.name: _one(metric(), *pair) for metric in (MelL1, ESTOI, PESQ) if installed(metric.package or "torch")
    }


def describe(real: Tensor, fake: Tensor | np.ndarray, sample_rate: int) -> str:
    """The quick paired metrics in one line, each with the value that an identical copy would get."""
    scores = copy_quality(real, torch.as_tensor(fake), sample_rate)
    best = {"pesq": "PESQ {:.2f} (of 4.64)", "estoi": "ESTOI {:.3f} (of 1)", "mel_l1": "mel distance {:.3f} (of 0)"}
    parts = [text.format(scores[name]) for name, text in best.items() if not np.isnan(scores.get(name, np.nan))]
    if "pesq" not in scores:
        parts.append("PESQ with pip install 'wavegan[metrics]'")
    return ", ".join(parts) + (f" (first {COPY_SECONDS} s)" if len(real) > COPY_SECONDS * sample_rate else "")
