"""The comparison of recipes: steps for the same minutes by hand, one study a folder, and a real one of two variants."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from wavegan.core.errors import UserError

pytestmark = pytest.mark.usefixtures("forks")

SCRIPT = Path(__file__).parent.parent / "recipes/compare.py"


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(SCRIPT.parent))
    import compare

    return compare


def test_steps_that_fit_by_hand(module):
    speed = {"phases": [[0.75, 0.1], [0.25, 0.3]]}
    assert module.steps_in(3, speed) == pytest.approx(1200, abs=1)  # 900 of 0.1 s and 300 of 0.3 s
    assert module.minutes_at(1.0, speed, 1200) == pytest.approx(3)
    assert module.minutes_at(0.5, speed, 1200) == pytest.approx(1)  # the first half is quicker
    alone = {"phases": [[1.0, 0.1]]}
    assert module.steps_in(3, alone) == pytest.approx(1800, abs=1)


def test_another_study_needs_another_folder(module, tmp_path):
    study = {"minutes": 6, "recipes": {"a": {"dim": (1, 2)}}}
    for _ in range(2):
        module.same_study(tmp_path / "study.json", study)
    for other in ({"minutes": 7}, {"recipes": {"a": {"dim": (1, 3)}}}):
        with pytest.raises(UserError, match=r"study.json is of another study: .* Choose another --output"):
            module.same_study(tmp_path / "study.json", study | other)
    (tmp_path / "study.json").write_text("{")
    with pytest.raises(UserError, match=r"study.json is damaged .* Remove it, or choose another --output"):
        module.same_study(tmp_path / "study.json", study)


def test_after_a_failure_nothing_more_begins(module, monkeypatch):
    begun = []

    def fails(name: str) -> None:
        begun.append(name)
        raise UserError(f"{name} ended")

    monkeypatch.setattr(module, "train", fails)
    with pytest.raises(UserError, match="a ended"):
        module.train_all([("a",), *[("b",)] * 1000], 1)
    assert begun == ["a"]


def test_two_variants_for_the_same_time(recipe_file, tmp_path):
    study = tmp_path / "study.yaml"
    study.write_text(
        f"minutes: 0.0001\nrecipe: {recipe_file.name}\nvariants:\n  as-is: []\n  wide: [generator.dim=32]\n"
    )
    command = [sys.executable, SCRIPT, study, "-o", tmp_path / "runs", "--at-once", "2"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    speeds = json.loads((tmp_path / "runs/speeds.json").read_text())
    assert set(speeds) == {"as-is", "wide"} and speeds["wide"]["parameters"] > speeds["as-is"]["parameters"]
    assert all(len(one["phases"]) == 2 and sum(p[0] for p in one["phases"]) == 1 for one in speeds.values())
    table = (tmp_path / "runs/table.md").read_text()
    assert "| as-is | " in table and "| 8 | " in table and table in done.stdout
    assert (tmp_path / "runs/pesq.png").read_bytes()[:4] == b"\x89PNG"
    kept = json.loads((tmp_path / "runs/study.json").read_text())
    assert kept["minutes"] == 0.0001 and kept["recipes"]["wide"]["generator"]["dim"] == 32
