"""Run folders: start one, fine-tune, estimate the cost of one, pack one for publishing."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from wavegan.checkpoints import native
from wavegan.checkpoints.hub import find_checkpoint
from wavegan.core import config
from wavegan.core.errors import UserError
from wavegan.core.progress import clock
from wavegan.training import distributed
from wavegan.training.changes import changes_since
from wavegan.training.profiling import peak_memory
from wavegan.training.recipe import Recipe, TrainerConfig, load_recipe
from wavegan.training.trainer import Trainer

FINETUNE_RATE = 0.2  # of the recipe's learning rates
FINETUNE_WARMUP = 500


def start_run(
    recipe_path: Path | str,
    overrides: Sequence[str],
    folder: Path | str | None = None,
    finetune: Path | str | None = None,
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
    folder = Path(folder)
    if native.has_trainer(folder) and distributed.restarted() and not changes_since(recipe, folder):
        return Trainer.resume(folder)  # torchrun lost a process
    return Trainer(recipe, folder)


def resume_run(folder: Path | str, overrides: Sequence[str] = ()) -> Trainer:
    """``Trainer.resume``."""
    return Trainer.resume(folder, overrides)


def finetuning(recipe: Recipe, source: Path, overrides: Sequence[str]) -> Recipe:
    """The recipe for trained weights: a fifth of its learning rates and a warm-up, except for those overridden."""
    given = {assignment.partition("=")[0] for assignment in overrides}
    default, trainer = TrainerConfig(max_steps=1), recipe.trainer
    rates = ("learning_rate", "muon_learning_rate", "discriminator_learning_rate")
    changes: dict[str, Any] = {
        name: FINETUNE_RATE * rate for name in rates if (rate := getattr(trainer, name) or getattr(default, name))
    }
    changes["warmup_steps"] = max(trainer.warmup_steps, min(FINETUNE_WARMUP, trainer.max_steps // 10))
    changes = {name: value for name, value in changes.items() if f"trainer.{name}" not in given}
    return recipe.with_sections(trainer={**changes, "finetune": source})


def dry_run(recipe_path: Path, overrides: Sequence[str], finetune: Path | None = None) -> str:
    """Check data and recipe and time two steps of each phase, leaving nothing; returns the cost of the training.

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
    lines.append(f"memory: {peak_memory(trainer.device) / 1e9:.1f} GB on {trainer.device.type}")
    lines.append(f"disk: {2 * size / 1e6:.0f} MB for checkpoints, and samples every {c.valid_interval:,} steps")
    lines.append(f"time: {clock(total)}, without {-(-c.max_steps // c.valid_interval)} validations")
    return "\n".join(lines)


def phases(trainer: Trainer) -> list[tuple[str, int, int]]:
    """The phases of a training: (description, first step, number of steps)."""
    c, stages = trainer.config, trainer.recipe.generator.stages(trainer.config.max_steps)
    joined = c.adversarial_step if trainer.discriminators is not None else c.max_steps
    places = sorted({0, joined, *stages.values(), c.max_steps})
    described = []
    for first, end in zip(places, places[1:], strict=False):
        names = ["both players" if first >= joined else "reconstruction only"]
        names += [stage for stage, begin in stages.items() if first >= begin]
        described.append((", ".join(names), first, end - first))
    return described


def time_step(trainer: Trainer, step: int) -> float:
    """Seconds per step; where players alternate, the mean of a round."""
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
        fields = contents.generator.model_dump(mode="json", exclude={"refinement_start"})  # which is for training
        changed["generator"] = fields | {"refinements": refinements}
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
