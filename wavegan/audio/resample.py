"""Resampling of whole waveforms and of streams, in constant memory."""

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
TOLERANCE = 1e-5  # of the ratio: a third of a millisecond in half a minute, and an inaudible change of pitch
LARGEST = (1000, 4500)  # numerator or denominator; the second if the first isn't within tolerance
# Kaiser-windowed sinc with a narrow transition: the settings torchaudio documents as librosa's "kaiser_best".
_RESAMPLE = dict(
    resampling_method="sinc_interp_kaiser", lowpass_filter_width=64, rolloff=0.9475937167399596, beta=14.769656459379492
)


def resample(waveform: Tensor, from_rate: int, to_rate: int, name: str = "a signal") -> Tensor:
    """Band-limited resampling along the last axis, to ceil(T * to_rate / from_rate) samples.

    Long signals are processed in blocks, with the same result in constant memory.

    Raises:
        UserError: two rates that nearly agree, or whose ratio has no small numbers; ``name`` is named in the message.
    """
    if from_rate == to_rate or waveform.shape[-1] == 0:
        return waveform
    return torch.cat(list(resample_stream([waveform], from_rate, to_rate, name=name)), dim=-1)


def resample_stream(
    pieces: Iterable[Tensor], from_rate: int, to_rate: int, block_seconds: float = BLOCK_SECONDS, name: str = "a signal"
) -> Iterator[Tensor]:
    """Resample a waveform (..., T) in pieces: bit-identical to ``resample``, or within rounding for smaller blocks."""
    ratio = _ratio(from_rate, to_rate, name)
    up, down = ratio.numerator, ratio.denominator
    margin = math.ceil(_resampler(down, up, torch.float32, torch.device("cpu")).width / down)
    least, most = max(round(block_seconds * from_rate) // down, 1), max(BLOCK_SECONDS * from_rate // down, 1)

    def resample_window(window: Tensor, first: int) -> Tensor:
        return _resampler(down, up, window.dtype, window.device)(window)

    return ChunkedFunction(resample_window, (margin, margin), down, up, least, most).over(pieces)


def _ratio(from_rate: int, to_rate: int, name: str) -> Fraction:
    """The ratio of the rates, or a close one of smaller numbers: a filter bank has as many values as their product."""
    exact = Fraction(to_rate, from_rate)
    for most in LARGEST:
        ratio = exact.limit_denominator(max(int(most / max(exact, 1)), 1))
        if abs(ratio / exact - 1) <= TOLERANCE and ratio != 1:
            return ratio
    raise UserError(
        f"Cannot resample {name} from {from_rate} to {to_rate} Hz: convert it to a usual rate first, such as 48000."
    )


@functools.lru_cache(maxsize=8)
def _resampler(down: int, up: int, dtype: torch.dtype, device: torch.device) -> torchaudio.transforms.Resample:
    """Cached, as building the filter bank takes longer than filtering a short recording."""
    return torchaudio.transforms.Resample(down, up, **_RESAMPLE, dtype=dtype).to(device)
