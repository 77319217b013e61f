"""Evenly spaced choices from sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, TypeVar

from wavegan.core.errors import UserError

if TYPE_CHECKING:
    pass


Item = TypeVar("Item")


def limited(sources: Sequence[Item], limit: int | None) -> list[Item]:
    """``limit`` of the sources or utterances, evenly spread, or all of them.

    Raises:
        UserError: a limit below 1.
    """
    if limit is not None and limit < 1:
        raise UserError(f"--limit must be at least 1, got {limit}.")
    if limit is None or limit >= len(sources):
        return list(sources)
    return [sources[i * len(sources) // limit] for i in range(limit)]


def spread(items: list, count: int) -> list:
    """At most ``count`` of the items, evenly, with the first and the last."""
    if len(items) <= count:
        return items
    return [items[round(i * (len(items) - 1) / max(count - 1, 1))] for i in range(count)]
