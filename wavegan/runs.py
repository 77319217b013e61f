"""Run folders: begin one, go on with one, pack one for publishing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

import torch

from wavegan import checkpoint, config
from wavegan.errors import UserError
from wavegan.recipe import Recipe, load_recipe
from wavegan.synthesizer import find_checkpoint
from wavegan.trainer import Trainer


def start_run(recipe_path: Path, overrides: Sequence[str], folder: Path | None = None) -> Trainer:
    """A trainer for a recipe in a fresh run folder.

    Raises:
        UserError: faults in the recipe or its manifests, or a run folder that is already in use.
    """
    recipe = load_recipe(recipe_path, overrides)
    if folder is None:
        date = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = Path("runs") / recipe.name / f"{date}-{recipe.trainer.seed}"
    if (folder / checkpoint.TRAINER).exists():
        raise UserError(f"{folder} already holds a run. Go on with --resume {folder}, or choose another --run.")
    return Trainer(recipe, folder)


def resume_run(folder: Path, overrides: Sequence[str] = ()) -> Trainer:
    """A trainer that goes on where the run in ``folder`` stopped.

    Raises:
        UserError: the folder is no run, or its checkpoint is damaged.
    """
    contents = checkpoint.read_config(folder)
    if contents.recipe is None:
        raise UserError(f"{folder} was not trained by a recipe and can't be resumed.")
    recipe = config.parse(Recipe, config.override(contents.recipe, overrides), str(folder / checkpoint.CONFIG))
    return Trainer(recipe, folder, resume=True)


def pack(run: Path, output: Path, half: bool = False) -> int:
    """Copy ``config.json`` and the generator's weights to ``output``; returns the size in bytes."""
    generator, contents = checkpoint.load_generator(find_checkpoint(run))
    if output.exists() and any(output.iterdir()) and not (output / checkpoint.CONFIG).exists():
        raise UserError(f"{output} is not empty and not a checkpoint. Choose another folder.")
    checkpoint.save_generator(output, generator, contents, torch.float16 if half else torch.float32)
    return sum(path.stat().st_size for path in output.iterdir())
