"""The bench of the preparation on a few files: what it prints, and what it leaves."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path
from unittest import mock

SCRIPT = Path(__file__).parent.parent / "recipes" / "bench_prepare.py"


def test_bench_says_rates_and_leaves_nothing(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", None)
    options = ["--files", "4", "--seconds", "0.6", "--plain", "2", "--num-workers", "2"]
    with mock.patch.object(sys, "argv", [str(SCRIPT), *options]):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    out = capsys.readouterr().out
    assert "plain loop, 2 files: " in out and "prepare(), 4 files, 2 at once: " in out and "nothing to do: " in out
    assert not list(tmp_path.iterdir())


def test_finished_files_are_told_from_those_made_again(tmp_path):
    bench = runpy.run_path(str(SCRIPT))
    bench["make"](tmp_path / "wavs", 3, 0.6)
    prepare, settings = bench["prepare"], bench["Settings"](bench["TARGET_RATE"])
    prepare(bench["sources_in"](tmp_path / "wavs"), tmp_path / "out", settings)
    before = bench["finished"](tmp_path / "out")
    prepare(bench["sources_in"](tmp_path / "wavs"), tmp_path / "out", settings)
    assert bench["finished"](tmp_path / "out") == before and len(before) == 3
    (tmp_path / "out" / "audio" / "000001.flac").unlink()
    prepare(bench["sources_in"](tmp_path / "wavs"), tmp_path / "out", settings)
    after = bench["finished"](tmp_path / "out")
    assert [name for name in before if before[name] != after[name]] == ["000001.flac"]
