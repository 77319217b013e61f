"""Evenly spaced choices from sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from wavegan.core.errors import UserError

Item = TypeVar("Item")


def limited(items: Sequence[Item], limit: int | None) -> list[Item]:
    """Choose ``limit`` items, evenly spaced; all of them for None."""
    if limit is not None and limit < 1:
        raise UserError(f"--limit must be at least 1, got {limit}.")
    if limit is None or limit >= len(items):
        return list(items)
    return [items[i * len(items) // limit] for i in range(limit)]


def spread(items: list[Item], count: int) -> list[Item]:
    """Choose at most ``count`` items, evenly spaced, including the first and the last."""
    if len(items) <= count:
        return items
    return [items[round(i * (len(items) - 1) / max(count - 1, 1))] for i in range(count)]
