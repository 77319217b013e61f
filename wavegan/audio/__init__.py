"""Sound files, resampling, levels, STFT, mels and their conventions; the functions on sound files are public here."""

from wavegan.audio.files import SILENCE, check_samples, find, is_hidden, probe, read, read_span, stream
from wavegan.audio.readers import MAX_RATE, MIN_RATE, Probe
from wavegan.audio.writers import WRITABLE, check_target, encode, to_int16, write, writing

__all__ = ["MAX_RATE", "MIN_RATE", "SILENCE", "WRITABLE", "Probe", "check_samples", "check_target"]
__all__ += ["encode", "find", "is_hidden", "probe", "read", "read_span", "stream", "to_int16", "write", "writing"]
