"""English words: digits, and nouns with a count."""

from __future__ import annotations

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def counted(count: int, noun: str) -> str:
    """1, "thread" -> "1 thread"; 2, "thread" -> "2 threads"."""
    return f"{count} {noun}{'s' * (count != 1)}"
