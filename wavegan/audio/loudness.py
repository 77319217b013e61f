"""Loudness by ITU-R BS.1770-4. Waveforms are float32, mono, (T,)."""

from __future__ import annotations

import math

import numpy as np
from scipy.signal import freqz, lfilter
from torch import Tensor

BLOCK_SECONDS = 0.4  # of BS.1770; shorter recordings are measured as if repeated
LOWEST_RATE = 4000  # in Hz: the shelf is below 2 kHz
STEPS = 4  # per block: blocks overlap by three quarters
# BS.1770 prints its two filters for 48 kHz; these parameters reproduce them, and give those of any other rate.
SHELF_HZ, SHELF_Q, SHELF_DB = 1681.974450955533, 0.7071752369554196, 3.999843853973347
HIGH_PASS_HZ, HIGH_PASS_Q = 38.13547087602444, 0.5003270373238773
HIGHEST_PEAK = 10 ** (-1 / 20)


def loudness(waveform: Tensor, sample_rate: int) -> float:
    """Integrated loudness in LUFS; -inf if no block is above the absolute gate."""
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
    """The two filters of BS.1770, (numerator, denominator): a shelf for the head and a high-pass."""
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
    """Gain of the filters at the test tone of BS.1770, 997 Hz, which should be equally loud at any rate."""
    return math.prod(abs(freqz(b, a, [997.0], fs=sample_rate)[1][0]) for b, a in k_weighting(sample_rate))


def _lufs(power: np.ndarray) -> np.ndarray:
    return -0.691 + 10 * np.log10(np.maximum(power, 1e-30))


def set_loudness(waveform: Tensor, sample_rate: int, target: float) -> Tensor:
    """Scale a waveform to ``target`` LUFS, or as near to it as a peak of -1 dB allows."""
    measured = loudness(waveform, sample_rate)
    if measured == -math.inf:
        return waveform
    return waveform * min(10 ** ((target - measured) / 20), HIGHEST_PEAK / float(waveform.abs().max()))
