"""How close a copy is to the recording, and how natural it sounds. Waveforms are (T,) float arrays or tensors."""

from __future__ import annotations

import functools
import importlib.util
import warnings

import numpy as np
import torch
from torch import Tensor

from wavegan import audio
from wavegan.dsp import LogMel, LogMelConfig
from wavegan.errors import UserError

PESQ_RATE = 16000
PESQ_PIECE_SECONDS = 15
COPY_SECONDS = 60  # PESQ and ESTOI of hours would take longer than the copy, and all memory


def align(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Cut both to the shorter length: a vocoder's output ends on a whole frame, a recording anywhere."""
    length = min(len(real), len(fake))
    return real[:length], fake[:length]


@functools.cache
def _reference_mel(sample_rate: int) -> LogMel:
    hop = sample_rate // 100
    n_fft = 2 ** round(np.log2(sample_rate * 0.04))
    return LogMel(LogMelConfig(sample_rate=sample_rate, n_fft=n_fft, hop_length=hop, n_mels=80))


def mel_l1(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """Mean absolute difference of natural-log mels (80 bands, slaney, 10 ms hop), in nepers."""
    real, fake = align(real, fake)
    mel = _reference_mel(sample_rate)
    return float((mel(real[None]) - mel(fake[None])).abs().mean())


def pesq(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """Wideband PESQ (ITU-T P.862.2) at 16 kHz, 1.0 to 4.64; NaN where it is not defined (silence, under 0.25 s).

    Recordings of more than 15 s are scored in pieces and averaged: the reference code has room for 50 utterances
    only, and crashes the process beyond (its issue 15).

    Raises:
        UserError: the ``metrics`` extra isn't installed.
    """
    require("pesq")
    from pesq import PesqError
    from pesq import pesq as compute

    real, fake = align(*(audio.resample(w, sample_rate, PESQ_RATE) for w in (real, fake)))
    count = max(1, round(len(real) / (PESQ_PIECE_SECONDS * PESQ_RATE)))
    scores = []
    for r, f in zip(real.tensor_split(count), fake.tensor_split(count), strict=True):
        try:
            scores.append(float(compute(PESQ_RATE, np.asarray(r, np.float32), np.asarray(f, np.float32), "wb")))
        except (PesqError, ValueError):  # silence raises ValueError inside the package
            continue
    return float(np.mean(scores)) if scores else float("nan")


def estoi(real: Tensor, fake: Tensor, sample_rate: int) -> float:
    """Extended short-time objective intelligibility (Jensen 2016), 0 to 1; NaN for clips too short for it."""
    from pystoi import stoi

    real, fake = align(real, fake)
    with warnings.catch_warnings():
        warnings.simplefilter("error", RuntimeWarning)  # pystoi warns and returns 1e-5 when it has too few frames
        try:
            return float(stoi(np.asarray(real), np.asarray(fake), sample_rate, extended=True))
        except (RuntimeWarning, ValueError):
            return float("nan")


def dnsmos(waveform: Tensor, sample_rate: int) -> float:
    """DNSMOS P.835 overall quality (Reddy 2022), 1 to 5, without a reference.

    Raises:
        UserError: the ``metrics`` extra isn't installed.
    """
    require("speechmos")
    from speechmos import dnsmos as model

    waveform = audio.resample(waveform, sample_rate, PESQ_RATE).clamp(-1, 1)
    return float(model.run(np.asarray(waveform, np.float32), PESQ_RATE)["ovrl_mos"])


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def require(package: str) -> None:
    if not installed(package):
        raise UserError(f"This metric needs the package '{package}': pip install 'wavegan[metrics]'.")


def copy_quality(real: Tensor, fake: Tensor, sample_rate: int) -> dict[str, float]:
    """The quick paired metrics of the first minute: mel L1 and ESTOI always, PESQ where its package is installed."""
    limit = COPY_SECONDS * sample_rate
    real, fake = real[:limit], fake[:limit]
    with torch.inference_mode():
        scores = {"mel_l1": mel_l1(real, fake, sample_rate), "estoi": estoi(real, fake, sample_rate)}
    if installed("pesq"):
        scores["pesq"] = pesq(real, fake, sample_rate)
    return scores


def describe(real: Tensor, fake: Tensor | np.ndarray, sample_rate: int) -> str:
    """The quick paired metrics in one line, each with the value that an identical copy would get."""
    scores = copy_quality(real, torch.as_tensor(fake), sample_rate)
    best = {"pesq": "PESQ {:.2f} (of 4.64)", "estoi": "ESTOI {:.3f} (of 1)", "mel_l1": "mel distance {:.3f} (of 0)"}
    parts = [text.format(scores[name]) for name, text in best.items() if not np.isnan(scores.get(name, np.nan))]
    if "pesq" not in scores:
        parts.append("PESQ with pip install 'wavegan[metrics]'")
    return ", ".join(parts) + (f" (first {COPY_SECONDS} s)" if len(real) > COPY_SECONDS * sample_rate else "")
