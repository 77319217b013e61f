"""`Popen` as in subprocess, but Python programs become forks of a process that has imported the package already.

Starting an interpreter and importing torch and Lightning takes four seconds of CPU, a fork less than a tenth of one. A
fork has its own working directory, environment, standard streams, signals and exit status. It is a true child of the
process that started it: the server's child is orphaned at once, and adopted by the nearest ancestor that asked for
orphans. Each fork has a server of its own, so that torchrun and the recipes' scripts start their programs likewise.
Linux only.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import gc
import importlib
import json
import os
import pkgutil
import runpy
import signal
import socket
import subprocess
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER, see man 2 prctl
IMPORTED = ["lightning.fabric", "torch._dynamo", "torch.distributed.run", "torch.utils.tensorboard", "tensorboard"]
IMPORTED += ["matplotlib.figure", "matplotlib.backends.backend_agg", "scipy.signal", "pesq", "pystoi"]
MOST_BYTES = 1 << 17  # of a request


class Popen(subprocess.Popen):
    """A process; a fork if it is Python with -c, -m or a script, and without options that a fork can't have."""

    server: socket.socket | None = None

    def _execute_child(self, args: Any, *options: Any) -> None:
        executable, preexec, _, pass_fds, cwd, env, _, _, shell = options[:9]
        pipes, new_session = options[9:15], options[20]
        env = dict(os.environ if env is None else env)
        if executable or preexec or pass_fds or shell or not _is_program(args):
            return super()._execute_child(args, *options)
        if Popen.server is None:
            _start_server()
        stdin, _, _, stdout, _, stderr = pipes
        streams = [given if given != -1 else i for i, given in enumerate((stdin, stdout, stderr))]
        command = [os.fspath(part) for part in args[1:]]
        request = {"command": command, "cwd": os.fspath(cwd or os.getcwd()), "env": env, "session": bool(new_session)}
        socket.send_fds(Popen.server, [json.dumps(request).encode()], streams)
        self.pid = int(Popen.server.recv(32))
        self._child_created = True
        self._close_pipe_fds(*pipes)


def _is_program(args: Any) -> bool:
    """Return True for [sys.executable, "-m", ...], [sys.executable, "-c", ...] and [sys.executable, FILE, ...]."""
    if isinstance(args, (str, bytes, os.PathLike)) or os.fspath(args[0]) != sys.executable:
        return False
    first = [os.fspath(part) for part in args[1:3] if part != "-u"][0]
    return first in ("-m", "-c") or not first.startswith("-")


def _start_server() -> None:
    """Start the server of this process, which ends with it."""
    _adopt_orphans()
    Popen.server, theirs = _channel()
    with theirs:
        command = [sys.executable, "-c", f"from tests import processes; processes.main({theirs.fileno()})"]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
    atexit.register(process.wait)
    atexit.register(Popen.server.close)


def _adopt_orphans() -> None:
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)


def _channel() -> tuple[socket.socket, socket.socket]:
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


def main(descriptor: int) -> None:
    """Import the package, then serve."""
    subprocess.Popen = Popen  # before torchrun's modules take the other one
    names = [module.name for module in pkgutil.walk_packages([str(ROOT / "wavegan")], "wavegan.")]
    for name in [*IMPORTED, *names]:
        if not name.endswith("__main__"):
            with contextlib.suppress(Exception):  # an extra that isn't installed
                importlib.import_module(name)
    gc.freeze()
    _serve(socket.socket(fileno=descriptor))


def _serve(channel: socket.socket) -> None:
    """Fork for every request, until the other end is closed; never returns."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # sent to all of a group
    while True:
        message, streams, _, _ = socket.recv_fds(channel, MOST_BYTES, 3)
        if not message:
            os._exit(0)
        reader, writer = os.pipe()
        if (middle := os.fork()) == 0:
            if (child := os.fork()) == 0:
                for descriptor in (channel.detach(), reader, writer):
                    os.close(descriptor)
                _become(json.loads(message), streams)
            os.write(writer, str(child).encode())
            os._exit(0)
        os.waitpid(middle, 0)
        channel.send(os.read(reader, 32))
        for descriptor in (reader, writer, *streams):
            os.close(descriptor)


def _become(request: dict[str, Any], streams: list[int]) -> None:
    """Make this fork the process that was asked for, and run its program."""
    for target, stream in enumerate(streams):
        os.dup2(stream, target)
    for stream in streams:
        os.close(stream)
    sys.stdin, sys.stdout = open(0, closefd=False), open(1, "w", closefd=False)
    sys.stderr = open(2, "w", 1, errors="backslashreplace", closefd=False)
    if request["session"]:
        os.setsid()
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ.clear()
    os.environ.update(request["env"])
    os.chdir(request["cwd"])
    sys.path[1:1] = filter(None, os.environ.get("PYTHONPATH", "").split(os.pathsep))
    if (threads := os.environ.get("OMP_NUM_THREADS")) != before and threads:
        sys.modules["torch"].set_num_threads(int(threads))
    _adopt_orphans()
    Popen.server, theirs = _channel()
    if os.fork() == 0:
        Popen.server.close()
        _serve(theirs)
    theirs.close()
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    os._exit(_run([part for part in request["command"] if part != "-u"]))  # freeing all modules would take as long


def _run(command: list[str]) -> int:
    """Run a program to its end, exit handlers included, and return its exit status."""
    status: Any = 0
    try:
        _load(command)
    except SystemExit as stop:
        status = stop.code or 0
        if not isinstance(status, int):
            print(status, file=sys.stderr)
            status = 1
    except BaseException:
        traceback.print_exc()
        status = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    return status


def _load(command: list[str]) -> None:
    """Run ``-m MODULE``, ``-c CODE`` or a file as ``__main__``, with the arguments that follow."""
    kind, *rest = command
    if kind == "-m":
        sys.argv, sys.path[0] = rest, os.getcwd()
        runpy.run_module(rest[0], run_name="__main__", alter_sys=True)
    elif kind == "-c":
        sys.argv, sys.path[0] = ["-c", *rest[1:]], ""
        exec(compile(rest[0], "<string>", "exec"), {"__name__": "__main__"})
    else:
        sys.argv, sys.path[0] = command, str(Path(kind).parent)
        runpy.run_path(kind, run_name="__main__")
