"""Reading of sound files, whole or as a stream. Waveforms are float32 in [-1, 1], mono, shape (T,)."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wavegan.audio.readers import READERS, Probe, Reader, reader_of
from wavegan.audio.resample import resample, resample_stream
from wavegan.core.errors import UserError

SILENCE = 10 ** (-60 / 20)  # a file whose loudest sample is below -60 dB of full scale is silent
LOUDEST = 16.0  # floating-point recordings exceed full scale, but not by 24 dB: those are unscaled integers


def probe(path: Path | str) -> Probe:
    """Read the header of a sound file.

    Raises:
        UserError: missing, empty, cut short, or not a sound file.
    """
    path, reader = _reader(path)
    return reader.probe(path)


def read(path: Path | str, sample_rate: int | None = None, max_seconds: float | None = None) -> tuple[Tensor, int]:
    """Read a sound file: a mono waveform (T,), resampled to ``sample_rate`` if given, and its sample rate in Hz.

    A file longer than ``max_seconds`` is rejected by its header or, where that only estimates, during decoding.

    Raises:
        UserError: missing, empty, cut short, not a sound file, too long, or samples that ``check_samples`` rejects.
    """
    rate, blocks = _open(path, max_seconds)
    waveform = torch.cat(list(blocks))
    if sample_rate is not None and sample_rate != rate:
        waveform, rate = resample(waveform, rate, sample_rate, str(path)), sample_rate
    return waveform, rate


def read_span(path: Path | str, begin: float, end: float) -> tuple[Tensor, int]:
    """Read a sound file from ``begin`` to ``end``, in seconds: a mono waveform (T,) and its sample rate.

    Raises:
        UserError: as ``read``; or a span beyond the end of the file.
    """
    path, reader = _reader(path)
    rate, num_samples = reader.probe(path)
    first, last = round(begin * rate), round(end * rate)
    if not 0 <= first < last <= num_samples + 0.01 * rate:  # other programs round durations
        raise UserError(f"{path} lasts {num_samples / rate:.2f} s, without a span from {begin:g} to {end:g} s.")
    return torch.cat(list(_checked(iter([reader.span(path, first, last)]), path, rate))), rate


def stream(path: Path | str, sample_rate: int | None = None) -> tuple[Iterator[Tensor], int]:
    """Read the samples of ``read`` in blocks (T,), decoded as they are consumed; returns them and their sample rate.

    Raises:
        UserError: as ``read``; for faults at the end of a file, when it is reached.
    """
    rate, blocks = _open(path)
    if sample_rate is None or sample_rate == rate:
        return blocks, rate
    return resample_stream(blocks, rate, sample_rate, name=str(path)), sample_rate


def find(folder: Path | str) -> list[Path]:
    """List all sound files below ``folder``, sorted by path, without hidden ones.

    Raises:
        UserError: not a folder, or no sound files in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder. Give the folder of the recordings.")
    candidates = (p for p in folder.rglob("*") if p.suffix.lower() in READERS and p.is_file())
    paths = sorted(p for p in candidates if not any(is_hidden(part) for part in p.relative_to(folder).parts))
    if not paths:
        raise UserError(f"{folder} has no sound files ({', '.join(sorted(READERS))}). Give the right folder.")
    return paths


def is_hidden(name: str) -> bool:
    """Return True for hidden files and folders: ".name", and the "__MACOSX" that macOS adds to archives."""
    return name.startswith((".", "__MACOSX"))


def check_samples(waveform: Tensor, name: str) -> Tensor:
    """Return a waveform of any shape; UserError if samples aren't finite, or are far beyond full scale."""
    peak = float(waveform.abs().max())
    if not math.isfinite(peak):
        raise UserError(f"{name} has samples that are not finite (NaN or infinity).")
    if peak > LOUDEST:
        raise UserError(f"{name} reaches {peak:.4g}, expected samples between -1 and 1: divide it by its full scale.")
    return waveform


def _open(path: Path | str, max_seconds: float | None = None) -> tuple[int, Iterator[Tensor]]:
    """The sample rate of a sound file and its checked blocks (T,)."""
    path, reader = _reader(path)
    rate, num_samples = reader.probe(path)
    _check_length(path, num_samples / rate, max_seconds)
    return rate, _checked(reader.blocks(path), path, rate, max_seconds)


def _checked(blocks: Iterator[np.ndarray], path: Path, rate: int, max_seconds: float | None = None) -> Iterator[Tensor]:
    num_samples = 0
    for block in blocks:
        num_samples += len(block)
        _check_length(path, num_samples / rate, max_seconds)
        if len(block):
            yield check_samples(torch.from_numpy(block), str(path))
    if not num_samples:
        raise UserError(f"{path} has no samples. Give a recording that is not empty.")


def _check_length(path: Path, seconds: float, max_seconds: float | None) -> None:
    if max_seconds is not None and seconds > max_seconds:
        raise UserError(f"{path} lasts {seconds:.3g} s; at most {max_seconds:g} s are accepted. Cut it into pieces.")


def _reader(path: Path | str) -> tuple[Path, Reader]:
    """Check that ``path`` is a file with contents, and choose its reader."""
    path = Path(path)
    try:
        exists = path.exists()
    except (OSError, ValueError):  # a name that is too long, or with a zero byte
        exists = False
    if not exists:
        raise UserError(f"No such file: {path}.")
    if not path.is_file():
        raise UserError(f"{path} is {'a folder' if path.is_dir() else 'a device'}, not a sound file.")
    if path.stat().st_size == 0:
        raise UserError(f"{path} is an empty file (0 bytes). Copy it again.")
    return path, reader_of(path)
