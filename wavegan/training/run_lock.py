"""The lock of a run folder: one process at a time trains in it, also on network file systems.

The lock is a file that names its process. A process that is alive renews the file's time; one that was killed leaves
a stale file, which the next process takes over: at once on the same machine, after ``STALE_SECONDS`` on another.
"""

from __future__ import annotations

import json
import os
import socket
import tempfile
import threading
import uuid
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from wavegan.core.errors import UserError

NAME = ".lock"
RENEWAL_SECONDS = 10.0
STALE_SECONDS = 60.0


class RunLock:
    """``with RunLock(folder): ...``; released when the block ends, however it ends.

    Raises:
        UserError: another process trains in the folder; names it.
    """

    def __init__(self, folder: Path):
        self.path = folder / NAME
        self.token = uuid.uuid4().hex
        self._released = threading.Event()

    def __enter__(self) -> RunLock:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        while not self._create():
            owner = self._read()
            if owner is None:  # released, or taken over, a moment ago
                continue
            if not self._is_stale(owner):
                raise UserError(
                    f"{self.path.parent} is in use: process {owner.get('pid')} on {owner.get('host')} trains in it. "
                    "Wait for it or stop it, or choose another run folder."
                )
            self._remove(owner)
        self._released.clear()
        threading.Thread(target=self._renew, daemon=True).start()
        return self

    def __exit__(self, kind: type | None, value: BaseException | None, trace: TracebackType | None) -> None:
        self._released.set()
        if (owner := self._read()) and owner.get("token") == self.token:
            self.path.unlink(missing_ok=True)

    def check(self) -> None:
        """Raise if another process has taken the lock over, which thought that this one had died.

        Raises:
            UserError: it has.
        """
        owner = self._read()
        if owner is not None and owner.get("token") != self.token:
            raise UserError(f"{self.path.parent} was taken over by process {owner.get('pid')} on {owner.get('host')}.")

    def _create(self) -> bool:
        """Create the file in one operation, whole: a link to a finished file fails where the name exists."""
        start = _start_time(os.getpid())
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "start": start, "token": self.token}
        descriptor, name = tempfile.mkstemp(prefix=f"{NAME}.", dir=self.path.parent)
        try:
            with os.fdopen(descriptor, "w") as file:
                file.write(json.dumps(owner))
            try:
                os.link(name, self.path)
            except FileExistsError:
                return False
            except OSError:  # a file system without links
                with suppress(FileExistsError), self.path.open("x") as file:
                    file.write(json.dumps(owner))
                    return True
                return False
            return True
        finally:
            os.unlink(name)

    def _read(self) -> dict | None:
        try:
            owner = json.loads(self.path.read_text())
            return owner if isinstance(owner, dict) else {}
        except FileNotFoundError:
            return None
        except (ValueError, OSError):
            return {}

    def _is_stale(self, owner: dict) -> bool:
        if owner.get("host") == socket.gethostname() and isinstance(owner.get("pid"), int):
            start = _start_time(owner["pid"])
            return start is None or (owner.get("start") is not None and start != owner["start"])
        return self._age() > STALE_SECONDS

    def _age(self) -> float:
        """Seconds since the file was renewed, by the clock of the file system, which may differ from ours."""
        descriptor, name = tempfile.mkstemp(prefix=f"{NAME}.", dir=self.path.parent)
        os.close(descriptor)
        try:
            return Path(name).stat().st_mtime - self.path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
        finally:
            os.unlink(name)

    def _remove(self, stale: dict) -> None:
        """Move the stale file away; only one process succeeds, and one that moved a fresh file puts it back."""
        aside = self.path.with_name(f"{NAME}.{self.token}")
        with suppress(FileNotFoundError):
            os.rename(self.path, aside)
            with suppress(ValueError, OSError):
                if json.loads(aside.read_text()).get("token") != stale.get("token"):
                    os.link(aside, self.path)
            aside.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._released.wait(RENEWAL_SECONDS):
            with suppress(OSError):
                os.utime(self.path)


def _start_time(pid: int) -> str | None:
    """Start time of a process of this machine, by which a reused number is recognised; None if the process is gone."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except OSError:  # another user's process
        pass
    try:
        status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if status[0] == "Z" else status[19]
    except (OSError, IndexError):
        return ""
