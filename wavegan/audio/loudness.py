"""What a preparation may change of a recording besides its rate: silence at its ends, its level.

Waveforms are float32, mono, (T,).
"""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import freqz, lfilter
from torch import Tensor

BLOCK_SECONDS = 0.4  # of BS.1770: a shorter recording is measured as if it were repeated
LOWEST_RATE = 4000  # of a measured loudness: the shelf lies below 2 kHz
STEPS = 4  # a block begins every quarter of its length
# BS.1770 prints its two filters for 48 kHz; these frequencies, qualities and decibels give them, and those of any rate.
SHELF_HZ, SHELF_Q, SHELF_DB = 1681.974450955533, 0.7071752369554196, 3.999843853973347
HIGH_PASS_HZ, HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773
HIGHEST_PEAK = 10 ** (-1 / 20)


def loudness(waveform: Tensor, sample_rate: int) -> float:
    """Integrated loudness in LUFS (ITU-R BS.1770-4); -inf where nothing is loud enough to be measured."""
    step = round(BLOCK_SECONDS * sample_rate / STEPS)
    samples = np.tile(waveform.double().numpy(), -(-STEPS * step // len(waveform)))
    samples *= _response(48000) / _response(sample_rate)
    for b, a in k_weighting(sample_rate):
        samples = lfilter(b, a, samples)
    steps = np.square(samples[: len(samples) // step * step]).reshape(-1, step).mean(1)
    blocks = np.convolve(steps, np.full(STEPS, 1 / STEPS), "valid")
    loud = blocks[_lufs(blocks) > -70]
    if not len(loud):
        return -math.inf
    return float(_lufs(loud[_lufs(loud) > _lufs(loud.mean()) - 10].mean()))


def k_weighting(sample_rate: int) -> list[tuple[list[float], list[float]]]:
    """The two filters of BS.1770, (numerator, denominator): a shelf for the head, a high-pass for what ears ignore."""
    k, gain = math.tan(math.pi * SHELF_HZ / sample_rate), 10 ** (SHELF_DB / 20)
    middle = gain**0.4996667741545416 * k / SHELF_Q
    shelf, below = [gain + middle + k * k, 2 * (k * k - gain), gain - middle + k * k], _below(k, SHELF_Q)
    high_pass = _below(math.tan(math.pi * HIGH_PASS_HZ / sample_rate), HIGH_PASS_Q)
    normal = [[value / below[0] for value in part] for part in (shelf, below)]
    return [tuple(normal), ([1.0, -2.0, 1.0], [value / high_pass[0] for value in high_pass])]


def _below(k: float, q: float) -> list[float]:
    """Denominator of a second-order filter by the bilinear transform."""
    return [1 + k / q + k * k, 2 * (k * k - 1), 1 - k / q + k * k]


def _response(sample_rate: int) -> float:
    """What the filters make of the recommendation's test tone, 997 Hz: it should be as loud at any rate."""
    return math.prod(abs(freqz(b, a, [997.0], fs=sample_rate)[1][0]) for b, a in k_weighting(sample_rate))


def _lufs(power: np.ndarray) -> np.ndarray:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-30))


def set_loudness(waveform: Tensor, sample_rate: int, target: float) -> Tensor:
    """The waveform at ``target`` LUFS, or as near to it as a peak of -1 dB allows."""
    found = loudness(waveform, sample_rate)
    if found == -math.inf:
        return waveform
    return waveform * min(10 ** ((target - found) / 20), HIGHEST_PEAK / float(waveform.abs().max()))
