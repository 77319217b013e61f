"""Progress on a terminal, in a log file and when quiet."""

from __future__ import annotations

import io
import sys

from wavegan.core import progress
from wavegan.core.progress import Bar, clock, remark


def terminal(monkeypatch) -> io.StringIO:
    """stderr as a terminal, without a pause between drawings."""
    screen = io.StringIO()
    screen.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setattr(progress, "BAR_SECONDS", 0)
    monkeypatch.setenv("COLUMNS", "60")
    return screen


def test_a_bar_is_redrawn_in_place_and_makes_way_for_remarks(monkeypatch):
    screen = terminal(monkeypatch)
    with Bar("Preparing", 4) as bar:
        bar.update(1, "a long note that is cut at the end of the line, whatever it says")
        remark("A file was left out.")
        bar.update(4)
    first, cleared, sentence, last = screen.getvalue().removeprefix("\r").split("\r")
    assert first.startswith("Preparing [######------------------] 1/4, 0:0") and len(first) == 59
    assert not cleared.strip() and len(cleared) == 59 and sentence == "A file was left out.\n"
    assert last.startswith("Preparing [########################] 4/4, 0:00 left") and last.endswith("\n")


def test_a_log_has_a_line_now_and_then(capsys, monkeypatch):
    with Bar("Preparing", 100) as bar:
        for done in range(100):
            bar.update(done)
        assert capsys.readouterr().err == ""
        monkeypatch.setattr(progress, "LOG_SECONDS", 0)
        bar.update(50, "note")
        bar.update(100)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2 and lines[0].startswith("Preparing 50/100, 0:0") and lines[0].endswith("left note")


def test_quiet_leaves_out_bars_and_remarks(monkeypatch):
    screen = terminal(monkeypatch)
    progress.set_quiet(True)
    try:
        with Bar("Preparing", 1) as bar:
            bar.update(1)
        remark("A file was left out.")
    finally:
        progress.set_quiet(False)
    assert screen.getvalue() == ""


def test_durations():
    assert [clock(seconds) for seconds in (0.4, 59.6, 3725)] == ["0:00", "1:00", "1:02:05"]
