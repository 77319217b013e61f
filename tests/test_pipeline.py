"""wavegan recipe run and the run.sh of recipes: the commands, their order and their folders."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.miniatures import MINIATURES
from wavegan import UserError
from wavegan.checkpoints import native
from wavegan.data import manifest
from wavegan.training import pipeline, shipped
from wavegan.training.recipe import load_recipe

RECIPES = Path(__file__).parent.parent / "recipes"
FOLDERS = sorted(path.parent for path in RECIPES.glob("*/run.sh"))


@pytest.fixture
def commands(tmp_path, monkeypatch):
    """The commands of a run, recorded instead of executed."""
    monkeypatch.chdir(tmp_path)
    recorded: list[list[str]] = []
    monkeypatch.setattr(pipeline, "_call", lambda command: recorded.append(list(command)) or 0)
    return recorded


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
    """A saved run of a recipe, without its weights."""
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


def test_a_run_of_another_recipe_or_of_other_data_is_not_resumed(commands):
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


def test_a_run_with_other_settings_that_may_change_keeps_them_and_reports_it(commands, capsys):
    path = RECIPES / "ljspeech" / "spectral_small.yaml"
    place = Path("data", "ljspeech").absolute()
    begin(path, Path("runs", "ljspeech"), overrides=["trainer.max_steps=7", f"data.train={place / 'train.jsonl'}"])
    pipeline.run(path.parent, first=2, last=2)
    assert commands[0][3:] == ["--resume", "runs/ljspeech"]
    shown = capsys.readouterr().err
    assert (
        "runs/ljspeech resumes with its earlier settings: trainer.max_steps was 7, now" in shown
        and "data.train" not in shown
    )


def test_settings_go_to_the_training_and_options_to_the_preparation(commands, capsys):
    path, settings = RECIPES / "ljspeech" / "spectral_small.yaml", ["trainer.max_steps=2", "data.global_batch_size=8"]
    pipeline.run(path.parent, ["--limit", "9", *settings])
    prepare, train, _ = commands
    assert "--limit" in prepare and not set(settings) & set(prepare)
    assert train[-4:] == ["--run", "runs/ljspeech", *settings]
    begin(path, Path("runs", "ljspeech"), overrides=settings)
    pipeline.run(path.parent, settings, first=2, last=2)
    assert commands[-1][3:] == ["--resume", "runs/ljspeech"]
    pipeline.run(path.parent, ["trainer.max_steps=5", settings[1]], first=2, last=2)
    assert commands[-1][3:] == ["--resume", "runs/ljspeech", "trainer.max_steps=5"]
    assert "earlier settings" not in capsys.readouterr().err
    with pytest.raises(UserError, match="holds another run .*data.global_batch_size was 8, now 4"):
        pipeline.run(path.parent, ["data.global_batch_size=4"])
    with pytest.raises(UserError, match="did you mean 'max_steps'"):
        pipeline.run(path.parent, ["trainer.max_stepz=4"])


@pytest.mark.parametrize(
    ("options", "given", "expected"),
    [
        (["--reicpe", "x"], {"first": 2}, "--reicpe x is for the preparation, which --from 2 leaves out"),
        (["--output=x"], {}, "--data, not --output"),
        (["trainer.max_steps=2"], {"last": 1}, "trainer.max_steps=2 is for the training, which --from 1 --to 1 leaves"),
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


@pytest.mark.parametrize("copied", [False, True])
def test_run_sh_takes_its_options_as_variables(copied, tmp_path):
    if shutil.which("bash") is None:
        pytest.skip("no bash")
    MINIATURES["thorsten"](tmp_path / "source")
    folder = shipped.copy_recipe("thorsten", tmp_path / "a copy") if copied else RECIPES / "thorsten"
    command = ["bash", folder / "run.sh", "--source", "source", "--limit", "11"]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])  # with the command wavegan
    environment = os.environ | {"PATH": path, "to": "1", "data": "data here"}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert done.returncode == 0 and "stage 2" not in done.stderr, done.stderr
    assert len(manifest.read(tmp_path / "data here" / "train.jsonl")) == 9


def test_recipes_are_listed_copied_and_found_by_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = shipped.list_recipes()
    assert {folder.name for folder in FOLDERS} <= names.keys() and names["ljspeech"].startswith("LJ Speech 1.1")
    path = Path("ljspeech", "spectral_small.yaml")
    assert shipped.find_recipe(path) == shipped.find_recipe("recipes" / path) == RECIPES / path
    assert shipped.find_recipe(Path("none")) == Path("none")
    assert shipped.copy_recipe("ljspeech") == Path("recipes", "ljspeech")
    assert shipped.find_recipe("recipes" / path) == "recipes" / path
    with pytest.raises(UserError, match="recipes/ljspeech exists already"):
        shipped.copy_recipe("ljspeech")
    with pytest.raises(UserError, match="no recipe 'ljspech'. Did you mean 'ljspeech'"):
        shipped.copy_recipe("ljspech")
    with pytest.raises(UserError, match="no recipe 'ljspech'. Did you mean 'ljspeech'"):
        pipeline.run(Path("ljspech"))
