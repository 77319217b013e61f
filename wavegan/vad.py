"""Speech from silence by silero-vad (github.com/snakers4/silero-vad), whose model comes in its wheel: an extra.

Waveforms are float32, mono, (T,).
"""

from __future__ import annotations

import threading
from importlib.util import find_spec

from torch import Tensor

from wavegan.errors import UserError
from wavegan.levels import MARGIN_SECONDS
from wavegan.resampling import resample

RATE = 16000  # of the model
_own = threading.local()  # it remembers what it heard: each thread has a model of its own


def check_installed() -> None:
    """Raises:
    UserError: the package silero-vad is missing.
    """
    if find_spec("silero_vad") is None:
        raise UserError("--trim vad needs the package 'silero-vad': pip install 'wavegan[vad]'. Or use --trim energy.")


def trim(waveform: Tensor, sample_rate: int) -> Tensor:
    """The waveform from the first to the last speech in it and a margin; of none, nothing, (0,)."""
    import silero_vad

    if not hasattr(_own, "model"):
        _own.model = silero_vad.load_silero_vad()
    heard = resample(waveform, sample_rate, RATE)
    found = silero_vad.get_speech_timestamps(heard, _own.model, sampling_rate=RATE)
    if not found:
        return waveform[:0]
    margin = round(MARGIN_SECONDS * sample_rate)
    first, last = (round(place * sample_rate / RATE) for place in (found[0]["start"], found[-1]["end"]))
    return waveform[max(first - margin, 0) : last + margin]
