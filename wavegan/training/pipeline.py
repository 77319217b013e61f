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

from wavegan.checkpoints import native
from wavegan.core.errors import UserError
from wavegan.training import runs
from wavegan.training.recipe import Recipe, load_recipe

DEFAULT = ("spectral_small",)
PREPARE, TRAIN, EVALUATE = 1, 2, 3
MOST_CHANGES = 4  # shown


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
        UserError: no such folder, no such recipe in it, options that no stage takes, or a run of another recipe or of
            other data where this one's would be.
    """
    if first > last:
        raise UserError(f"--from {first} comes after --to {last}: nothing would be done.")
    if first > PREPARE and options:
        raise UserError(f"{' '.join(options)} is for the preparation, which --from {first} leaves out.")
    if "--output" in {option.partition("=")[0] for option in options}:
        raise UserError("Where the manifests go is said by --data, not --output.")
    script = folder / "prepare.py"
    if not script.is_file():
        raise UserError(f"{folder} is no recipe's folder: it has no prepare.py. Give one such as recipes/ljspeech.")
    said = runpy.run_path(str(script))
    names = recipe.split() if recipe else said.get("RECIPES", DEFAULT)
    recipes = [load_recipe(folder / f"{name}.yaml") for name in names]
    data, rate = data or recipes[-1].data.train.parent, recipes[-1].task.features.sample_rate
    corpus = folder.resolve().name
    places = [Path("runs", f"{corpus}-{name}") for name in names]
    if not recipe:
        places[-1] = Path("runs", corpus)  # what the others lead to
    commands = [(PREPARE, [str(script), "--sample-rate", str(rate), *options, "--output", str(data)])]
    for name, each, place in zip(names, recipes, places, strict=True):
        if first <= TRAIN <= last:
            commands.append((TRAIN, _train(folder / f"{name}.yaml", each, place, data)))
    models = [str(places[-1]), *filter(None, [beside or said.get("BESIDE")])]
    scored = ["--manifest", str(data / "test.jsonl"), "-o", str(places[-1] / "test")]
    commands.append((EVALUATE, ["-m", "wavegan", "evaluate", *models, *scored]))
    for stage, command in commands:
        if first <= stage <= last:
            print(f"stage {stage}: python {' '.join(command)}", file=sys.stderr, flush=True)
            if status := _call(command):
                return status
    return 0


def _train(path: Path, recipe: Recipe, place: Path, data: Path) -> list[str]:
    """Begin a run, or go on with it.

    Raises:
        UserError: what is there was begun by another recipe, or on other data.
    """
    moved = recipe.data.train.parent != data
    own = [f"data.{part}={(data / f'{part}.jsonl').as_posix()}" for part in ("train", "valid")] if moved else []
    if not native.has_trainer(place):
        return ["-m", "wavegan", "train", str(path), "--run", str(place), *own]
    changes = runs.changes_since(load_recipe(path, own), place)
    if refused := [line for key, line in changes.items() if not runs.may_change(key)]:
        shown = "; ".join(refused[:MOST_CHANGES]) + ("; ..." if len(refused) > MOST_CHANGES else "")
        raise UserError(
            f"{place} holds another run than {path} asks for: {shown}. Move it away to train anew, or go on with it "
            f"as it is: wavegan train --resume {place}."
        )
    if changes:
        kept = "; ".join(changes.values())
        print(f"{place} goes on as it was begun: {kept}. To change that: wavegan train --resume.", file=sys.stderr)
    return ["-m", "wavegan", "train", "--resume", str(place)]


def _call(command: Sequence[str]) -> int:
    with subprocess.Popen([sys.executable, *command]) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the command has it as well, and saves
            return process.wait()
        except BaseException:
            process.terminate()
            raise
