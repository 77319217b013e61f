"""Single metrics of one pair as functions, and the quick ones that training and vocoding report.

Waveforms are (T,) tensors at the same rate; an undefined metric is NaN.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from wavegan.metrics.base import Metric, Sound, Undefined, installed
from wavegan.metrics.no_reference import DNSMOS
from wavegan.metrics.perceptual import ESTOI, PESQ
from wavegan.metrics.spectral import MelL1, MultiResolutionSTFT

COPY_SECONDS = 60  # PESQ and ESTOI of hours would take longer than the copy, and all memory


def mel_l1(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """See MelL1."""
    return _value(MelL1(), real, fake, sample_rate)


def multi_resolution_stft(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """See MultiResolutionSTFT."""
    return _value(MultiResolutionSTFT(), real, fake, sample_rate)


def pesq(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """See PESQ; UserError if the ``metrics`` extra isn't installed."""
    return _value(PESQ(), real, fake, sample_rate)


def estoi(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """See ESTOI."""
    return _value(ESTOI(), real, fake, sample_rate)


def dnsmos(waveform: Tensor, sample_rate: int) -> float:
    """See DNSMOS; UserError if the ``metrics`` extra isn't installed."""
    return _value(DNSMOS(), None, waveform, sample_rate)


def _value(metric: Metric, real: Tensor | None, fake: Tensor, sample_rate: int) -> float:
    try:
        metric.update(None if real is None else Sound(real, sample_rate), Sound(fake, sample_rate))
    except Undefined:
        pass
    return metric.compute()


def copy_quality(real: Tensor, fake: Tensor, sample_rate: int) -> dict[str, float]:
    """The quick paired metrics of the first minute: mel L1 and ESTOI always, PESQ where its package is installed."""
    first = slice(COPY_SECONDS * sample_rate)
    available = [metric for metric in (MelL1, ESTOI, PESQ) if metric.package is None or installed(metric.package)]
    return {metric.name: _value(metric(), real[first], fake[first], sample_rate) for metric in available}


def describe(scores: dict[str, float]) -> str:
    """The values of ``copy_quality`` in one line, each with the value of an identical copy."""
    best = {"pesq": "PESQ {:.2f} (of 4.64)", "estoi": "ESTOI {:.3f} (of 1)", "mel_l1": "mel distance {:.3f} (of 0)"}
    parts = [text.format(scores[name]) for name, text in best.items() if not np.isnan(scores.get(name, np.nan))]
    if "pesq" not in scores:
        parts.append("PESQ with pip install 'wavegan[metrics]'")
    return ", ".join(parts)
