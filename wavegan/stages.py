"""What a recipe's folder goes through, on any system: preparation, training, evaluation. Interrupted, it goes on.

A folder's ``prepare.py`` may say ``RECIPES``, what is trained one after the other, and ``BESIDE``, what the evaluation
compares with.
"""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from wavegan.errors import UserError
from wavegan.recipe import Recipe, load_recipe

DEFAULT = ("spectral_small",)
PREPARE, TRAIN, EVALUATE = STAGES = (1, 2, 3)


def run(
    folder: Path,
    options: Sequence[str] = (),
    first: int = PREPARE,
    last: int = EVALUATE,
    recipe: str | None = None,
    data: Path | None = None,
    beside: str | None = None,
) -> int:
    """Stages ``first`` to ``last`` of a recipe's folder, each a command of its own.

    Args:
        folder: holds prepare.py and recipes.
        options: of prepare.py.
        recipe: what to train instead of the folder's own, names with spaces between.
        data: where the manifests are to be (default: where the recipe looks for them).
        beside: another model to evaluate.

    Returns:
        The exit status of the first command that failed, or 0.

    Raises:
        UserError: no such folder, or no such recipe in it.
    """
    script = folder / "prepare.py"
    if not script.is_file():
        raise UserError(f"{folder} is no recipe's folder: it has no prepare.py. Give one such as recipes/ljspeech.")
    said = runpy.run_path(str(script))
    names = recipe.split() if recipe else said.get("RECIPES", DEFAULT)
    recipes = [load_recipe(folder / f"{name}.yaml") for name in names]
    data, rate = data or recipes[-1].data.train.parent, recipes[-1].task.features.sample_rate
    corpus = folder.resolve().name
    runs = [Path("runs", f"{corpus}-{name}") for name in names]
    if not recipe:
        runs[-1] = Path("runs", corpus)  # what the others lead to
    commands = [(PREPARE, [str(script), "--sample-rate", str(rate), *options, "--output", str(data)])]
    for name, each, place in zip(names, recipes, runs, strict=True):
        commands.append((TRAIN, _train(folder / f"{name}.yaml", each, place, data)))
    models = [str(runs[-1]), *filter(None, [beside or said.get("BESIDE")])]
    scored = ["--manifest", str(data / "test.jsonl"), "-o", str(runs[-1] / "test")]
    commands.append((EVALUATE, ["-m", "wavegan", "evaluate", *models, *scored]))
    for stage, command in commands:
        if first <= stage <= last:
            print(f"stage {stage}: python {' '.join(command)}", file=sys.stderr, flush=True)
            if status := _call(command):
                return status
    return 0


def _train(path: Path, recipe: Recipe, place: Path, data: Path) -> list[str]:
    """Begin a run, or go on with it: it may have the training's state before the last, if a save was cut short."""
    if any(place.glob("trainer*.pt")):
        return ["-m", "wavegan", "train", "--resume", str(place)]
    moved = recipe.data.train.parent != data
    own = [f"data.{part}={(data / f'{part}.jsonl').as_posix()}" for part in ("train", "valid")] if moved else []
    return ["-m", "wavegan", "train", str(path), "--run", str(place), *own]


def _call(command: Sequence[str]) -> int:
    with subprocess.Popen([sys.executable, *command]) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the command has it as well, and saves
            return process.wait()
        except BaseException:
            process.terminate()
            raise
