"""Resampling, whole or as a stream, in constant memory."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import torch
import torchaudio
from torch import Tensor

from wavegan.windows import Windows

BLOCK_SECONDS = 60  # resampled at once
# Kaiser-windowed sinc with a narrow transition: the settings torchaudio documents as librosa's "kaiser_best".
_RESAMPLE = dict(
    resampling_method="sinc_interp_kaiser", lowpass_filter_width=64, rolloff=0.9475937167399596, beta=14.769656459379492
)


def resample(waveform: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Band-limited resampling along the last axis, to ceil(T * to_rate / from_rate) samples.

    Long signals go in blocks with a margin of the filter's length, to the same result: memory stays flat.
    """
    if from_rate == to_rate or waveform.shape[-1] == 0:
        return waveform
    return torch.cat(list(resample_stream([waveform], from_rate, to_rate)), dim=-1)


def resample_stream(
    pieces: Iterable[Tensor], from_rate: int, to_rate: int, block_seconds: float = BLOCK_SECONDS
) -> Iterator[Tensor]:
    """``resample`` of a waveform (..., T) in pieces: the same bit for bit or, with smaller blocks, within rounding."""
    # The filter bank has a filter for each phase: rates with a large ratio, such as 44101 to 16000, take the nearest
    # ratio of numbers up to 1000. The pitch moves by less than a millionth, the memory by a factor of a thousand.
    ratio = Fraction(to_rate, from_rate).limit_denominator(1000)
    up, down = ratio.numerator, ratio.denominator
    margin = math.ceil(140 * max(1.0, from_rate / to_rate) / down)  # above the half-width, 64 crossings / rolloff
    block = max(round(block_seconds * from_rate) // down, 1)
    windows = Windows(
        lambda window, first: _resampler(down, up, window.dtype, window.device)(window),
        context=(margin, margin),
        unit=down,
        gain=up,
        least=block,
        most=max(BLOCK_SECONDS * from_rate // down, 1),
    )
    return windows.over(pieces)


@functools.lru_cache(maxsize=8)
def _resampler(down: int, up: int, dtype: torch.dtype, device: torch.device) -> torchaudio.transforms.Resample:
    """The filter bank takes longer to make than a short recording to filter."""
    return torchaudio.transforms.Resample(down, up, **_RESAMPLE, dtype=dtype).to(device)
