"""SIGINT and SIGTERM as a request to stop after the current step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType

from wavegan.core.progress import in_notebook


class StopSignals:
    """``with StopSignals() as stop: ...``; ``stop.number`` is the signal that came, or 0.

    Handlers are installed in the main thread of a script only: threads can't have any, and a notebook's belong to its
    kernel. A second signal raises KeyboardInterrupt at once.
    """

    def __init__(self) -> None:
        self.number = 0

    def __enter__(self) -> StopSignals:
        self._handlers = {}
        if threading.current_thread() is threading.main_thread() and not in_notebook():
            self._handlers = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._handlers.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.number:
            raise KeyboardInterrupt
        self.number = number
