"""Records as JSON lines, added one by one: a kill costs at most the last, and the next begins a line of its own."""

from __future__ import annotations

import errno
import json
import os
import threading
from contextlib import suppress
from pathlib import Path
from typing import Any


class JSONLines:
    """A file of records, which any number of threads may add to. ``records``: those found whole when it was opened."""

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
        """Write a record at once.

        Raises:
            OSError: the system refused.
        """
        with self._lock, self.path.open("ab", buffering=0) as file:
            line = (b"\n" if self._broken else b"") + json.dumps(record).encode() + b"\n"
            self._broken = file.write(line) != len(line)
            if self._broken:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
