"""wavegan recipe new: the folder prepares and trains; bad arguments are refused."""

from __future__ import annotations

import subprocess
import sys

import pytest
import yaml

from tests.conftest import speech_like
from tests.test_cli import assert_refused, run
from tests.test_corpora import SMALL, TINY
from wavegan import audio
from wavegan.core import config
from wavegan.data import manifest
from wavegan.training.recipe import load_recipe

pytestmark = pytest.mark.usefixtures("forks")


@pytest.fixture
def wavs(tmp_path):
    folder = tmp_path / "meine NAME wavs"  # a placeholder of the templates in its name
    folder.mkdir()
    for i in range(12):
        audio.write(folder / f"{i}.wav", speech_like(0.7, 24000, seed=i), 24000)
    return folder


def test_a_new_recipe_prepares_and_loads(tmp_path, wavs, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("recipe", "new", "my-voice", "--wavs", wavs, "--sample-rate", 24000)
    assert done.returncode == 0 and "recipes/my-voice: 12 recordings. Continue with" in done.stdout, done.stderr
    folder = tmp_path / "recipes" / "my-voice"
    names = {"README.md", "prepare.py", "hifigan_v1.yaml", "spectral_small.yaml", "spectral_large.yaml"}
    assert {path.name for path in folder.iterdir()} == names and not list(folder.parent.glob(".*"))
    for path in folder.glob("*.yaml"):
        recipe = load_recipe(path)
        assert recipe.task.features.sample_rate == 24000 and str(recipe.data.train) == "data/my-voice/train.jsonl"
    texts = {name: (folder / name).read_text() for name in ("README.md", "prepare.py")}
    assert f"`{wavs.as_posix()}`" in texts["README.md"] and not any("FOLDER" in text for text in texts.values())
    done = subprocess.run([sys.executable, "recipes/my-voice/prepare.py"], capture_output=True, text=True)
    assert done.returncode == 0 and "train 10, valid 1, test 1 -> data/my-voice" in done.stdout, done.stderr
    assert manifest.read("data/my-voice/train.jsonl")[0].sample_rate == 24000


def test_a_new_recipe_runs_from_recordings_to_scores_and_resumes(tmp_path, wavs, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    assert run("recipe", "new", "mine", "--wavs", wavs, "--sample-rate", 24000).returncode == 0
    path = tmp_path / "recipes" / "mine" / "spectral_small.yaml"
    recipe = config.override(yaml.safe_load(path.read_text()), [*TINY, *SMALL["spectral_small"]])
    path.write_text(yaml.safe_dump(recipe))
    run_it = ("recipe", "run", "recipes/mine", "--data", "elsewhere")
    assert run(*run_it, "--to", 2, "--trim", "--limit", 6, "--memmap").returncode == 0
    assert "train 4, valid 1, test 1 -> elsewhere" in capfd.readouterr().out
    assert len(list((tmp_path / "elsewhere").glob("*.npy"))) == 2  # which the training maps
    done = run(*run_it, "--from", 2)
    assert done.returncode == 0 and "--resume runs/mine" in done.stderr and "stage 1" not in done.stderr
    assert (tmp_path / "runs/mine/test/metrics.json").is_file()


def test_a_new_recipe_does_not_write_among_its_recordings(tmp_path, wavs, monkeypatch, capfd):
    monkeypatch.chdir(wavs)
    assert run("recipe", "new", "mine", "--wavs", wavs, "--sample-rate", 24000).returncode == 0
    assert run("recipe", "run", "recipes/mine").returncode == 2
    assert "data/mine is inside" in capfd.readouterr().err and not (wavs / "data").exists()


def test_recordings_of_a_lower_rate_are_named(tmp_path, wavs):
    done = run("recipe", "new", "high", "--wavs", wavs, "--sample-rate", 48000, "-o", tmp_path)
    assert "lack the upper band of 48000 Hz (12 at 24000 Hz)" in done.stdout


def test_refusals_leave_nothing(tmp_path, wavs):
    new = ("recipe", "new")
    (tmp_path / "empty").mkdir()
    (tmp_path / "out").mkdir()
    there = ("-o", tmp_path / "out")
    assert_refused(run(*new, "a b", "--wavs", wavs, "--sample-rate", 16000, *there), "letters, digits", "'a b'")
    assert_refused(run(*new, "a", "--wavs", tmp_path / "empty", "--sample-rate", 16000, *there), "no sound files")
    assert_refused(run(*new, "a", "--wavs", tmp_path / "none", "--sample-rate", 16000, *there), "is not a folder")
    assert_refused(run(*new, "a", "--wavs", wavs, "--sample-rate", 4000, *there), "8000 to 96000 Hz, got 4000")
    (tmp_path / "a\nb").symlink_to(wavs)
    odd = run(*new, "a", "--wavs", tmp_path / "a\nb", "--sample-rate", 16000, *there)
    assert_refused(odd, "a character in its name that a script can't contain")
    assert not list((tmp_path / "out").iterdir())
    (tmp_path / "out" / "a").mkdir()
    assert_refused(run(*new, "a", "--wavs", wavs, "--sample-rate", 16000, *there), "exists already")
