"""How close a copy is to the recording, and how natural it sounds. Waveforms are (T,) float arrays or tensors."""

from __future__ import annotations

import functools
import importlib.util
import threading
import warnings

import numpy as np
import torch
from torch import Tensor

from wavegan import audio
from wavegan.dsp import LogMel, LogMelConfig, stft
from wavegan.errors import UserError

PESQ_RATE = 16000
PESQ_PIECE_SECONDS = 15
_WARNINGS = threading.Lock()  # filters of warnings are the whole process's
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


def multi_resolution_stft(real: Tensor, fake: Tensor) -> float:
    """Spectral convergence plus L1 distance of log-magnitudes (Yamamoto 2020, arXiv 1910.11480, equations 4 to 6), the
    mean over windows of 512, 1024 and 2048 samples, hop a quarter of them.
    """
    real, fake = align(real, fake)
    distances = []
    for n_fft in (512, 1024, 2048):
        window = torch.hann_window(n_fft)
        r, f = (stft(one[None].float(), n_fft, n_fft // 4, window).abs().clamp(min=1e-5) for one in (real, fake))
        distances.append((r - f).norm() / r.norm() + (r.log() - f.log()).abs().mean())
    return float(torch.stack(distances).mean())


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
    with _WARNINGS, warnings.catch_warnings():
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


# Metrics of sets of clips. p: probabilities (N, classes) that a judge gives, features: its features (N, D).


def inception_score(p: Tensor) -> float:
    """exp of the mean over clips of KL(p(y|x) || p(y)) (Salimans 2016, arXiv 1606.03498), from 1 to classes."""
    p = p.double().clamp(min=1e-12)
    return float((p * (p.log() - p.mean(0).log())).sum(1).mean().exp())


def modified_inception_score(p: Tensor) -> float:
    """exp of the mean over pairs of clips of KL(p(y|x) || p(y|x')), from 1 up (Gurumurthy 2017, arXiv 1706.02071).

    Over pairs of all clips, as DiffWave has it (Kong 2021, arXiv 2009.09761), and over all pairs, not a sample: the
    mean of p(y|x) log p(y|x') factors.
    """
    p = p.double().clamp(min=1e-12)
    return float(((p * p.log()).sum(1).mean() - (p.mean(0) * p.log().mean(0)).sum()).exp())


def am_score(p: Tensor, p_train: Tensor) -> float:
    """KL(p_train(y) || p(y)) + mean entropy of p(y|x) (Zhou 2018, arXiv 1703.02000); lower is better.

    ``p_train`` (classes,): how often each class is trained on.
    """
    p, p_train = p.double().clamp(min=1e-12), p_train.double().clamp(min=1e-12)
    return float((p_train * (p_train.log() - p.mean(0).log())).sum() - (p * p.log()).sum(1).mean())


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """Squared Frechet distance of two Gaussians fitted to features (N, D) (Heusel 2017, arXiv 1706.08500, eq. 6)."""
    real, fake = real.double(), fake.double()
    a, b = torch.cov(real.T), torch.cov(fake.T)
    # The trace of sqrt(a b), from the eigenvalues of the symmetric sqrt(a) b sqrt(a), which are the same.
    values, vectors = torch.linalg.eigh(a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    trace = torch.linalg.eigvalsh(root @ b @ root).clamp(min=0).sqrt().sum()
    return float((real.mean(0) - fake.mean(0)).square().sum() + a.trace() + b.trace() - 2 * trace)


def different_bins(train: Tensor, other: Tensor, bins: int = 50) -> float:
    """Share of bins of the training features that ``other`` fills differently (NDB; Richardson 2018, 1805.12462).

    The bins are k-means clusters of the training features (N, D); two proportions differ by a two-sided z-test at 5 %.
    """
    from scipy.cluster.vq import kmeans2, vq

    scale = train.std(0).clamp(min=1e-6)
    points, others = np.asarray(train / scale, np.float64), np.asarray(other / scale, np.float64)
    centres, own = kmeans2(points, bins, minit="++", seed=0)
    counts = [np.bincount(places, minlength=bins) for places in (own, vq(others, centres)[0])]
    n, m = len(points), len(others)
    p, q = counts[0] / n, counts[1] / m
    pooled = (counts[0] + counts[1]) / (n + m)
    deviation = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / n + 1 / m), 1e-12))
    return float((np.abs(p - q) / deviation > 1.96).mean())


def intra_class_diversity(features: Tensor, labels: Tensor) -> float:
    """Mean distance between the features (N, D) of two clips with the same label (N,), averaged over labels."""
    distances = [
        torch.pdist(own).mean() for own in (features[labels == label] for label in labels.unique()) if len(own) > 1
    ]
    return float(torch.stack(distances).mean()) if distances else float("nan")


def nearest_distance(clips: Tensor, train: Tensor, shifts: int = 3) -> Tensor:
    """Distance of each log-mel (N, M, F) to the nearest training one (K, M, F), RMS a bin, best of small shifts; (N,).

    Clips much nearer to the training clips than real test clips are would be copies.
    """
    bank = train.flatten(1)
    best = torch.full((len(clips),), float("inf"))
    for shift in range(-shifts, shifts + 1):
        moved = clips.roll(shift, dims=-1).flatten(1)
        best = torch.minimum(best, torch.cdist(moved, bank).amin(1))
    return best / bank.shape[1] ** 0.5
