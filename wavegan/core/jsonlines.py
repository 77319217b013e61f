"""Append-only JSON Lines; a crash loses at most the last record."""

from __future__ import annotations

import errno
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any


class JSONLines:
    """A file of records, safe for several threads. ``records``: the complete ones when it was opened."""

    def __init__(self, path: Path):
        self.path = path
        self.records: list[Any] = []
        lines = path.read_bytes().splitlines(keepends=True) if path.is_file() else []
        for line in lines:
            with suppress(ValueError):
                self.records.append(json.loads(line))
        self._broken = bool(lines) and not lines[-1].endswith(b"\n")
        self._lock = threading.Lock()

    def add(self, record: Any) -> None:
        """Append a record, on a new line if the last one is incomplete; OSError if it can't be written."""
        with self._lock, self.path.open("ab", buffering=0) as file:
            line = (b"\n" if self._broken else b"") + json.dumps(record).encode() + b"\n"
            self._broken = file.write(line) != len(line)
            if self._broken:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
