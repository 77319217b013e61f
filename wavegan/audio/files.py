"""Sound files in and out. Waveforms are float32 in [-1, 1], mono, shape (T,). The only soundfile import."""

from __future__ import annotations

import io
import math
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
from torch import Tensor

from wavegan.audio.resample import resample, resample_stream
from wavegan.core import files
from wavegan.core.errors import UserError

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".g722"})
WRITABLE = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au"})
MIN_RATE, MAX_RATE = 1000, 384000
MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
MAX_OGG_RATE = 192000  # above it, libsndfile's encoder crashes
MOST_BYTES = 2**32 - 2**16  # of a .wav, .aiff or .au, whose headers count in 32 bits
BLOCK_VALUES = 1 << 20  # decoded at once, all channels together
SILENCE = 10 ** (-60 / 20)  # a file whose loudest sample is below -60 dB of full scale is silent
LOUDEST = 16.0  # recordings in floating point go beyond full scale, but not by 24 dB: those are integers in disguise
G722_RATE, G722_BYTES_PER_SECOND = 16000, 8000


class Probe(NamedTuple):
    """What the header of a sound file says."""

    sample_rate: int
    num_samples: int


def probe(path: Path | str) -> Probe:
    """Read the header of a sound file that soundfile can open.

    Raises:
        UserError: missing, empty, cut short, or not a sound file.
    """
    path = _existing(path)
    try:
        info = soundfile.info(str(path), verbose=True)
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: .raw, which says nothing of itself
        raise _not_audio(path, error) from None
    if not MIN_RATE <= info.samplerate <= MAX_RATE:
        raise UserError(f"{path} says it has {info.samplerate} samples a second; {MIN_RATE} to {MAX_RATE} make sense.")
    # libsndfile reads a cut-short file without complaint; only its log tells what the header promised, and for ogg
    # and opus nothing does.
    short = re.search(r"(data|SSND|Data Size|Riff size)\s*: \d+ \(should be", info.extra_info)
    if short and not _unfinished_header(info.extra_info):
        raise UserError(f"{path} is cut short: its header promises more samples than it holds. Copy it again.")
    if info.frames <= 0:
        raise UserError(f"{path} holds no samples. Give a recording that is not empty.")
    return Probe(info.samplerate, info.frames)


def rate_of(path: Path | str) -> int:
    """The sample rate of a sound file in Hz, by its header; of G.722, which has none, the only one there is.

    Raises:
        UserError: as ``probe``.
    """
    return G722_RATE if Path(path).suffix.lower() == ".g722" else probe(path).sample_rate


def read(path: Path | str, sample_rate: int | None = None, max_seconds: float | None = None) -> tuple[Tensor, int]:
    """Read a sound file as a mono waveform (T,), resampled to ``sample_rate`` if one is given.

    G.722, which libsndfile does not know, is decoded by ffmpeg. With ``max_seconds``, a longer file is refused
    by its header; where that only estimates, as soon as more has been decoded.

    Returns:
        The waveform and its sample rate in Hz.

    Raises:
        UserError: missing, empty, cut short, not a sound file, samples that ``check_samples`` refuses, or too long.
    """
    rate, blocks = _open(path, max_seconds)
    waveform = torch.cat(list(blocks))
    if sample_rate is not None and sample_rate != rate:
        waveform, rate = resample(waveform, rate, sample_rate, str(path)), sample_rate
    return waveform, rate


def read_span(path: Path | str, begin: float, end: float) -> tuple[Tensor, int]:
    """What lies from ``begin`` to ``end``, in seconds, of a sound file: a mono waveform (T,) and its sample rate.

    Raises:
        UserError: as ``read``; or a file that ends before.
    """
    rate, num_samples = probe(path)
    first, last = round(begin * rate), round(end * rate)
    if not 0 <= first < last <= num_samples + 0.01 * rate:  # other programs round durations
        raise UserError(f"{path} lasts {num_samples / rate:.2f} s; {begin:g} to {end:g} s doesn't lie in it.")
    try:
        with soundfile.SoundFile(str(path)) as file:
            file.seek(first)
            block = file.read(last - first, dtype="float32", always_2d=True).mean(axis=1)
    except soundfile.LibsndfileError as error:
        raise _not_audio(Path(path), error) from None
    return torch.cat(list(_checked(iter([block] if len(block) else []), Path(path)))), rate


def stream(path: Path | str, sample_rate: int | None = None) -> tuple[Iterator[Tensor], int]:
    """The same samples as ``read``, in blocks (T,) that are read as they are asked for, and their sample rate.

    Raises:
        UserError: as ``read``; of what only the end of a file tells, when it is reached.
    """
    rate, blocks = _open(path)
    if sample_rate is None or sample_rate == rate:
        return blocks, rate
    return resample_stream(blocks, rate, sample_rate, name=str(path)), sample_rate


def write(path: Path | str, waveform: Tensor | np.ndarray, sample_rate: int) -> None:
    """Write a waveform (T,) as 16-bit sound, clipped to [-1, 1]. The suffix chooses the format.

    The file appears whole or not at all.

    Raises:
        UserError: unknown suffix, or a folder that is missing or can't be written.
    """
    with writing(path, sample_rate) as append:
        append(waveform)


@contextmanager
def writing(path: Path | str, sample_rate: int) -> Iterator[Callable[[Tensor | np.ndarray], None]]:
    """A function that appends waveforms (T,) to a file of 16-bit sound: as ``write``, piece by piece.

    The file appears when the block ends well; until then, and if it doesn't, there is nothing.

    Raises:
        UserError: as ``write``; a rate or more sound than the format can hold, or a full disk.
    """
    path = Path(path)
    check_target(path, sample_rate)
    with files.replacing(path) as partial, _Target(partial, "w") as target:
        try:
            file_format = path.suffix[1:].upper()
            with soundfile.SoundFile(target, "w", sample_rate, channels=1, format=file_format) as file:
                yield lambda waveform: _append(file, waveform, path, target)
        except soundfile.LibsndfileError as error:
            raise UserError(f"Cannot write {path}: {_reason(error)} Use another format or sample rate.") from None
        target.check()
        os.fsync(target.fileno())


class _Target(io.FileIO):
    """A file that remembers why the system refused to write: libsndfile's encoders don't tell."""

    refusal: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            rest = memoryview(data)
            while rest:
                rest = rest[super().write(rest) :]
        except OSError as error:
            self.refusal = self.refusal or error
        return len(data)

    def check(self) -> None:
        if self.refusal is not None:
            raise self.refusal


def _append(file: soundfile.SoundFile, waveform: Tensor | np.ndarray, path: Path, target: _Target) -> None:
    samples = np.asarray(waveform)
    if not np.isfinite(np.clip(samples, -1, 1)).all():
        raise UserError(f"Cannot write {path}: the waveform has samples that are not finite (NaN or infinity).")
    if path.suffix.lower() in (".wav", ".aiff", ".au") and 2 * (file.tell() + len(samples)) > MOST_BYTES:
        hours = MOST_BYTES / 2 / file.samplerate / 3600
        raise UserError(f"Cannot write {path}: {path.suffix} holds at most {hours:.0f} hours at this rate. Use .flac.")
    for start in range(0, len(samples), BLOCK_VALUES):
        file.write(to_int16(samples[start : start + BLOCK_VALUES]))
        target.check()


def encode(waveform: Tensor | np.ndarray, sample_rate: int) -> bytes:
    """A waveform (T,) as the bytes of a 16-bit FLAC, clipped to [-1, 1]."""
    data = io.BytesIO()
    try:
        soundfile.write(data, to_int16(waveform), sample_rate, format="FLAC")
    except soundfile.LibsndfileError as error:
        raise UserError(f"FLAC can't hold {sample_rate} Hz: {_reason(error)} Use another sample rate.") from None
    return data.getvalue()


def to_int16(waveform: Tensor | np.ndarray) -> np.ndarray:
    """A finite waveform as 16-bit samples, clipped to [-1, 1]: +1.0 is 32767 and never wraps to -32768."""
    samples = np.clip(np.asarray(waveform, dtype=np.float64), -1.0, 1.0)
    return np.round(samples * 32767).astype(np.int16)


def check_target(path: Path, sample_rate: int | None = None) -> None:
    """Refuse a place that ``write`` could not write to: to be asked before the long work, not after it.

    Raises:
        UserError: unknown suffix, a rate that it can't hold, or a folder that is missing or can't be written.
    """
    suffix = path.suffix.lower()
    if suffix not in WRITABLE:
        raise UserError(f"Cannot write {path}: unknown suffix '{path.suffix}'. Use .wav, .flac, .ogg or .mp3.")
    limits = {".mp3": MP3_RATES, ".ogg": range(1, MAX_OGG_RATE + 1)}
    if sample_rate is not None and suffix in limits and sample_rate not in limits[suffix]:
        raise UserError(f"Cannot write {path}: {suffix} can't hold {sample_rate} samples a second. Use .wav or .flac.")
    files.check_target(path)


def check_samples(waveform: Tensor, name: str) -> Tensor:
    """A waveform of any shape, if it can be one.

    Raises:
        UserError: samples that are not finite, or far beyond full scale.
    """
    peak = float(waveform.abs().max())
    if not math.isfinite(peak):
        raise UserError(f"{name} has samples that are not finite (NaN or infinity).")
    if peak > LOUDEST:
        raise UserError(f"{name} reaches {peak:.4g}; samples lie between -1 and 1: divide it by its full scale.")
    return waveform


def find(folder: Path | str) -> list[Path]:
    """All sound files under ``folder``, nested, sorted by path; hidden ones, as macOS writes beside others, aside.

    Raises:
        UserError: not a folder, or no sound file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder. Give the folder that holds the recordings.")
    every = (p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    paths = sorted(p for p in every if not any(is_hidden(part) for part in p.relative_to(folder).parts))
    if not paths:
        raise UserError(f"{folder} holds no sound files ({', '.join(sorted(SUFFIXES))}). Give the right folder.")
    return paths


def is_hidden(name: str) -> bool:
    """Whether a file or folder isn't meant to be seen: ".name", or what macOS packs beside an archive's contents."""
    return name.startswith((".", "__MACOSX"))


def _check_length(path: Path, seconds: float, most: float | None) -> None:
    if most is not None and seconds > most:
        raise UserError(f"{path} lasts {seconds:.3g} s; at most {most:g} s are taken. Cut it into pieces.")


def _open(path: Path | str, max_seconds: float | None = None) -> tuple[int, Iterator[Tensor]]:
    """The sample rate of a sound file, and its blocks, mono, (T,)."""
    path = _existing(path)
    if path.suffix.lower() == ".g722":
        _check_length(path, path.stat().st_size / G722_BYTES_PER_SECOND, max_seconds)
        return G722_RATE, _checked(_decode_with_ffmpeg(path), path)
    rate, num_samples = probe(path)
    _check_length(path, num_samples / rate, max_seconds)
    return rate, _checked(_decode(path, max_seconds), path)


def _checked(blocks: Iterator[np.ndarray], path: Path) -> Iterator[Tensor]:
    empty = True
    for block in blocks:
        empty = False
        yield check_samples(torch.from_numpy(block), str(path))
    if empty:
        raise UserError(f"{path} holds no samples. Give a recording that is not empty.")


def _decode(path: Path, max_seconds: float | None = None) -> Iterator[np.ndarray]:
    """Decode in blocks and mix to mono as they come: eight channels need no eight-fold memory."""
    decoded = 0
    try:
        with soundfile.SoundFile(str(path)) as file:
            expected, size = file.frames, max(BLOCK_VALUES // file.channels, 1)
            while len(block := file.read(size, dtype="float32", always_2d=True)):
                decoded += len(block)
                _check_length(path, decoded / file.samplerate, max_seconds)  # headers of MP3 only estimate
                yield block[:, 0] if block.shape[1] == 1 else block.mean(axis=1)
    except soundfile.LibsndfileError as error:
        raise _not_audio(path, error) from None
    if decoded < expected * (0.95 if path.suffix.lower() == ".mp3" else 1):  # an MP3 header only estimates
        raise UserError(f"{path} is cut short: {expected} samples promised, {decoded} found. Copy it again.")


def _decode_with_ffmpeg(path: Path) -> Iterator[np.ndarray]:
    if shutil.which("ffmpeg") is None:
        raise UserError(f"{path} is G.722, which needs ffmpeg: install it (apt-get install ffmpeg) and try again.")
    command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", str(path), "-f", "s16le", "-ac", "1"]
    command += ["-ar", str(G722_RATE), "-"]
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
            reason = log.read().decode(errors="replace").strip().splitlines() or ["it holds no samples"]
            raise UserError(f"ffmpeg cannot decode {path}: {reason[-1]}.")


def _existing(path: Path | str) -> Path:
    path = Path(path)
    try:
        found = path.exists()
    except (OSError, ValueError):  # a name too long for a file, or with a zero byte
        found = False
    if not found:
        raise UserError(f"No such file: {path}.")
    if not path.is_file():
        raise UserError(f"{path} is {'a folder' if path.is_dir() else 'a device'}, not a sound file.")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is an empty file (0 bytes). Copy it again.")
    return path


def _unfinished_header(log: str) -> bool:
    """Streams piped from ffmpeg or sox carry a length of 0 or 2**32-1 and are whole all the same."""
    return bool(re.search(r"(data|Riff size)\s*: (0|4294967295|2147483647|42949672\d\d) \(should", log))


def _not_audio(path: Path, error: Exception) -> UserError:
    return UserError(f"{path} is not a sound file that can be read ({_reason(error)[:-1]}). Use wav, flac, ogg or mp3.")


def _reason(error: Exception) -> str:
    text = getattr(error, "error_string", None) or str(error)
    return text.strip().rstrip(".") + "."
