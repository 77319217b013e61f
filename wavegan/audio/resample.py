"""Resampling, whole or as a stream, in constant memory."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Iterator
from fractions import Fraction

import torch
import torchaudio
from torch import Tensor

from wavegan.audio.chunked import ChunkedFunction
from wavegan.core.errors import UserError

BLOCK_SECONDS = 60  # resampled at once
FARTHEST = 1e-5  # relatively: a third of a millisecond in half a minute, and no pitch that anybody hears
LARGEST = (1000, 4500)  # numbers of a ratio; the first where that is near enough
# Kaiser-windowed sinc with a narrow transition: the settings torchaudio documents as librosa's "kaiser_best".
_RESAMPLE = dict(
    resampling_method="sinc_interp_kaiser", lowpass_filter_width=64, rolloff=0.9475937167399596, beta=14.769656459379492
)


def resample(waveform: Tensor, from_rate: int, to_rate: int, name: str = "a waveform") -> Tensor:
    """Band-limited resampling along the last axis, to ceil(T * to_rate / from_rate) samples.

    Long signals go in blocks with a margin of the filter's length, to the same result: memory stays flat.

    Raises:
        UserError: two rates that differ by next to nothing, or nearly have a simple ratio; says so of ``name``.
    """
    if from_rate == to_rate or waveform.shape[-1] == 0:
        return waveform
    return torch.cat(list(resample_stream([waveform], from_rate, to_rate, name=name)), dim=-1)


def resample_stream(
    pieces: Iterable[Tensor],
    from_rate: int,
    to_rate: int,
    block_seconds: float = BLOCK_SECONDS,
    name: str = "a waveform",
) -> Iterator[Tensor]:
    """``resample`` of a waveform (..., T) in pieces: the same bit for bit or, with smaller blocks, within rounding."""
    ratio = _ratio(from_rate, to_rate, name)
    up, down = ratio.numerator, ratio.denominator
    margin = math.ceil(_resampler(down, up, torch.float32, torch.device("cpu")).width / down)
    block = max(round(block_seconds * from_rate) // down, 1)
    windows = ChunkedFunction(
        lambda window, first: _resampler(down, up, window.dtype, window.device)(window),
        context=(margin, margin),
        unit=down,
        gain=up,
        least=block,
        most=max(BLOCK_SECONDS * from_rate // down, 1),
    )
    return windows.over(pieces)


def _ratio(from_rate: int, to_rate: int, name: str) -> Fraction:
    """The ratio of the rates, or one of smaller numbers that is as good: a filter bank holds their product."""
    exact = Fraction(to_rate, from_rate)
    for most in LARGEST:
        ratio = exact.limit_denominator(max(int(most / max(exact, 1)), 1))
        if abs(ratio / exact - 1) <= FARTHEST and ratio != 1:
            return ratio
    raise UserError(
        f"Cannot bring {name} from {from_rate} to {to_rate} Hz: convert it to a usual rate first, such as 48000."
    )


@functools.lru_cache(maxsize=8)
def _resampler(down: int, up: int, dtype: torch.dtype, device: torch.device) -> torchaudio.transforms.Resample:
    """The filter bank takes longer to make than a short recording to filter."""
    return torchaudio.transforms.Resample(down, up, **_RESAMPLE, dtype=dtype).to(device)
