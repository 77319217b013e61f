"""Progress of long work on stderr: a bar on a terminal or in a notebook, an occasional line in a log file."""

from __future__ import annotations

import os
import shutil
import sys
import time
from types import TracebackType

BAR_SECONDS, LOG_SECONDS = 0.1, 15.0  # between two drawings of a bar, between two lines of a log
BAR_WIDTH = 24
QUIET = "WAVEGAN_QUIET"  # environment variable: silences the processes that a quiet command starts

_quiet = QUIET in os.environ
_drawn = ""  # the bar on the last line of the screen


def set_quiet(quiet: bool) -> None:
    """Switch bars and remarks off or on."""
    global _quiet
    _quiet = quiet or QUIET in os.environ


def is_quiet() -> bool:
    return _quiet


def remark(message: str) -> None:
    """Print a sentence on stderr, above the bar if there is one. Errors are no remarks: raise them."""
    if not _quiet:
        _draw("")
        print(message, file=sys.stderr, flush=True)


def _draw(line: str) -> None:
    global _drawn
    if line or _drawn:
        line = line[: shutil.get_terminal_size().columns - 1]
        sys.stderr.write(f"\r{line.ljust(len(_drawn))}" + ("" if line else "\r"))  # notebooks know no escape codes
        sys.stderr.flush()
        _drawn = line


class Bar:
    """Progress bar with the time left: ``with Bar("Preparing", total) as bar: bar.update(done, "shown beside it")``."""

    def __init__(self, description: str, total: int, start: int = 0, quiet: bool = False):
        self.description, self.total, self.start = description, total, start
        self.quiet = quiet or _quiet
        self.interactive = sys.stderr.isatty() or in_notebook()
        self.start_time = self.last_time = time.monotonic()

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        global _drawn
        if _drawn and not self.quiet:
            print(file=sys.stderr, flush=True)
            _drawn = ""

    def update(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        interval = BAR_SECONDS if self.interactive else LOG_SECONDS
        if self.quiet or (now - self.last_time < interval and done != self.total):
            return
        self.last_time = now
        left = (now - self.start_time) / max(done - self.start, 1) * (self.total - done)
        state = f"{done}/{self.total}, {clock(left)} left {note}"
        if self.interactive:
            filled = BAR_WIDTH * done // max(self.total, 1)
            _draw(f"{self.description} [{'#' * filled}{'-' * (BAR_WIDTH - filled)}] {state}")
        else:
            print(f"{self.description} {state}", file=sys.stderr, flush=True)


def in_notebook() -> bool:
    """Return True in a Jupyter kernel."""
    ipython = sys.modules.get("IPython")
    shell = ipython.get_ipython() if ipython else None
    return shell is not None and hasattr(shell, "kernel")


def clock(seconds: float) -> str:
    """3725 -> '1:02:05'."""
    minutes, second = divmod(int(seconds + 0.5), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
