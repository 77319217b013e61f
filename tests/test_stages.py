"""wavegan recipe run, and the run.sh of every recipe: which commands, in which order, with which folders."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.miniatures import MINIATURES
from wavegan import UserError
from wavegan.checkpoints import native
from wavegan.data import manifest
from wavegan.training import pipeline
from wavegan.training.recipe import load_recipe

RECIPES = Path(__file__).parent.parent / "recipes"
FOLDERS = sorted(path.parent for path in RECIPES.glob("*/run.sh"))


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """The commands of a run, which take no time and all end well."""
    monkeypatch.chdir(tmp_path)
    found: list[list[str]] = []
    monkeypatch.setattr(pipeline, "_call", lambda command: found.append(list(command)) or 0)
    return found


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_recipe_prepares_what_it_trains_and_evaluates_that(folder, commands):
    assert pipeline.run(folder) == 0
    prepare, *trained, evaluate = commands
    output = Path(prepare[prepare.index("--output") + 1])
    for command in trained:
        recipe = load_recipe(command[3])
        assert recipe.data.train.parent == output and prepare[2] == str(recipe.task.features.sample_rate)
    last = f"runs/{folder.name}"
    assert trained[-1][-1] == evaluate[3] == last and evaluate[-1] == f"{last}/test"
    assert f"{output}/test.jsonl" in evaluate


def begin(path: Path, run: Path, file: str = "trainer.pt", overrides: Sequence[str] = ()) -> None:
    """A run of a recipe that has saved, without its weights."""
    recipe = load_recipe(path, overrides)
    contents = native.CheckpointConfig.of_today(
        step=1, name="x", task=recipe.task, generator=recipe.generator, recipe=recipe.model_dump(mode="json")
    )
    run.mkdir(parents=True)
    (run / native.CONFIG).write_text(contents.model_dump_json())
    (run / file).touch()


def test_stages_resume_and_are_chosen(commands):
    begin(RECIPES / "fsdd" / "vocoder.yaml", Path("runs", "fsdd-vocoder"))
    begin(RECIPES / "fsdd" / "frames.yaml", Path("runs", "fsdd-frames"), native.PREVIOUS)
    pipeline.run(RECIPES / "fsdd", first=2, last=2)
    digits = str(RECIPES / "fsdd" / "digits.yaml")
    resumed = [["--resume", "runs/fsdd-vocoder"], ["--resume", "runs/fsdd-frames"], [digits, "--run", "runs/fsdd"]]
    assert [command[3:] for command in commands] == resumed


def test_a_run_of_another_recipe_or_of_other_data_is_not_gone_on_with(commands):
    path = RECIPES / "ljspeech" / "spectral_small.yaml"
    begin(path, Path("runs", "ljspeech"))
    pipeline.run(path.parent)
    assert commands[1][3:] == ["--resume", "runs/ljspeech"]
    with pytest.raises(
        UserError, match="data.train was data/ljspeech/train.jsonl, now other/train.jsonl.*Move it away"
    ):
        pipeline.run(path.parent, data=Path("other"))
    shutil.rmtree("runs")
    begin(path, Path("runs", "ljspeech"), overrides=["generator.dim=8"])
    with pytest.raises(UserError, match="runs/ljspeech holds another run .*generator.dim was 8, now"):
        pipeline.run(path.parent)
    assert len(commands) == 3
    pipeline.run(path.parent, last=1)
    pipeline.run(path.parent, first=3)
    assert len(commands) == 5


def test_a_run_that_was_changed_as_it_may_be_goes_on_and_says_so(commands, capsys):
    path = RECIPES / "ljspeech" / "spectral_small.yaml"
    place = Path("data", "ljspeech").absolute()
    begin(path, Path("runs", "ljspeech"), overrides=["trainer.max_steps=7", f"data.train={place / 'train.jsonl'}"])
    pipeline.run(path.parent, first=2, last=2)
    assert commands[0][3:] == ["--resume", "runs/ljspeech"]
    shown = capsys.readouterr().err
    assert "runs/ljspeech goes on as it was begun: trainer.max_steps was 7, now" in shown and "data.train" not in shown


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        (["--reicpe", "x"], {"first": 2}, "--reicpe x is for the preparation, which --from 2 leaves out"),
        (["--output=x"], {}, "--data, not --output"),
        ([], {"first": 3, "last": 1}, "--from 3 comes after --to 1"),
    ],
)
def test_options_that_no_stage_takes(commands, options, given, expected):
    with pytest.raises(UserError, match=expected):
        pipeline.run(RECIPES / "ljspeech", options, **given)
    assert not commands


def test_another_recipe_has_its_own_folders_and_rate(commands):
    pipeline.run(RECIPES / "audiomnist", ["--limit", "9"], recipe="spectral_small", beside="griffin-lim")
    prepare, train, evaluate = commands
    assert prepare[1:] == ["--sample-rate", "48000", "--limit", "9", "--output", "data/audiomnist"]
    assert train[-2:] == ["--run", "runs/audiomnist-spectral_small"]
    assert evaluate[3:5] == ["runs/audiomnist-spectral_small", "griffin-lim"]


def test_training_follows_the_manifests_to_another_folder(commands):
    pipeline.run(RECIPES / "folder", ["--wavs", "x"], data=Path("other/place"))
    prepare, train, evaluate = commands
    assert prepare[-2:] == ["--output", "other/place"] and "other/place/test.jsonl" in evaluate
    assert train[-2:] == ["data.train=other/place/train.jsonl", "data.valid=other/place/valid.jsonl"]
    assert evaluate[3:5] == ["runs/folder", "vocoder-16k"]


def test_the_first_failure_ends_it(commands, monkeypatch):
    monkeypatch.setattr(pipeline, "_call", lambda command: commands.append(command) or 2)
    assert pipeline.run(RECIPES / "ljspeech") == 2 and len(commands) == 1
    with pytest.raises(UserError, match="has no prepare.py"):
        pipeline.run(RECIPES)
    with pytest.raises(UserError, match="none.yaml"):
        pipeline.run(RECIPES / "ljspeech", recipe="none")


def test_run_sh_takes_its_options_as_variables(tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    MINIATURES["thorsten"](tmp_path / "source")
    command = ["bash", RECIPES / "thorsten" / "run.sh", "--source", "source", "--limit", "11"]
    environment = os.environ | {"to": "1", "data": "data here"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "stage 2" not in done.stderr, done.stderr
    assert len(manifest.read(tmp_path / "data here" / "train.jsonl")) == 9
