"""What may change when a run is resumed, and what would make it another run."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wavegan.checkpoints import native
from wavegan.core import config
from wavegan.core.errors import UserError
from wavegan.losses.reconstruction import TERMS
from wavegan.models.discriminators import DISCRIMINATORS
from wavegan.training.recipe import Recipe
from wavegan.training.resolve import resolve_files

# The recordings behind data.train must be the same; the trainer compares their digest.
MAY_CHANGE = ("trainer.", "name", "selection", "data.valid", "data.train")
MAY_NOT_CHANGE = ("trainer.seed", "trainer.finetune", "trainer.initial_weights", "trainer.initial_discriminators")


def read_recipe(folder: Path) -> Recipe:
    """The recipe of the run in ``folder``.

    Raises:
        UserError: the folder is no run, or its configuration is damaged.
    """
    return _parse(folder, _section(folder))


def resumed_recipe(folder: Path, overrides: Iterable[str] = ()) -> Recipe:
    """The recipe that a resumed run continues with.

    Raises:
        UserError: as ``read_recipe``, or an override would make it another run.
    """
    section = _section(folder)
    before, after = _parse(folder, section), _parse(folder, config.override(section, overrides))
    if refused := [line for key, line in differences(before, after).items() if not may_change(key)]:
        raise UserError(
            f"Resuming {folder} with this change would make it another run: {'; '.join(refused)}. Start a new run, or "
            f"--finetune {folder}. These may change: trainer (not its seed or initial weights), selection, data.valid, "
            "and data.train if the recordings are the same."
        )
    return after


def changes_since(recipe: Recipe, folder: Path) -> dict[str, str]:
    """``differences`` of a recipe, resolved, from that of the run in a folder, except vocabularies, and the precision
    of the machine that the run began on.
    """
    begun, recipe = read_recipe(folder), resolve_files(recipe, folder, required=False)
    resolved = ("task.conditions.", *(["trainer.precision"] if recipe.trainer.precision == "auto" else []))
    for name in ("train", "valid"):
        old, new = getattr(begun.data, name), getattr(recipe.data, name)
        resolved += (f"data.{name}",) if os.path.abspath(old) == os.path.abspath(new) else ()
    return {key: line for key, line in differences(begun, recipe).items() if not key.startswith(resolved)}


def may_change(key: str) -> bool:
    """Return True if a run with another value of this dotted key is still the same run."""
    return key.startswith(MAY_CHANGE) and not key.startswith(MAY_NOT_CHANGE)


def differences(before: Recipe, after: Recipe) -> dict[str, str]:
    """{dotted key: "KEY was A, now B"} of all keys that differ."""
    old, new = (_flatten(recipe.model_dump(mode="json")) for recipe in (before, after))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return {key: f"{key} was {old.get(key)}, now {new.get(key)}" for key in keys}


def _section(folder: Path) -> dict[str, Any]:
    contents = native.read_config(folder)
    native.require_plugins(contents.plugins, folder, {"discriminator": DISCRIMINATORS.classes, "loss term": TERMS})
    if contents.recipe is None:
        raise UserError(f"{folder} was not trained by a recipe and can't be resumed.")
    return contents.recipe


def _parse(folder: Path, section: dict[str, Any]) -> Recipe:
    return config.parse(Recipe, section, str(folder / native.CONFIG))


def _flatten(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    pairs = [_flatten(inner, f"{prefix}.{key}" if prefix else key) for key, inner in value.items()]
    return {key: leaf for pair in pairs for key, leaf in pair.items()}
