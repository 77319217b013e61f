"""The scaling benchmark: its arithmetic by hand, and that it measures a real recipe in real processes."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("forks")

SCRIPT = Path(__file__).parent.parent / "recipes/bench_scaling.py"


def bench(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPT, *arguments]
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)


def test_the_ring_by_hand(monkeypatch):
    monkeypatch.syspath_prepend(SCRIPT.parent)
    import bench_scaling

    options = argparse.Namespace(inside=100.0, between=10.0)
    eight, many = bench_scaling.extrapolate(options, step=0.1, gradient_bytes=400_000_000)
    # 2 x 7/8 of 0.4 GB at 100 GB/s; 2 x 63/64 of it at 10 GB/s.
    assert eight["ring_seconds"] == pytest.approx(0.007) and many["ring_seconds"] == pytest.approx(0.07875)
    assert eight["none_hidden"] == pytest.approx(0.1 / 0.107) and eight["hidden"] == 1
    assert many["none_hidden"] == pytest.approx(0.1 / 0.17875) and many["hidden"] == pytest.approx(0.1 / 0.12875)
    assert eight["ninety_percent_seconds"] == pytest.approx(0.063)


def test_a_recipe_is_measured_in_one_and_two_processes(recipe_file, tmp_path):
    done = bench(recipe_file, "--rounds", 1, "--steps", 1, "-o", "scaling.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = json.loads((tmp_path / "scaling.json").read_text())["measured"]
    assert [(row["processes"], row["batch"]) for row in rows] == [(1, 4), (2, 4), (2, 8)]
    assert rows[0]["efficiency"] == 1 and min(row["seconds"] for row in rows) > 0
    assert done.stdout.count("\n| 2 |") == 2 and "| 64 | 25 |" in done.stdout


def test_refusals(recipe_file, tmp_path):
    done = bench(recipe_file, "--processes", 1, cwd=tmp_path)
    assert done.returncode == 2 and "--processes 2 or more" in done.stderr and "Traceback" not in done.stderr
