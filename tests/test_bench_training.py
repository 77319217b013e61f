"""The benchmark of the training step: that it runs, and that its two sides are the same model at the same start."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.usefixtures("forks")

SCRIPT = Path(__file__).parent.parent / "recipes/bench_training.py"


def bench(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    command = [sys.executable, SCRIPT, *arguments, "--device", "cpu"]
    return subprocess.run([str(part) for part in command], cwd=cwd, capture_output=True, text=True)


def test_both_sides_take_the_same_steps_from_the_same_start(tmp_path):
    tiny = ["--config", "v2", "--batch", 1, "--segment", 1024]
    done = bench(*tiny, "--steps", 2, "-o", "bench.json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    rows = [[cell.strip() for cell in line.split("|")] for line in done.stdout.splitlines() if line.startswith("|")]
    assert [row[1] for row in rows] == ["step", "---", "plain", "ours"]
    results = json.loads((tmp_path / "bench.json").read_text())["results"]
    ours, plain = results["ours"], results["plain"]
    assert ours["parameters"] == plain["parameters"]
    assert ours["parameters"]["discriminators"] == 70_724_591
    assert len(ours["seconds"]) == len(plain["seconds"]) == 2
    assert ours["mel_losses"][0] == pytest.approx(plain["mel_losses"][0], rel=1e-5)
    assert ours["mel_losses"] == pytest.approx(plain["mel_losses"], rel=0.02)
    assert min(ours["peak_memory"], plain["peak_memory"]) > 1e9


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--segment", 1000], "--segment 1000 should be a multiple of 256"),
        (["--batch", 0], "--batch and --steps should be 1 or more"),
        (["--precision", "bf16"], "--precision bf16 is for --device cuda"),
        (["-o", "nowhere/bench.json"], "The folder of nowhere/bench.json does not exist"),
    ],
)
def test_refusals(tmp_path, options, expected):
    done = bench(*options, cwd=tmp_path)
    assert done.returncode == 2 and expected in done.stderr and "Traceback" not in done.stderr
