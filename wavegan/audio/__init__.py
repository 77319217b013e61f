"""Sound: files, resampling, levels, STFT, mels and their conventions.

``audio.read``, ``audio.write`` and the other functions on sound files are those of ``wavegan.audio.files``.
"""

from wavegan.audio.files import (
    MAX_RATE,
    MIN_RATE,
    SILENCE,
    SUFFIXES,
    WRITABLE,
    Probe,
    check_samples,
    check_target,
    encode,
    find,
    is_hidden,
    probe,
    rate_of,
    read,
    read_span,
    stream,
    to_int16,
    write,
    writing,
)

__all__ = [
    "MAX_RATE",
    "MIN_RATE",
    "SILENCE",
    "SUFFIXES",
    "WRITABLE",
    "Probe",
    "check_samples",
    "check_target",
    "encode",
    "find",
    "is_hidden",
    "probe",
    "rate_of",
    "read",
    "read_span",
    "stream",
    "to_int16",
    "write",
    "writing",
]
