"""Run folders: begin one, go on with one, fine-tune, try one without leaving anything, pack one for publishing."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from wavegan.checkpoints import native
from wavegan.core import config
from wavegan.core.errors import UserError
from wavegan.core.progress import clock
from wavegan.inference.synthesizer import find_checkpoint
from wavegan.training import distributed
from wavegan.training.profiling import peak_memory
from wavegan.training.recipe import Recipe, TrainerConfig, load_recipe
from wavegan.training.trainer import Trainer

# What a resumed run may change; the rest is what the run is.
MAY_CHANGE = ("name", "selection", "data.valid")
MAY_NOT_CHANGE = ("trainer.seed", "trainer.finetune", "trainer.initial_weights", "trainer.initial_discriminators")
FINETUNE_RATE = 0.2  # of the recipe's learning rates
FINETUNE_WARMUP = 500


def start_run(
    recipe_path: Path, overrides: Sequence[str], folder: Path | None = None, finetune: Path | None = None
) -> Trainer:
    """A trainer for a recipe in a fresh run folder; with ``finetune``, from the weights of a checkpoint.

    Raises:
        UserError: faults in the recipe or its manifests, a run folder that is already in use, or a checkpoint that
            doesn't fit the recipe.
    """
    recipe = load_recipe(recipe_path, overrides)
    if finetune is not None:
        recipe = finetuning(recipe, find_checkpoint(finetune), overrides)
    if folder is None:
        date = datetime.now().strftime("%Y%m%d-%H%M%S")
        folder = Path("runs") / recipe.name / f"{date}-{recipe.trainer.seed}"
    if native.has_trainer(folder):
        if distributed.restarted() and not changes_since(recipe, folder):  # torchrun lost a process
            return resume_run(folder)
        raise UserError(f"{folder} already holds a run. Go on with --resume {folder}, or choose another --run.")
    return Trainer(recipe, folder)


def changes_since(recipe: Recipe, folder: Path) -> dict[str, str]:
    """``differences`` of a recipe from that of the run in a folder, but for what only its beginning told, and manifests
    that are the same by another way.
    """
    begun = config.parse(Recipe, native.read_config(folder).recipe or {}, str(folder / native.CONFIG))
    decided = ("task.conditions.", *(["trainer.precision"] if recipe.trainer.precision == "auto" else []))
    for name in ("train", "valid"):
        old, new = getattr(begun.data, name), getattr(recipe.data, name)
        decided += (f"data.{name}",) if os.path.abspath(old) == os.path.abspath(new) else ()
    return {key: line for key, line in differences(begun, recipe).items() if not key.startswith(decided)}


def finetuning(recipe: Recipe, source: Path, overrides: Sequence[str]) -> Recipe:
    """The recipe for trained weights: a fifth of its learning rates and a warm-up, but for what is given."""
    given = {assignment.partition("=")[0] for assignment in overrides}
    usual, trainer = TrainerConfig(max_steps=1), recipe.trainer
    rates = ("learning_rate", "muon_learning_rate", "discriminator_learning_rate")
    changes: dict[str, Any] = {
        name: FINETUNE_RATE * rate for name in rates if (rate := getattr(trainer, name) or getattr(usual, name))
    }
    changes["warmup_steps"] = max(trainer.warmup_steps, min(FINETUNE_WARMUP, trainer.max_steps // 10))
    changes = {name: value for name, value in changes.items() if f"trainer.{name}" not in given}
    return recipe.model_copy(update={"trainer": trainer.model_copy(update={**changes, "finetune": source})})


def resume_run(folder: Path, overrides: Sequence[str] = ()) -> Trainer:
    """A trainer that goes on where the run in ``folder`` stopped.

    Raises:
        UserError: the folder is no run, its checkpoint is damaged, or an override would make it another run.
    """
    contents = native.read_config(folder)
    if contents.recipe is None:
        raise UserError(f"{folder} was not trained by a recipe and can't be resumed.")
    source = str(folder / native.CONFIG)
    before = config.parse(Recipe, contents.recipe, source)
    after = config.parse(Recipe, config.override(contents.recipe, overrides), source)
    if refused := [line for key, line in differences(before, after).items() if not may_change(key)]:
        raise UserError(
            f"Resuming {folder} with this change would be another run: {'; '.join(refused)}. Begin a new run, or "
            f"--finetune {folder}. What may change: trainer (not its seed or beginnings), selection, data.valid."
        )
    return Trainer(after, folder, resume=True)


def differences(before: Recipe, after: Recipe) -> dict[str, str]:
    """What differs: {dotted key: "key was A, now B"}."""
    old, new = (_flat(recipe.model_dump(mode="json")) for recipe in (before, after))
    keys = [key for key in {**old, **new} if old.get(key) != new.get(key)]
    return {key: f"{key} was {old.get(key)}, now {new.get(key)}" for key in keys}


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    if not isinstance(value, dict) or not value:
        return {prefix: value}
    pairs = [_flat(inner, f"{prefix}.{key}" if prefix else key) for key, inner in value.items()]
    return {key: leaf for pair in pairs for key, leaf in pair.items()}


def may_change(key: str) -> bool:
    """Whether a run stays the same run with another value of it."""
    if key.startswith(MAY_NOT_CHANGE):
        return False
    return key.startswith(("trainer.", *MAY_CHANGE))


def dry_run(recipe_path: Path, overrides: Sequence[str], finetune: Path | None = None) -> str:
    """Check data and recipe, take two steps of each phase, leave nothing; returns what training would cost.

    Raises:
        UserError: as ``start_run``.
    """
    with tempfile.TemporaryDirectory() as folder:
        trainer = start_run(recipe_path, overrides, Path(folder) / "run", finetune)
        c, lines, total = trainer.config, [], 0.0
        sizes = {"generator": trainer.generator, "discriminators": trainer.discriminators}
        for name, module in sizes.items():
            if module is not None:
                lines.append(f"{name}: {sum(p.numel() for p in module.parameters()):,} parameters")
        for name, first, count in phases(trainer):
            seconds = min(time_step(trainer, first + k) for k in range(2))
            total += seconds * count
            lines.append(f"{name}: {count:,} steps at {1 / seconds:.2f} a second")
        trainer.save()
        size = sum(path.stat().st_size for path in (Path(folder) / "run").glob("*") if path.is_file())
        trainer.tracker.close()
    lines.append(f"memory: {peak_memory(trainer.device) / 1e9:.1f} GB on {trainer.device.type}")
    lines.append(f"disk: {2 * size / 1e6:.0f} MB for checkpoints, and samples every {c.valid_interval:,} steps")
    lines.append(f"time: {clock(total)}, without {-(-c.max_steps // c.valid_interval)} validations")
    return "\n".join(lines)


def phases(trainer: Trainer) -> list[tuple[str, int, int]]:
    """The phases of a training: what is trained, a first step of it with another of its kind after, how many steps."""
    c, refinements = trainer.config, getattr(trainer.recipe.generator, "refinements", 0)
    joined = c.adversarial_step if trainer.discriminators is not None else c.max_steps
    refined = c.refinement_step if refinements else c.max_steps
    places = sorted({0, joined, refined, c.max_steps})
    found = []
    for first, end in zip(places, places[1:], strict=False):
        name = "both players" if first >= joined else "reconstruction only"
        name += f", {refinements} refinements" if first >= refined else ""
        found.append((name, first, end - first))
    return found


def time_step(trainer: Trainer, step: int) -> float:
    """Seconds of a step; where players alternate, the mean of a round."""
    rounds = trainer.config.critic_steps + 1
    start = time.perf_counter()
    for trainer.step in range(step, step + rounds):
        trainer.train_step()
    return (time.perf_counter() - start) / rounds


def pack(run: Path, output: Path, half: bool = False, refinements: int | None = None) -> int:
    """Copy ``config.json`` and the generator's weights to ``output``; returns the size in bytes.

    Raises:
        UserError: ``output`` is another folder's, or ``refinements`` are asked of a generator that can't have them.
    """
    generator, contents = native.load_generator(find_checkpoint(run))
    if refinements is not None:
        changed = contents.model_dump(mode="json")
        changed["generator"] = contents.generator.model_dump(mode="json") | {"refinements": refinements}
        contents = config.parse(native.CheckpointConfig, changed, f"{run} with --refinements {refinements}")
        if problem := contents.generator.check(contents.task):
            raise UserError(f"{run}: {problem}.")
    began = (contents.recipe or {}).get("trainer", {})
    if began.get("finetune"):  # where that lay is nobody's business; what it was called is
        began["finetune"] = Path(began["finetune"]).name
    if output.exists() and any(output.iterdir()) and not (output / native.CONFIG).exists():
        raise UserError(f"{output} is not empty and not a checkpoint. Choose another folder.")
    native.save_generator(output, generator, contents, torch.float16 if half else torch.float32)
    return sum(path.stat().st_size for path in output.iterdir())
