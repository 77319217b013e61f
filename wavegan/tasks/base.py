"""What all tasks share."""

from __future__ import annotations

from typing import Literal

Condition = Literal["label", "speaker"]
