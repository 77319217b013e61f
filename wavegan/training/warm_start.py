"""Initial weights: parts of other runs, a whole generator to fine-tune, the discriminators of a run."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import nn
from torch.nn.utils import parametrize

from wavegan.checkpoints import native
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError
from wavegan.core.tensors import load_tensors
from wavegan.models.discriminators import Discriminators
from wavegan.training.recipe import Recipe


def begin(recipe: Recipe, generator: nn.Module, discriminators: Discriminators) -> None:
    """Load the initial weights that the ``trainer`` section names.

    Raises:
        UserError: a checkpoint whose contract, labels or shapes are not the recipe's.
    """
    c = recipe.trainer
    if c.finetune:
        source, contents = native.load_generator(c.finetune)
        _refuse_other(recipe, c.finetune, contents)
        free = getattr(recipe.generator, "weightless", frozenset())  # what the same weights can be tried with
        both = (recipe.generator, contents.generator)
        if len({config.model_dump_json(exclude=free) for config in both}) > 1:
            ours, theirs = (config.model_dump(exclude_defaults=True) for config in both)
            raise UserError(f"{c.finetune} has another generator than the recipe: {theirs}, not {ours}.")
        load_folded(generator, source.state_dict(), c.finetune / native.GENERATOR)
    for name, folder in c.initial_weights.items():
        source, contents = native.load_generator(folder)
        _refuse_other(recipe, folder, contents)
        weights = getattr(source, name, None) or source  # the same part of it, or the whole
        load_tensors(part(generator, name), weights.state_dict(), folder / native.GENERATOR)
    if c.initial_discriminators:
        own, path = discriminators.state_dict(), c.initial_discriminators
        if path.is_file():
            from wavegan.checkpoints.formats.discriminators import (
                read_discriminators,  # all formats: not for every training
            )

            state = read_discriminators(path, discriminators)
        else:
            state = native.load_trainer(path).get("discriminators", {})
        if not state or any(own.get(name, torch.empty(0)).shape != t.shape for name, t in state.items()):
            raise UserError(
                f"The discriminators of {path} are not the first ones of this recipe. "
                "List the same ones first, or leave out trainer.initial_discriminators."
            )
        discriminators.load_state_dict(own | state)


def part(generator: nn.Module, name: str) -> nn.Module:
    """A part of a generator by its name.

    Raises:
        UserError: it has no such part.
    """
    parts = {n: child for n, child in generator.named_children() if child is not None}
    if name not in parts:
        known = ", ".join(parts)
        raise UserError(f"The generator has no part '{name}' for trainer.initial_weights or frozen: {known}.")
    return parts[name]


def freeze(generator: nn.Module, names: Sequence[str]) -> None:
    """Take the named parts of a generator out of training.

    Raises:
        UserError: it has no such part, or nothing would be left to train.
    """
    for name in names:
        part(generator, name).requires_grad_(False)
    if not any(p.requires_grad for p in generator.parameters()):
        raise UserError("trainer.frozen leaves nothing of the generator to train.")


def load_folded(module: nn.Module, tensors: dict[str, torch.Tensor], path: Path) -> None:
    """Load folded weights into a module whose weight norm is not folded yet.

    Raises:
        UserError: names or shapes that differ.
    """
    rest = dict(tensors)
    with torch.no_grad():
        for name, child in module.named_modules():
            weight = f"{name}.weight"
            if parametrize.is_parametrized(child, "weight") and weight in rest:
                if rest[weight].shape != child.weight.shape:
                    found, wanted = tuple(rest[weight].shape), tuple(child.weight.shape)
                    raise UserError(f"The weights in {path} do not fit: {weight} is {found}, expected {wanted}.")
                child.weight = rest.pop(weight)  # sets norm and direction
    own = {name: tensor for name, tensor in module.state_dict().items() if ".parametrizations." in f".{name}"}
    load_tensors(module, own | rest, path)


def _refuse_other(recipe: Recipe, folder: Path, contents: CheckpointConfig) -> None:
    task = recipe.task
    difference = task.features.diff(contents.task.features)
    if contents.task.name == task.name and contents.task.vocabularies != task.vocabularies:
        difference |= {"conditions": (task.vocabularies, contents.task.vocabularies)}
    if difference:
        shown = "; ".join(
            f"{k}: the recipe has {ours}, the checkpoint {theirs}" for k, (ours, theirs) in difference.items()
        )
        raise UserError(f"{folder} does not fit the recipe: {shown}.")
