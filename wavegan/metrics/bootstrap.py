"""Bootstrap confidence intervals, and the significance of paired differences.

Files are resampled independently, even those of one speaker. All draws are from one seed, so that the same files give
the same interval. Shapes: N files, P parts of each (see ``Metric``), R draws.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

DRAWS = 2000
LEVEL = 0.95
Value = Callable[[np.ndarray], np.ndarray]  # sums of parts (..., P) -> values (...)


class Interval(NamedTuple):
    """A value and its 95 % interval, which is NaN for fewer than two files."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """Second system minus first, its 95 % interval, and the p-value of the hypothesis that there is no difference."""

    value: float
    low: float
    high: float
    p: float


def interval(value: Value, parts: np.ndarray) -> Interval:
    """The value of files (N, P), with the percentiles of its bootstrap (Efron 1979)."""
    estimate = float(value(parts.sum(0)))
    if len(parts) < 2:
        return Interval(estimate, float("nan"), float("nan"))
    return Interval(estimate, *_percentiles(value(_draws(len(parts)) @ parts)))


def difference(value: Value, first: np.ndarray, second: np.ndarray) -> Difference:
    """The difference of two systems, from their parts of the same files, (N, P) each.

    The bootstrap resamples pairs. ``p`` is two-sided, by a permutation test: the two outcomes of each file are swapped
    at random, in DRAWS permutations (Fisher 1935), and the observed one is counted too.
    """
    estimate = float(value(second.sum(0)) - value(first.sum(0)))
    if len(first) < 2:
        return Difference(estimate, float("nan"), float("nan"), float("nan"))
    draws = _draws(len(first))
    low, high = _percentiles(value(draws @ second) - value(draws @ first))
    swapped = _swaps(len(first)) @ (second - first)
    permuted = np.abs(value(second.sum(0) - swapped) - value(first.sum(0) + swapped))
    as_large = int((permuted >= abs(estimate) - 1e-12 * max(abs(estimate), 1)).sum())
    return Difference(estimate, low, high, (1 + as_large) / (1 + DRAWS))


def holm(p: Sequence[float]) -> list[float]:
    """Adjust the p-values of several tests for the family-wise error rate (Holm 1979). NaN, no test, stays NaN and
    isn't counted.
    """
    order = sorted((i for i in range(len(p)) if not np.isnan(p[i])), key=lambda i: p[i])
    adjusted, highest = [float("nan")] * len(p), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[i]))
        adjusted[i] = highest
    return adjusted


def _percentiles(values: np.ndarray) -> tuple[float, float]:
    values = values[np.isfinite(values)]  # a draw of a pooled metric may have nothing to count
    if not len(values):
        return float("nan"), float("nan")
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@functools.lru_cache(maxsize=4)
def _draws(count: int) -> np.ndarray:
    """Counts of each file in each draw, (R, N)."""
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS).astype(np.uint16)


@functools.lru_cache(maxsize=4)
def _swaps(count: int) -> np.ndarray:
    """0 or 1 for each file, (R, N)."""
    return np.random.default_rng(1).integers(0, 2, (DRAWS, count)).astype(np.uint8)
