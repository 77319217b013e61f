"""The exception for mistakes that a user can fix, and how commands report it."""

from __future__ import annotations

import difflib
import io
import os
import signal
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

MOST_CHARACTERS = 200  # of another library's message


def one_line(error: Exception) -> str:
    """The message of an error in one line without its full stop, cut to 200 characters, or the name of its type."""
    message = " ".join(str(error).split()).rstrip(".")
    if len(message) > MOST_CHARACTERS:
        message = message[: MOST_CHARACTERS - 1].rpartition(" ")[0].rstrip(".,;:") or message[: MOST_CHARACTERS - 1]
        message += "…"
    return message or type(error).__name__


class UserError(Exception):
    """One clear sentence: the problem, what was expected, what to do. The command line exits with status 2."""


def did_you_mean(name: str, names: Iterable[str]) -> str:
    """Return " Did you mean '...'?" with the nearest of ``names``, or ""."""
    near = difflib.get_close_matches(name, list(names), 1)
    return f" Did you mean '{near[0]}'?" if near else ""


@contextmanager
def reported() -> Iterator[None]:
    """Run a command; user errors and errors of the operating system become one sentence and exit status 2."""
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))  # removes partial files
    if isinstance(sys.stdout, io.TextIOWrapper):  # a redirected Windows console lacks some characters
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        yield
    except UserError as error:
        _exit(f"error: {error}", 2)
    except BrokenPipeError:  # `wavegan info | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except OSError as error:  # no permission, no space left, a folder where a file should be, ...
        _exit(f"error: {error.filename or 'operating system'}: {error.strerror or error}.", 2)
    except KeyboardInterrupt:
        _exit("Interrupted: unfinished files are as they were before.", 130)
    finally:
        signal.signal(signal.SIGTERM, before or signal.SIG_DFL)


def _exit(message: str, status: int) -> None:
    print(message, file=sys.stderr)
    sys.exit(status)
