"""Writing of 16-bit sound files, whole or piece by piece. A file appears complete or not at all."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import soundfile
from torch import Tensor

from wavegan.audio.readers import BLOCK_VALUES, reason
from wavegan.core import files
from wavegan.core.errors import UserError

WRITABLE = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au"})
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
RATES = {".mp3": MP3_RATES, ".ogg": range(1, 192001)}  # above 192 kHz, libsndfile's ogg encoder crashes
MOST_BYTES = 2**32 - 2**16  # of .wav, .aiff and .au, which have 32-bit lengths in their headers


def write(path: Path | str, waveform: Tensor | np.ndarray, sample_rate: int) -> None:
    """Write a waveform (T,) as 16-bit sound, clipped to [-1, 1], in the format of the suffix.

    Raises:
        UserError: as ``check_target``; samples that are not finite, too many of them, or a full disk.
    """
    with writing(path, sample_rate) as append:
        append(waveform)


@contextmanager
def writing(path: Path | str, sample_rate: int) -> Iterator[Callable[[Tensor | np.ndarray], None]]:
    """Yield a function that appends waveforms (T,) to a file, which appears when the block ends without an error."""
    path = Path(path)
    check_target(path, sample_rate)
    with files.replacing(path) as partial, _Target(partial, "w") as target:
        try:
            file_format = path.suffix[1:].upper()
            with soundfile.SoundFile(target, "w", sample_rate, channels=1, format=file_format) as file:
                yield lambda waveform: _append(file, waveform, path, target)
        except soundfile.LibsndfileError as error:
            raise UserError(f"Cannot write {path}: {reason(error)}. Use another format or sample rate.") from None
        target.check()
        os.fsync(target.fileno())


class _Target(io.FileIO):
    """A file that keeps the first error of the operating system, which libsndfile's encoders don't report."""

    error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.error = self.error or error
        return len(data)

    def check(self) -> None:
        if self.error is not None:
            raise self.error


def _append(file: soundfile.SoundFile, waveform: Tensor | np.ndarray, path: Path, target: _Target) -> None:
    samples = np.asarray(waveform)
    if not np.isfinite(np.clip(samples, -1, 1)).all():
        raise UserError(f"Cannot write {path}: the waveform has samples that are not finite (NaN or infinity).")
    if path.suffix.lower() in (".wav", ".aiff", ".au") and 2 * (file.tell() + len(samples)) > MOST_BYTES:
        hours = MOST_BYTES / 2 / file.samplerate / 3600
        raise UserError(f"Cannot write {path}: {path.suffix} has at most {hours:.0f} hours at this rate. Use .flac.")
    for start in range(0, len(samples), BLOCK_VALUES):
        file.write(to_int16(samples[start : start + BLOCK_VALUES]))
        target.check()


def encode(waveform: Tensor | np.ndarray, sample_rate: int) -> bytes:
    """Encode a waveform (T,) as 16-bit FLAC, clipped to [-1, 1]; UserError for a rate that FLAC doesn't support."""
    data = io.BytesIO()
    try:
        soundfile.write(data, to_int16(waveform), sample_rate, format="FLAC")
    except soundfile.LibsndfileError as error:
        raise UserError(f"FLAC doesn't support {sample_rate} Hz: {reason(error)}. Use another sample rate.") from None
    return data.getvalue()


def to_int16(waveform: Tensor | np.ndarray) -> np.ndarray:
    """Convert a finite waveform to 16-bit samples, clipped to [-1, 1]: +1.0 is 32767 and never wraps to -32768."""
    samples = np.clip(np.asarray(waveform, dtype=np.float64), -1.0, 1.0)
    return np.round(samples * 32767).astype(np.int16)


def check_target(path: Path, sample_rate: int | None = None) -> None:
    """Check that ``write`` can write ``path``, before a long computation.

    Raises:
        UserError: unknown suffix, a rate that its format doesn't support, or a folder that is missing or read-only.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITABLE:
        raise UserError(f"Cannot write {path}: unknown suffix '{path.suffix}'. Use .wav, .flac, .ogg or .mp3.")
    if sample_rate is not None and suffix in RATES and sample_rate not in RATES[suffix]:
        raise UserError(
            f"Cannot write {path}: {suffix} doesn't support {sample_rate} samples a second. Use .wav or .flac."
        )
    files.check_target(path)
