"""Configuration: all faults at once, with paths and near misses; recipes and their overrides."""

from __future__ import annotations

from pathlib import Path

import pytest

from wavegan import UserError, load_recipe
from wavegan.core.config import override, parse_scalar, read_yaml
from wavegan.core.errors import one_line

FILES = sorted((Path(__file__).parent.parent / "recipes").glob("*/*.yaml"))
STUDIES = [path for path in FILES if "variants" in read_yaml(path)]  # of compare.py
RECIPES = [path for path in FILES if path not in STUDIES]


@pytest.mark.parametrize("path", RECIPES, ids=lambda p: f"{p.parent.name}/{p.stem}")
def test_every_recipe_loads_and_builds(path):
    recipe = load_recipe(path)
    recipe.generator.build(recipe.task)
    assert len(path.read_text().splitlines()) <= 42


def test_every_variant_of_a_study_is_another_recipe():
    for path in STUDIES:
        study = read_yaml(path)
        common = study.get("changes", [])
        recipes = [load_recipe(path.parent / study["recipe"], [*common, *own]) for own in study["variants"].values()]
        assert all(recipe not in recipes[:i] for i, recipe in enumerate(recipes))
        for recipe in recipes:
            recipe.generator.build(recipe.task)


def test_scalars_of_yaml():
    assert parse_scalar("2e-4") == 2e-4 and parse_scalar("1e3") == 1000.0 and parse_scalar("[1, 2]") == [1, 2]
    assert parse_scalar("null") is None and parse_scalar("hinge") == "hinge"


def test_overrides_reach_into_mappings_and_lists():
    data = {"trainer": {"max_steps": 1}, "discriminators": [{"name": "period"}]}
    changed = override(data, ["trainer.max_steps=5", "discriminators.0.periods=[2, 3]", "data.train=a b.jsonl"])
    assert changed["trainer"]["max_steps"] == 5 and changed["discriminators"][0]["periods"] == [2, 3]
    assert changed["data"]["train"] == "a b.jsonl"
    assert data["trainer"]["max_steps"] == 1


def test_all_faults_at_once_with_paths_and_suggestions(recipe_file):
    overrides = ["generator.dimm=3", "trainer.max_steps=many", "discriminators.0.period=3", "task.features.log=ln2"]
    with pytest.raises(UserError) as caught:
        load_recipe(recipe_file, overrides)
    message = str(caught.value)
    assert "4 faults" in message
    assert "generator.dimm: unknown key; did you mean 'dim'?" in message
    assert "trainer.max_steps: Input should be a valid integer" in message and "'many'" in message
    assert "discriminators.0.period: unknown key; did you mean 'periods'?" in message
    assert "task.features.log" in message


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (["generator={name: hifigan}"], "upsample_rates multiply to 8 x 8 x 2 x 2 = 256, hop_length is 32"),
        (["data.segment_length=1000"], "multiple of task.features.hop_length 32"),
        (["data.segment_length=128"], "shorter than an n_fft of 256"),
        (["discriminators=[]"], "no discriminators"),
        (["generator.name=hifigam"], "generator.name: no such one: 'hifigam'. Did you mean 'hifigan'?"),
        (["discriminators.0.name=x"], "discriminators.0.name: no such one: 'x'. Known here: "),
        (["generator={dim: 8}"], "generator.name: required"),
        (["objective.weights.mel=0", "objective.weights.phase=-1"], "objective.weights.phase"),
        (["trainer.learning_rate=.nan"], "trainer.learning_rate"),
        (["task.features.hop_length=100"], "hop_length 100 must be at most n_fft / 2 = 64"),
        (["task=5"], "task"),
        (["trainer.betas=[0.8, 1.5]"], "trainer.betas.1"),
        (["objective.mel_resolutions=[]"], "objective.mel_resolutions"),
        (["objective.mel_resolutions=[[256, 64, -1]]"], "should be .n_fft, hop, n_mels."),
        (["data.gain_db=[3, -6]"], "data.gain_db: should be .lowest, highest."),
        (["trainer.max_steps=2024-13-45"], "trainer.max_steps"),
        (["discriminators.0.periods=[0]"], "discriminators.0.periods.0"),
        (["discriminators.0={name: scale, channels: [8, 12, 8, 8, 8, 8, 8]}"], "use multiples of 16"),
        (["task.features.hop_length=64"], "hop_length 64 is too long"),
        (["task.features.win_length=20"], "hop_length 32 is too long"),
        (["max_steps"], "key=value"),
        (["name.first=x"], "no keys"),
    ],
)
def test_faults_across_sections(recipe_file, overrides, expected):
    with pytest.raises(UserError, match=expected.replace("(", "\\(").replace("?", "\\?")):
        load_recipe(recipe_file, overrides)


@pytest.mark.parametrize(("text", "expected"), [("a: [1", "not valid YAML"), ("- a", "mapping"), ("", "mapping")])
def test_files_that_are_no_recipe(tmp_path, text, expected):
    path = tmp_path / "r.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=expected):
        load_recipe(path)


def test_missing_recipe(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        load_recipe(tmp_path / "none.yaml")


def test_messages_of_other_libraries_become_one_short_line():
    assert one_line(ValueError("A first\nline.")) == "A first line"
    short = one_line(ValueError("some words, " * 50))
    assert len(short) <= 200 and short.endswith("some…") and not one_line(ValueError("x" * 300)).endswith("x")
    assert one_line(ValueError()) == "ValueError"
