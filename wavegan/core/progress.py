"""Progress of long work: a bar on a terminal, a line now and then in a log file."""

from __future__ import annotations

import sys
import time
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

LOG_SECONDS = 15.0


class Bar:
    """``with Bar("Preparing", total) as bar: bar.update(done, "what to show beside it")``."""

    def __init__(self, description: str, total: int, start: int = 0, quiet: bool = False):
        self.description, self.total, self.first = description, total, start
        self.start_time = self.last_line = time.monotonic()
        self.bar: Progress | None = None
        self.quiet = quiet
        if not quiet and sys.stderr.isatty():
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
            more = (TimeRemainingColumn(), TextColumn("{task.fields[note]}"))
            self.bar = Progress(*columns, *more, console=Console(stderr=True))
            self.task = self.bar.add_task(description, total=total, completed=start, note="")

    def __enter__(self) -> Bar:
        if self.bar:
            self.bar.start()
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        if self.bar:
            self.bar.stop()

    def update(self, done: int, note: str = "") -> None:
        now = time.monotonic()
        if self.bar:
            self.bar.update(self.task, completed=done, note=note)
        elif not self.quiet and (now - self.last_line >= LOG_SECONDS or done == self.total):
            self.last_line = now
            left = (now - self.start_time) / max(done - self.first, 1) * (self.total - done)
            print(f"{self.description} {done}/{self.total}, {clock(left)} left {note}", file=sys.stderr, flush=True)


def clock(seconds: float) -> str:
    """3725 -> '1:02:05'."""
    minutes, second = divmod(int(seconds + 0.5), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02d}:{second:02d}" if hours else f"{minute}:{second:02d}"
