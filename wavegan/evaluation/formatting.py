"""Numbers, lists and tables as text."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from wavegan.metrics import Difference, Interval


def number(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def p_value(p: float) -> str:
    return "-" if np.isnan(p) else f"{p:.4f}"


def estimate(result: Interval | Difference) -> str:
    """3.404 [3.355, 3.451]; differences have a sign."""
    sign = "+" if isinstance(result, Difference) and result.value > 0 else ""
    if np.isnan(result.low):
        return sign + number(result.value)
    return f"{sign}{number(result.value)} [{number(result.low)}, {number(result.high)}]"


def listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def columns(rows: Sequence[Sequence[str]], separator: str = " | ", right: bool = False) -> list[str]:
    """Lines of a table with aligned columns; ``right``: all but the first are right-aligned."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for first, *others in rows:
        cells = [first.ljust(widths[0])]
        cells += [c.rjust(w) if right else c.ljust(w) for c, w in zip(others, widths[1:], strict=True)]
        lines.append(separator.join(cells).rstrip())
    return lines
