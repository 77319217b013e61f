"""Trimming of silence at both ends of a recording, by energy or by silero-vad.

Waveforms are float32, mono, (T,).
"""

from __future__ import annotations

import threading
from importlib.util import find_spec

import torch
from torch import Tensor
from torch.nn import functional as F

from wavegan.audio.resample import resample
from wavegan.core.errors import UserError

FRAME_SECONDS = 0.025
BELOW_DB = 40.0  # frames this far below the loudest are silent
MARGIN_SECONDS = 0.1  # of silence to keep: breaths and the ends of words are quiet
SILERO_RATE = 16000
_thread = threading.local()  # each thread has its own model, which is stateful


def trim_by_energy(waveform: Tensor, sample_rate: int, below_db: float = BELOW_DB) -> Tensor:
    """Cut the frames at both ends whose energy is ``below_db`` under that of the loudest, up to a margin."""
    length = max(round(FRAME_SECONDS * sample_rate), 1)
    frames = F.pad(waveform, (0, -len(waveform) % length)).view(-1, length)
    energy = frames.double().square().mean(1)
    loud = torch.nonzero(energy > energy.max() * 10 ** (-below_db / 10)).flatten()
    if not len(loud):
        return waveform
    return _cut(waveform, int(loud[0]) * length, (int(loud[-1]) + 1) * length, sample_rate)


def trim_by_speech(waveform: Tensor, sample_rate: int) -> Tensor:
    """Cut everything before the first and after the last speech, up to a margin; (0,) if there is no speech."""
    import silero_vad

    if not hasattr(_thread, "model"):
        _thread.model = silero_vad.load_silero_vad()
    resampled = resample(waveform, sample_rate, SILERO_RATE)
    speech = silero_vad.get_speech_timestamps(resampled, _thread.model, sampling_rate=SILERO_RATE)
    if not speech:
        return waveform[:0]
    first, last = (round(place * sample_rate / SILERO_RATE) for place in (speech[0]["start"], speech[-1]["end"]))
    return _cut(waveform, first, last, sample_rate)


def _cut(waveform: Tensor, first: int, last: int, sample_rate: int) -> Tensor:
    margin = round(MARGIN_SECONDS * sample_rate)
    return waveform[max(first - margin, 0) : last + margin]


def require_silero() -> None:
    """Raise UserError if the package silero-vad isn't installed."""
    if find_spec("silero_vad") is None:
        raise UserError("--trim vad needs the package 'silero-vad': pip install 'wavegan[vad]'. Or use --trim energy.")
