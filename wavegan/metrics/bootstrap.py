"""How sure a figure is: confidence intervals by drawing files again, and the significance of paired differences.

Files are what is drawn, each alike: that several are of one speaker isn't known to it. All draws are from one seed, so
that the same files give the same interval. Shapes: N files, P parts of each (see ``Metric``), R draws.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

DRAWS = 2000
LEVEL = 0.95
Value = Callable[[np.ndarray], np.ndarray]  # sums of parts (..., P) -> figures (...)


class Interval(NamedTuple):
    """A figure and its 95 % interval, which is NaN for fewer than two files."""

    value: float
    low: float
    high: float


class Difference(NamedTuple):
    """Second system minus first, its 95 % interval, and how probable so large a difference is if there is none."""

    value: float
    low: float
    high: float
    p: float


def interval(value: Value, parts: np.ndarray) -> Interval:
    """The figure of files (N, P), with the percentiles of its bootstrap (Efron 1979)."""
    figure = float(value(parts.sum(0)))
    if len(parts) < 2:
        return Interval(figure, float("nan"), float("nan"))
    return Interval(figure, *_percentiles(value(_draws(len(parts)) @ parts)))


def difference(value: Value, first: np.ndarray, second: np.ndarray) -> Difference:
    """Of two systems' parts of the same files, (N, P) each.

    The interval draws files, each with both its outcomes. ``p``, two-sided, is by the permutation test: the two
    outcomes of each file change places or not by a coin, in DRAWS throws (Fisher 1935; with the one that was seen).
    """
    figure = float(value(second.sum(0)) - value(first.sum(0)))
    if len(first) < 2:
        return Difference(figure, float("nan"), float("nan"), float("nan"))
    draws = _draws(len(first))
    low, high = _percentiles(value(draws @ second) - value(draws @ first))
    swapped = _coins(len(first)) @ (second - first)
    thrown = np.abs(value(second.sum(0) - swapped) - value(first.sum(0) + swapped))
    as_large = int((thrown >= abs(figure) - 1e-12 * max(abs(figure), 1)).sum())
    return Difference(figure, low, high, (1 + as_large) / (1 + DRAWS))


def holm(p: Sequence[float]) -> list[float]:
    """Probabilities of several tests, raised so that being wrong in any of them stays as improbable (Holm 1979).

    NaN, a test that there wasn't, stays and doesn't count.
    """
    order = sorted((i for i in range(len(p)) if not np.isnan(p[i])), key=lambda i: p[i])
    raised, highest = [float("nan")] * len(p), 0.0
    for rank, i in enumerate(order):
        highest = max(highest, min(1.0, (len(order) - rank) * p[i]))
        raised[i] = highest
    return raised


def _percentiles(figures: np.ndarray) -> tuple[float, float]:
    figures = figures[np.isfinite(figures)]  # of pooled metrics, a draw may have nothing to count
    if not len(figures):
        return float("nan"), float("nan")
    low, high = np.quantile(figures, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


@functools.lru_cache(maxsize=4)
def _draws(count: int) -> np.ndarray:
    """How often each file is drawn, (R, N)."""
    return np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), DRAWS).astype(np.uint16)


@functools.lru_cache(maxsize=4)
def _coins(count: int) -> np.ndarray:
    """0 or 1 for each file, (R, N)."""
    return np.random.default_rng(1).integers(0, 2, (DRAWS, count)).astype(np.uint8)
