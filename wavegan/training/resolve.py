"""A recipe, resolved for one run: paths that exist, the precision of this machine, the vocabulary of the corpus."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from wavegan.core.errors import UserError
from wavegan.data import manifest
from wavegan.data.manifest import Utterance
from wavegan.losses.reconstruction import plugin_terms
from wavegan.models.discriminators import DISCRIMINATORS
from wavegan.training import distributed
from wavegan.training.recipe import Recipe, TrainerConfig


class Resolved(NamedTuple):
    """A recipe that a trainer takes as it is, and the utterances that it names."""

    recipe: Recipe
    train: list[Utterance]
    valid: list[Utterance]


def resolve(recipe: Recipe, run: Path) -> Resolved:
    """Fill in what a recipe leaves open. The result is what the run's config.json keeps.

    Raises:
        UserError: a manifest is missing or damaged, or utterances lack a label that the task asks for.
    """
    recipe = resolve_files(recipe, run)
    recipe = recipe.with_sections(trainer=_precision(recipe.trainer))
    train, valid = manifest.read(recipe.data.train), manifest.read(recipe.data.valid)
    return Resolved(recipe.model_copy(update={"task": recipe.task.with_vocabulary(train)}), train, valid)


def resolve_files(recipe: Recipe, run: Path, required: bool = True) -> Recipe:
    """Replace relative paths by those of files that exist.

    Raises:
        UserError: a manifest isn't there, unless it isn't ``required`` yet.
    """
    folders = {"the recipe": recipe.folder, "the run": run.parent}
    manifests = {}
    for name in ("train", "valid"):
        with suppress(*() if required else (UserError,)):
            manifests[name] = find_file(getattr(recipe.data, name), folders, f"data.{name}")
    return recipe.with_sections(data=manifests, trainer=_initial_weights(recipe.trainer, folders))


def find_file(path: Path, folders: dict[str, Path | None], key: str) -> Path:
    """``path``, looked for beside each of the named folders and then in the working folder.

    Raises:
        UserError: it is in none of them; lists where it was looked for.
    """
    places = {} if path.is_absolute() else {name: folder for name, folder in folders.items() if folder is not None}
    for folder in places.values():
        if (folder / path).exists():
            return folder / path
    if path.exists():
        return path
    looked = [f"beside {name} ({folder})" for name, folder in places.items()]
    where = f" Looked {', '.join(looked)} and in the working folder ({Path.cwd()})." if looked else ""
    raise UserError(
        f"No such manifest: {path} ({key}).{where} Prepare the corpus first (see recipes/README.md), or give its "
        f"place: {key}=PATH."
    )


def _initial_weights(trainer: TrainerConfig, folders: dict[str, Path | None]) -> dict[str, object]:
    """Relative paths of initial weights that are beside the recipe or the run; the others stay as they are."""

    def place(path: Path | None) -> Path | None:
        if path is None or path.is_absolute():
            return path
        found = (folder / path for folder in folders.values() if folder is not None and (folder / path).exists())
        return next(found, path)

    return {
        "finetune": place(trainer.finetune),
        "initial_discriminators": place(trainer.initial_discriminators),
        "initial_weights": {name: place(path) for name, path in trainer.initial_weights.items()},
    }


def _precision(trainer: TrainerConfig) -> dict[str, str]:
    """The precision of this machine stays with the run, wherever that goes on."""
    if trainer.precision != "auto":
        return {}
    return {"precision": distributed.quickest_precision(trainer.accelerator)}


def plugins_of(recipe: Recipe) -> dict[str, str]:
    """The parts of a recipe that other packages define: {"KIND NAME": package}."""
    weighted: Sequence[str] = [name for name, weight in recipe.objective.weights if weight > 0]
    parts = plugin_terms(weighted)
    for config in recipe.discriminators:
        parts |= DISCRIMINATORS.plugin(config)
    return parts
