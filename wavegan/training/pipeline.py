"""The stages of a recipe folder, on any system: preparation, training, evaluation. Run again, they continue.

A folder's ``prepare.py`` may define ``RECIPES``, the recipes that are trained one after the other, and ``BESIDE``, the
model that is evaluated for comparison.
"""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wavegan.checkpoints import native
from wavegan.core import progress
from wavegan.core.errors import UserError
from wavegan.training import shipped
from wavegan.training.changes import changes_since, may_change
from wavegan.training.recipe import Recipe, load_recipe

DEFAULT = ("spectral_small",)
PREPARE, TRAIN, EVALUATE = 1, 2, 3
SETTING = re.compile(r"\w+(\.\w+)+=")  # dotted KEY=VALUE: of the training, not an option of prepare.py
MOST_CHANGES = 4  # shown


class Training(NamedTuple):
    """A recipe file, its contents with the overrides, and the run folder."""

    path: Path
    recipe: Recipe
    run: Path


def run(
    folder: Path,
    arguments: Sequence[str] = (),
    first: int = PREPARE,
    last: int = EVALUATE,
    recipe: str | None = None,
    data: Path | None = None,
    beside: str | None = None,
) -> int:
    """Run stages ``first`` to ``last`` of a recipe folder, each as a command of its own.

    Args:
        folder: contains prepare.py and recipes.
        arguments: dotted KEY=VALUE settings of the training; all others are options of prepare.py.
        recipe: trained instead of the folder's default, several names separated by spaces.
        data: folder of the manifests (default: where the recipe reads them).
        beside: another model to evaluate.

    Returns:
        The exit status of the first command that failed, or 0.

    Raises:
        UserError: no such folder or recipe, arguments that no stage takes, or a run of another recipe or of other data
            in the run folder.
    """
    overrides = [argument for argument in arguments if SETTING.match(argument)]
    options = [argument for argument in arguments if argument not in overrides]
    _check_stages(first, last, options, overrides)
    script = folder / "prepare.py"
    if not folder.exists():
        raise shipped.unknown(str(folder))
    if not script.is_file():
        raise UserError(f"{folder} is not a recipe folder: it has no prepare.py. Give one such as recipes/ljspeech.")
    definitions = runpy.run_path(str(script))
    trainings = _trainings(folder, recipe, definitions.get("RECIPES", DEFAULT), overrides)
    final = trainings[-1]
    data = data or final.recipe.data.train.parent
    rate = final.recipe.task.features.sample_rate
    commands = [(PREPARE, [str(script), "--sample-rate", str(rate), *options, "--output", str(data)])]
    if first <= TRAIN <= last:
        commands += [(TRAIN, _train(training, data, overrides)) for training in trainings]
    models = [str(final.run), *filter(None, [beside or definitions.get("BESIDE")])]
    scored = ["--manifest", str(data / "test.jsonl"), "-o", str(final.run / "test")]
    commands.append((EVALUATE, ["-m", "wavegan", "evaluate", *models, *scored]))
    for stage, command in commands:
        if first <= stage <= last:
            progress.remark(f"stage {stage}: python {' '.join(command)}")
            if status := _call(command):
                return status
    return 0


def _check_stages(first: int, last: int, options: Sequence[str], overrides: Sequence[str]) -> None:
    if first > last:
        raise UserError(f"--from {first} comes after --to {last}: there is nothing to do.")
    if first > PREPARE and options:
        raise UserError(f"{' '.join(options)} is for the preparation, which --from {first} leaves out.")
    if overrides and not first <= TRAIN <= last:
        raise UserError(f"{' '.join(overrides)} is for the training, which --from {first} --to {last} leaves out.")
    if "--output" in {option.partition("=")[0] for option in options}:
        raise UserError("The folder of the manifests is given by --data, not --output.")


def _trainings(folder: Path, chosen: str | None, default: Sequence[str], overrides: Sequence[str]) -> list[Training]:
    corpus = folder.resolve().name
    trainings = []
    for name in chosen.split() if chosen else default:
        path = folder / f"{name}.yaml"
        trainings.append(Training(path, load_recipe(path, overrides), Path("runs", f"{corpus}-{name}")))
    if not chosen:  # the last one is what the others lead to
        trainings[-1] = trainings[-1]._replace(run=Path("runs", corpus))
    return trainings


def _train(training: Training, data: Path, overrides: Sequence[str]) -> list[str]:
    """The command that begins or resumes a run.

    Raises:
        UserError: the run folder holds a run of another recipe, of other data or with other settings.
    """
    path, recipe, place = training
    moved = recipe.data.train.parent != data
    manifests = [f"data.{part}={(data / f'{part}.jsonl').as_posix()}" for part in ("train", "valid")] if moved else []
    overrides = [*overrides, *manifests]
    if not native.has_trainer(place):
        return ["-m", "wavegan", "train", str(path), "--run", str(place), *overrides]
    changes = changes_since(load_recipe(path, overrides), place)
    if refused := [line for key, line in changes.items() if key == "data.train" or not may_change(key)]:
        shown = "; ".join(refused[:MOST_CHANGES]) + ("; ..." if len(refused) > MOST_CHANGES else "")
        raise UserError(
            f"{place} holds another run than {path} asks for: {shown}. Move it away to train anew, or resume it as it "
            f"is: wavegan train --resume {place}."
        )
    given = [override for override in overrides if override.partition("=")[0] in changes]
    keys = {override.partition("=")[0] for override in given}
    if kept := "; ".join(line for key, line in changes.items() if key not in keys):
        progress.remark(f"{place} resumes with its earlier settings: {kept}. To change them: wavegan train --resume.")
    return ["-m", "wavegan", "train", "--resume", str(place), *given]


def _call(command: Sequence[str]) -> int:
    environment = os.environ | ({progress.QUIET: "1"} if progress.is_quiet() else {})
    with subprocess.Popen([sys.executable, *command], env=environment) as process:
        try:
            return process.wait()
        except KeyboardInterrupt:  # the command receives it as well, and saves
            return process.wait()
        except BaseException:
            process.terminate()
            raise
