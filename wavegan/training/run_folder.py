"""The run folder of a trainer: locked while it trains, and refused if another process has changed it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from wavegan.checkpoints import native
from wavegan.core.errors import UserError
from wavegan.core.files import check_folder
from wavegan.training.run_lock import RunLock
from wavegan.training.tracker import Tracker


class RunFolder:
    """``path``, its lock and its logs; ``tracker`` is None unless it is open.

    Raises:
        UserError: the folder can't be made, or holds a run although ``fresh``.
    """

    def __init__(self, path: Path, fresh: bool):
        if fresh and native.has_trainer(path):
            raise UserError(f"{path} already holds a run. Resume it with --resume {path}, or choose another --run.")
        check_folder(path)
        self.path = path
        self.lock: RunLock | None = None
        self.tracker: Tracker | None = None
        self._stamp = native.trainer_stamp(path)

    def open(self, stack: ExitStack, step: int, wandb: str | None) -> None:
        """Lock the folder and open its logs until ``stack`` is closed.

        Raises:
            UserError: another process trains in the folder, or has trained in it.
        """
        stack.callback(self._close)
        self.lock = stack.enter_context(RunLock(self.path))
        self._check_unchanged()
        self.tracker = Tracker(self.path, step, wandb)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Write a checkpoint in the block, under the lock.

        Raises:
            UserError: as ``open``, or the lock was lost.
        """
        if self.lock is None:
            with RunLock(self.path):
                yield from self._write()
        else:
            self.lock.check()
            yield from self._write()

    def _write(self) -> Iterator[None]:
        self._check_unchanged()
        yield
        self._stamp = native.trainer_stamp(self.path)

    def _close(self) -> None:
        if self.tracker:
            self.tracker.close()
        self.lock = self.tracker = None

    def _check_unchanged(self) -> None:
        if native.trainer_stamp(self.path) != self._stamp:
            raise UserError(
                f"{self.path} has changed since it was loaded: another process trained in it. Resume it again, or "
                "choose another folder."
            )
