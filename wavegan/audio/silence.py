"""Trim silence at both ends of a recording: by energy, or by silero-vad.

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

FRAME_SECONDS = 0.025  # of which the energy is taken
BELOW_DB = 40.0  # a frame this far below the loudest is silence
MARGIN_SECONDS = 0.1  # of silence that stays: breaths and the ends of words are quiet


def trim_by_energy(waveform: Tensor, sample_rate: int, below_db: float = BELOW_DB) -> Tensor:
    """The waveform without the silence at its ends: frames whose energy lies ``below_db`` under the loudest one's."""
    length = max(round(FRAME_SECONDS * sample_rate), 1)
    frames = F.pad(waveform, (0, -len(waveform) % length)).view(-1, length)
    energy = frames.double().square().mean(1)
    loud = torch.nonzero(energy > energy.max() * 10 ** (-below_db / 10)).flatten()
    if not len(loud):
        return waveform
    margin = round(MARGIN_SECONDS * sample_rate)
    first, last = int(loud[0]) * length - margin, (int(loud[-1]) + 1) * length + margin
    return waveform[max(first, 0) : last]


SILERO_RATE = 16000  # of the model
_own = threading.local()  # it remembers what it heard: each thread has a model of its own


def require_silero() -> None:
    """Raises:
    UserError: the package silero-vad is missing.
    """
    if find_spec("silero_vad") is None:
        raise UserError("--trim vad needs the package 'silero-vad': pip install 'wavegan[vad]'. Or use --trim energy.")


def trim_by_speech(waveform: Tensor, sample_rate: int) -> Tensor:
    """The waveform from the first to the last speech in it and a margin; of none, nothing, (0,)."""
    import silero_vad

    if not hasattr(_own, "model"):
        _own.model = silero_vad.load_silero_vad()
    heard = resample(waveform, sample_rate, SILERO_RATE)
    found = silero_vad.get_speech_timestamps(heard, _own.model, sampling_rate=SILERO_RATE)
    if not found:
        return waveform[:0]
    margin = round(MARGIN_SECONDS * sample_rate)
    first, last = (round(place * sample_rate / SILERO_RATE) for place in (found[0]["start"], found[-1]["end"]))
    return waveform[max(first - margin, 0) : last + margin]
