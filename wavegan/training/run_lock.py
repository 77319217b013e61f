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
import time
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
        """Raise if the lock is lost: another process assumed that this one had died, and took it over.

        Raises:
            UserError: it is lost.
        """
        owner = self._read()
        if owner is None or owner.get("token") != self.token:
            by = f" by process {owner.get('pid')} on {owner.get('host')}" if owner else ""
            raise UserError(f"{self.path.parent} was taken over{by} while this process did not respond: stopped.")

    def _create(self) -> bool:
        """Create the file in one operation, whole: a link to a finished file fails where the name exists."""
        owner = {"pid": os.getpid(), "host": socket.gethostname(), "machine": machine()}
        owner |= {"start": _start_time(os.getpid()), "token": self.token}
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
        if os.name == "posix" and owner.get("machine") == machine() and isinstance(owner.get("pid"), int):
            start = _start_time(owner["pid"])
            return start is None or (owner.get("start") is not None and start != owner["start"])
        return self._age(self.path) > STALE_SECONDS

    def _age(self, path: Path) -> float:
        """Seconds since a file was renewed, by the clock of the file system, which may differ from ours."""
        descriptor, name = tempfile.mkstemp(prefix=f"{NAME}.", dir=self.path.parent)
        os.close(descriptor)
        try:
            return Path(name).stat().st_mtime - path.stat().st_mtime
        except FileNotFoundError:
            return 0.0
        finally:
            os.unlink(name)

    def _remove(self, stale: dict) -> None:
        """Remove the stale file. A second file admits one process at a time, so that no fresh lock is ever removed."""
        guard = self.path.with_name(f"{NAME}.takeover")
        try:
            guard.open("x").close()
        except FileExistsError:
            if self._age(guard) > STALE_SECONDS:  # of a process that was killed in here
                guard.unlink(missing_ok=True)
            time.sleep(0.02)
            return
        try:
            if (owner := self._read()) and owner.get("token") == stale.get("token"):
                self.path.unlink(missing_ok=True)
        finally:
            guard.unlink(missing_ok=True)

    def _renew(self) -> None:
        while not self._released.wait(RENEWAL_SECONDS):
            with suppress(OSError):
                if (owner := self._read()) and owner.get("token") == self.token:
                    os.utime(self.path)


def machine() -> str:
    """Identity of the process numbers of this machine or container: equal host names don't make equal numbers."""
    parts = [socket.gethostname()]
    with suppress(OSError):
        parts.append(Path("/proc/sys/kernel/random/boot_id").read_text().strip())
        parts.append(os.readlink("/proc/self/ns/pid"))
    return " ".join(parts)


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
