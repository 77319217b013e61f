"""Sound files in and out. Waveforms are float32 in [-1, 1], mono, shape (T,). The only soundfile import."""

from __future__ import annotations

import math
import os
import re
import shutil
import subprocess
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile
import torch
import torchaudio
from torch import Tensor

from wavegan.errors import UserError
from wavegan.files import replacing

SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".opus", ".mp3", ".aiff", ".aif", ".au", ".g722"})
WRITABLE = frozenset({".wav", ".flac", ".ogg", ".mp3", ".aiff", ".au"})
MIN_RATE, MAX_RATE = 1000, 384000
BLOCK_SECONDS = 60  # resampled at once
BLOCK_VALUES = 1 << 20  # decoded at once, all channels together
G722_RATE, G722_BYTES_PER_SECOND = 16000, 8000
# Kaiser-windowed sinc with a narrow transition: the settings torchaudio documents as librosa's "kaiser_best".
_RESAMPLE = dict(
    resampling_method="sinc_interp_kaiser", lowpass_filter_width=64, rolloff=0.9475937167399596, beta=14.769656459379492
)


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


def read(path: Path | str, sample_rate: int | None = None, max_seconds: float | None = None) -> tuple[Tensor, int]:
    """Read a sound file as a mono waveform (T,), resampled to ``sample_rate`` if one is given.

    G.722, which libsndfile does not know, is decoded by ffmpeg. With ``max_seconds``, a longer file is refused
    by its header; where that only estimates, as soon as more has been decoded.

    Returns:
        The waveform and its sample rate in Hz.

    Raises:
        UserError: missing, empty, cut short, not a sound file, with NaN or infinite samples, or too long.
    """
    path = _existing(path)
    if path.suffix.lower() == ".g722":
        _check_length(path, path.stat().st_size / G722_BYTES_PER_SECOND, max_seconds)
        waveform, rate = _decode_with_ffmpeg(path), G722_RATE
    else:
        rate, num_samples = probe(path)
        _check_length(path, num_samples / rate, max_seconds)
        waveform = _decode(path, max_seconds)
    if not bool(torch.isfinite(waveform).all()):
        raise UserError(f"{path} has samples that are not finite (NaN or infinity). Repair or leave out this file.")
    if sample_rate is not None and sample_rate != rate:
        waveform, rate = resample(waveform, rate, sample_rate), sample_rate
    return waveform, rate


def write(path: Path | str, waveform: Tensor | np.ndarray, sample_rate: int) -> None:
    """Write a waveform (T,) as 16-bit sound, clipped to [-1, 1]. The suffix chooses the format.

    The file appears whole or not at all.

    Raises:
        UserError: unknown suffix, or a folder that is missing or can't be written.
    """
    path = Path(path)
    check_target(path)
    file_format = path.suffix[1:].upper()
    if not np.isfinite(np.clip(np.asarray(waveform, np.float64), -1, 1)).all():
        raise UserError(f"Cannot write {path}: the waveform has samples that are not finite (NaN or infinity).")
    with replacing(path) as partial:
        try:
            soundfile.write(str(partial), to_int16(waveform), sample_rate, format=file_format)
        except soundfile.LibsndfileError as error:
            raise UserError(f"Cannot write {path}: {_reason(error)} Choose a place that can be written.") from None


def to_int16(waveform: Tensor | np.ndarray) -> np.ndarray:
    """A finite waveform as 16-bit samples, clipped to [-1, 1]: +1.0 is 32767 and never wraps to -32768."""
    samples = np.clip(np.asarray(waveform, dtype=np.float64), -1.0, 1.0)
    return np.round(samples * 32767).astype(np.int16)


def check_target(path: Path) -> None:
    """Refuse a place that ``write`` could not write to: to be asked before the long work, not after it.

    Raises:
        UserError: unknown suffix, or a folder that is missing or can't be written.
    """
    if path.suffix.lower() not in WRITABLE:
        raise UserError(f"Cannot write {path}: unknown suffix '{path.suffix}'. Use .wav, .flac, .ogg or .mp3.")
    if path.is_dir():
        raise UserError(f"Cannot write {path}: it is a folder. Give a file name.")
    if not path.parent.is_dir():
        raise UserError(f"Cannot write {path}: there is no folder {path.parent}. Make it first.")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"Cannot write {path}: no permission to write in {path.parent}.")


def resample(waveform: Tensor, from_rate: int, to_rate: int) -> Tensor:
    """Band-limited resampling along the last axis, to ceil(T * to_rate / from_rate) samples.

    Long signals go in blocks with a margin of the filter's length, to the same result: memory stays flat.
    """
    if from_rate == to_rate or waveform.shape[-1] == 0:
        return waveform
    # The filter bank has a filter for each phase: rates with a large ratio, such as 44101 to 16000, take the nearest
    # ratio of numbers up to 1000. The pitch moves by less than a millionth, the memory by a factor of a thousand.
    ratio = Fraction(to_rate, from_rate).limit_denominator(1000)
    up, down = ratio.numerator, ratio.denominator
    # Blocks start at whole periods of the filter; the margin exceeds its half-width (64 zero crossings / rolloff).
    margin = down * math.ceil(140 * max(1.0, from_rate / to_rate) / down)
    block = down * max(BLOCK_SECONDS * from_rate // down, 1)
    pieces, length = [], waveform.shape[-1]
    for start in range(0, length, block):
        first, stop = max(start - margin, 0), min(start + block, length)
        piece = torchaudio.functional.resample(waveform[..., first : stop + margin], down, up, **_RESAMPLE)
        begin = (start - first) // down * up
        count = math.ceil((stop - start) * up / down)
        pieces.append(piece[..., begin : begin + count])
    return torch.cat(pieces, dim=-1) if len(pieces) > 1 else pieces[0]


def find(folder: Path | str) -> list[Path]:
    """All sound files under ``folder``, nested, sorted by path.

    Raises:
        UserError: not a folder, or no sound file in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder. Give the folder that holds the recordings.")
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES and p.is_file())
    if not paths:
        raise UserError(f"{folder} holds no sound files ({', '.join(sorted(SUFFIXES))}). Give the right folder.")
    return paths


def _check_length(path: Path, seconds: float, most: float | None) -> None:
    if most is not None and seconds > most:
        raise UserError(f"{path} lasts {seconds:.3g} s; at most {most:g} s are taken. Cut it into pieces.")


def _decode(path: Path, max_seconds: float | None = None) -> Tensor:
    """Decode in blocks and mix to mono as they come: eight channels need no eight-fold memory."""
    blocks, decoded = [], 0
    try:
        with soundfile.SoundFile(str(path)) as file:
            expected, size = file.frames, max(BLOCK_VALUES // file.channels, 1)
            while len(block := file.read(size, dtype="float32", always_2d=True)):
                decoded += len(block)
                _check_length(path, decoded / file.samplerate, max_seconds)  # headers of MP3 only estimate
                blocks.append(block[:, 0] if block.shape[1] == 1 else block.mean(axis=1))
    except soundfile.LibsndfileError as error:
        raise _not_audio(path, error) from None
    waveform = np.concatenate(blocks) if blocks else np.zeros(0, np.float32)
    if len(waveform) < expected * (0.95 if path.suffix.lower() == ".mp3" else 1):  # an MP3 header only estimates
        raise UserError(f"{path} is cut short: {expected} samples promised, {len(waveform)} found. Copy it again.")
    if not len(waveform):
        raise UserError(f"{path} holds no samples. Give a recording that is not empty.")
    return torch.from_numpy(waveform)


def _decode_with_ffmpeg(path: Path) -> Tensor:
    if shutil.which("ffmpeg") is None:
        raise UserError(f"{path} is G.722, which needs ffmpeg: install it (apt-get install ffmpeg) and try again.")
    command = ["ffmpeg", "-v", "error", "-f", "g722", "-i", str(path), "-f", "s16le", "-ac", "1"]
    command += ["-ar", str(G722_RATE), "-"]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL)
    if done.returncode or not done.stdout:
        reason = done.stderr.decode(errors="replace").strip().splitlines() or ["it holds no samples"]
        raise UserError(f"ffmpeg cannot decode {path}: {reason[-1]}.")
    return torch.from_numpy(np.frombuffer(done.stdout, dtype="<i2").astype(np.float32) / 32768)


def _existing(path: Path | str) -> Path:
    path = Path(path)
    if not path.exists():
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
