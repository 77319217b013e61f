"""Readers of sound formats. A new format is a class with ``probe`` and ``blocks``, and a line in ``READERS``."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from wavegan.core.errors import UserError

MIN_RATE, MAX_RATE = 1000, 384000
BLOCK_VALUES = 1 << 20  # decoded at once, all channels together


class Probe(NamedTuple):
    """Sample rate in Hz and length of a sound file, as its header has them."""

    sample_rate: int
    num_samples: int


class Reader(ABC):
    """Decodes a sound format to mono float32 in [-1, 1], shape (T,)."""

    @abstractmethod
    def probe(self, path: Path) -> Probe:
        """Read the header.

        Raises:
            UserError: another format, cut short, or no samples.
        """

    @abstractmethod
    def blocks(self, path: Path) -> Iterator[np.ndarray]:
        """Decode block by block, mixed down as they come: eight channels don't need eight times the memory.

        Raises:
            UserError: another format, or cut short.
        """

    def span(self, path: Path, first: int, last: int) -> np.ndarray:
        """Decode the samples from ``first`` up to ``last``; formats with random access seek instead."""
        return np.concatenate([np.empty(0, np.float32), *self.blocks(path)])[first:last]


class SoundFile(Reader):
    """The formats of libsndfile."""

    def probe(self, path: Path) -> Probe:
        try:
            info = soundfile.info(str(path), verbose=True)
        except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: .raw has no header
            raise self._unreadable(path, error) from None
        if not MIN_RATE <= info.samplerate <= MAX_RATE:
            raise UserError(f"{path} has {info.samplerate} samples a second, expected {MIN_RATE} to {MAX_RATE}.")
        # libsndfile reads a truncated file without an error; only its log has the length that the header promised,
        # and not for ogg and opus. Streams piped from ffmpeg or sox have a length of 0 or 2**32 - 1 and are complete.
        truncated = re.search(r"(data|SSND|Data Size|Riff size)\s*: \d+ \(should be", info.extra_info)
        piped = r"(data|Riff size)\s*: (0|4294967295|2147483647|42949672\d\d) \(should"
        if truncated and not re.search(piped, info.extra_info):
            raise UserError(f"{path} is cut short: its header promises more samples than it has. Copy it again.")
        if info.frames <= 0:
            raise UserError(f"{path} has no samples. Give a recording that is not empty.")
        return Probe(info.samplerate, info.frames)

    def blocks(self, path: Path) -> Iterator[np.ndarray]:
        decoded = 0
        try:
            with soundfile.SoundFile(str(path)) as file:
                expected, size = file.frames, max(BLOCK_VALUES // file.channels, 1)
                while len(block := file.read(size, dtype="float32", always_2d=True)):
                    decoded += len(block)
                    yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
        except soundfile.LibsndfileError as error:
            raise self._unreadable(path, error) from None
        if decoded < expected * (0.95 if path.suffix.lower() == ".mp3" else 1):  # an MP3 header only estimates
            raise UserError(f"{path} is cut short: {decoded} of {expected} samples. Copy it again.")

    def span(self, path: Path, first: int, last: int) -> np.ndarray:
        try:
            with soundfile.SoundFile(str(path)) as file:
                file.seek(first)
                return file.read(last - first, dtype="float32", always_2d=True).mean(axis=1)
        except soundfile.LibsndfileError as error:
            raise self._unreadable(path, error) from None

    def _unreadable(self, path: Path, error: Exception) -> UserError:
        return UserError(f"{path} is not a sound file that can be read ({reason(error)}). Use wav, flac, ogg or mp3.")


class G722(Reader):
    """G.722 at 64 kbit/s, decoded by ffmpeg. It has no header: the rate is 16 kHz, a byte has two samples."""

    RATE = 16000

    def probe(self, path: Path) -> Probe:
        return Probe(self.RATE, 2 * path.stat().st_size)

    def blocks(self, path: Path) -> Iterator[np.ndarray]:
        if shutil.which("ffmpeg") is None:
            raise UserError(f"{path} is G.722, which needs ffmpeg: install it (apt-get install ffmpeg) and try again.")
        command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", str(path), "-f", "s16le", "-ac", "1"]
        command += ["-ar", str(self.RATE), "-"]
        with tempfile.TemporaryFile() as log:
            pipes = {"stdout": subprocess.PIPE, "stderr": log, "stdin": subprocess.DEVNULL}
            with subprocess.Popen(command, **pipes) as process:
                try:
                    decoded = 0
                    while data := process.stdout.read(2 * BLOCK_VALUES):
                        decoded += len(data)
                        yield np.frombuffer(data, dtype="<i2").astype(np.float32) / 32768
                    failed = process.wait()
                finally:
                    process.kill()
            if failed or not decoded:
                log.seek(0)
                lines = log.read().decode(errors="replace").strip().splitlines() or ["it has no samples"]
                raise UserError(f"ffmpeg cannot decode {path}: {lines[-1]}.")


SOUND_FILE = SoundFile()
READERS: dict[str, Reader] = dict.fromkeys((".wav", ".flac", ".ogg", ".opus", ".mp3"), SOUND_FILE)
READERS |= dict.fromkeys((".aiff", ".aif", ".au"), SOUND_FILE)
READERS[".g722"] = G722()


def reader_of(path: Path) -> Reader:
    """Return the reader for a file's suffix; libsndfile recognises files of any other name by their content."""
    return READERS.get(path.suffix.lower(), SOUND_FILE)


def reason(error: Exception) -> str:
    """The message of a libsndfile error, without the full stop."""
    return (getattr(error, "error_string", None) or str(error)).strip().rstrip(".")
