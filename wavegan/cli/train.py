"""Training: train."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavegan.cli.options import QuietOption
from wavegan.core.errors import UserError
from wavegan.core.text import counted


def train(
    arguments: Annotated[list[str] | None, typer.Argument(metavar="[RECIPE] [KEY=VALUE]...")] = None,
    run: Annotated[Path | None, typer.Option("--run", "--output", "-o", help="Default: runs/RECIPE/DATE-SEED.")] = None,
    resume: Annotated[Path | None, typer.Option(help="Run to continue where it stopped.")] = None,
    finetune: Annotated[Path | None, typer.Option(help="Checkpoint or model whose weights are fine-tuned.")] = None,
    dry: Annotated[bool, typer.Option("--dry-run", help="Check everything, take a few steps, print the cost.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Train a recipe, resume a run, or fine-tune a checkpoint. Ctrl-C saves and stops."""
    from wavegan.training import runs
    from wavegan.training.shipped import find_recipe

    arguments = arguments or []
    if resume is not None:
        if finetune is not None or dry or run is not None:
            raise UserError("--resume continues a run as it is: leave out --run, --finetune and --dry-run.")
        trainer = runs.resume_run(resume, arguments)
    else:
        if not arguments or ("=" in arguments[0] and not Path(arguments[0]).exists()):
            raise UserError("Give a recipe: wavegan train recipes/folder/quarter_hour.yaml, or --resume RUN.")
        recipe, overrides = find_recipe(Path(arguments[0])), arguments[1:]
        if dry:
            print(runs.dry_run(recipe, overrides, finetune))
            return
        trainer = runs.start_run(recipe, overrides, run, finetune)
    status = trainer.train()
    if trainer.rank > 0:
        raise typer.Exit(status)
    if status:
        print(f"Stopped at step {trainer.step}. Continue with: wavegan train --resume {trainer.folder}")
    else:
        print(f"Trained {counted(trainer.step, 'step')}. {trainer.task.next_step(trainer.folder)}")
    raise typer.Exit(status)
