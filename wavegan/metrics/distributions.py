"""Metrics of sets of clips.

Shapes: N clips, D features; p (N, classes): class probabilities by a classifier.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from wavegan.core.errors import UserError

FEWEST_IN_A_BIN = 10  # training clips, on average, for a meaningful test of its share


def inception_score(p: Tensor) -> float:
    """exp of the mean over clips of KL(p(y|x) || p(y)) (Salimans 2016, arXiv 1606.03498), from 1 to classes."""
    p = p.double().clamp(min=1e-12)
    return float((p * (p.log() - p.mean(0).log())).sum(1).mean().exp())


def modified_inception_score(p: Tensor) -> float:
    """exp of the mean over pairs of clips of KL(p(y|x) || p(y|x')), from 1 up (Gurumurthy 2017, arXiv 1706.02071).

    Over pairs of all clips, as in DiffWave (Kong 2021, arXiv 2009.09761), and over all pairs, not a sample: the
    mean of p(y|x) log p(y|x') factors.
    """
    p = p.double().clamp(min=1e-12)
    return float(((p * p.log()).sum(1).mean() - (p.mean(0) * p.log().mean(0)).sum()).exp())


def am_score(p: Tensor, p_train: Tensor) -> float:
    """KL(p_train(y) || p(y)) + mean entropy of p(y|x) (Zhou 2018, arXiv 1703.02000); lower is better.

    ``p_train`` (classes,): class frequencies of the training clips.
    """
    p, p_train = p.double().clamp(min=1e-12), p_train.double().clamp(min=1e-12)
    return float((p_train * (p_train.log() - p.mean(0).log())).sum() - (p * p.log()).sum(1).mean())


def frechet_distance(real: Tensor, fake: Tensor) -> float:
    """Squared Frechet distance of two Gaussians fitted to features (N, D) (Heusel 2017, arXiv 1706.08500, eq. 6)."""
    return _frechet(_gaussian(real), _gaussian(fake))


def frechet_interval(real: Tensor, fake: Tensor, draws: int = 200) -> tuple[float, float]:
    """95 % interval of ``frechet_distance``, resampling the clips of ``fake``, not those of ``real``.

    Duplicates make a resampled set narrower and its distance larger; this bias, estimated by the mean of the draws, is
    subtracted. Fewer clips also have a larger distance (Chong 2020, arXiv 1911.07023): compare equal numbers.
    """
    reference, generated = _gaussian(real), _gaussian(fake)
    random = np.random.default_rng(0)
    counts = random.multinomial(len(fake), np.full(len(fake), 1 / len(fake)), draws)
    distances = np.array([_frechet(reference, _gaussian(fake, torch.from_numpy(draw))) for draw in counts])
    low, high = np.quantile(distances, [0.025, 0.975]) - (distances.mean() - _frechet(reference, generated))
    return max(float(low), 0.0), float(high)


class _Gaussian(NamedTuple):
    mean: Tensor
    covariance: Tensor


def _gaussian(features: Tensor, counts: Tensor | None = None) -> _Gaussian:
    """Fit features (N, D), optionally repeated ``counts`` times; UserError for fewer than two."""
    if len(features) < 2:
        raise UserError(f"A set needs at least two clips, got {len(features)}.")
    features = features.double()
    mean = features.mean(0) if counts is None else counts.double() @ features / counts.sum()
    return _Gaussian(mean, torch.cov(features.T, fweights=counts))


def _frechet(real: _Gaussian, fake: _Gaussian) -> float:
    a, b = real.covariance, fake.covariance
    # The trace of sqrt(a b), from the eigenvalues of the symmetric sqrt(a) b sqrt(a), which are the same.
    values, vectors = torch.linalg.eigh(a)
    root = vectors * values.clamp(min=0).sqrt() @ vectors.T
    trace = torch.linalg.eigvalsh(root @ b @ root).clamp(min=0).sqrt().sum()
    return float((real.mean - fake.mean).square().sum() + a.trace() + b.trace() - 2 * trace)


def different_bins(train: Tensor, other: Tensor, bins: int = 50) -> float:
    """Share of bins of the training features that ``other`` fills differently (NDB; Richardson 2018, 1805.12462).

    The bins are k-means clusters of the training features (N, D); proportions are compared by a two-sided z-test at
    5 %, which needs about ten clips in a bin: below 500 training clips there are N / 10 bins, below 20 the result is
    NaN.
    """
    from scipy.cluster.vq import kmeans2, vq

    bins = min(bins, len(train) // FEWEST_IN_A_BIN)
    if bins < 2:
        return float("nan")
    scale = train.std(0).clamp(min=1e-6)
    points, others = np.asarray(train / scale, np.float64), np.asarray(other / scale, np.float64)
    centres, train_bins = kmeans2(points, bins, minit="++", seed=0)
    counts = [np.bincount(places, minlength=bins) for places in (train_bins, vq(others, centres)[0])]
    n, m = len(points), len(others)
    p, q = counts[0] / n, counts[1] / m
    pooled = (counts[0] + counts[1]) / (n + m)
    deviation = np.sqrt(np.maximum(pooled * (1 - pooled) * (1 / n + 1 / m), 1e-12))
    return float((np.abs(p - q) / deviation > 1.96).mean())


def intra_class_diversity(features: Tensor, labels: Tensor) -> float:
    """Mean distance between the features (N, D) of two clips with the same label (N,), averaged over labels."""
    groups = [features[labels == label] for label in labels.unique()]
    distances = [torch.pdist(group).mean() for group in groups if len(group) > 1]
    return float(torch.stack(distances).mean()) if distances else float("nan")


def nearest_distance(clips: Tensor, train: Tensor, shifts: int = 3) -> Tensor:
    """RMS distance per bin of each log-mel (N, M, F) to the nearest training one (K, M, F), best of small shifts, (N,).

    Clips that are much nearer to the training clips than real test clips are copies.
    """
    bank = train.flatten(1)
    best = torch.full((len(clips),), float("inf"))
    for shift in range(-shifts, shifts + 1):
        moved = clips.roll(shift, dims=-1).flatten(1)
        best = torch.minimum(best, torch.cdist(moved, bank).amin(1))
    return best / bank.shape[1] ** 0.5
