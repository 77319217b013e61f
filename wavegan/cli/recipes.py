"""Recipe folders: recipe new, run, list, copy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from wavegan.cli.options import QuietOption


def new(
    name: Annotated[str, typer.Argument(help="Name of the corpus: letters, digits, _ . -")],
    wavs: Annotated[Path, typer.Option(help="Folder of its recordings.")],
    sample_rate: Annotated[int, typer.Option(help="In Hz; usual are 16000, 22050, 24000, 32000, 44100 and 48000.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Parent of the new folder.")] = Path("recipes"),
) -> None:
    """Write a recipe folder for your recordings: preparation, and recipes with settings for the sample rate."""
    from wavegan.training.scaffold import new_recipe

    print(new_recipe(name, wavs, sample_rate, output))


def run(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(help="Recipe folder, or the name of a shipped recipe such as ljspeech.")],
    first: Annotated[int, typer.Option("--from", min=1, max=3, help="First stage.")] = 1,
    last: Annotated[int, typer.Option("--to", min=1, max=3, help="Last stage.")] = 3,
    recipe: Annotated[str | None, typer.Option(help="Train this one instead, such as spectral_large.")] = None,
    data: Annotated[Path | None, typer.Option(help="Folder of the manifests (default: the recipe's).")] = None,
    beside: Annotated[str | None, typer.Option(help="Another model to evaluate.")] = None,
    quiet: QuietOption = False,
) -> None:
    """Prepare (stage 1), train (2) and evaluate (3); run it again to continue.

    Arguments such as trainer.max_steps=1000 are settings of the training, all others options of prepare.py.
    """
    from wavegan.training import pipeline
    from wavegan.training.shipped import find_recipe

    raise typer.Exit(pipeline.run(find_recipe(folder), context.args, first, last, recipe, data, beside))


def list_() -> None:
    """List the shipped recipes."""
    from wavegan.training.shipped import list_recipes

    names = list_recipes()
    width = max(map(len, names))
    print("\n".join(f"{name.ljust(width)}  {summary}" for name, summary in names.items()))


def copy(
    name: Annotated[str, typer.Argument(help="Shipped recipe, such as ljspeech.")],
    output: Annotated[Path | None, typer.Argument(help="Folder to write (default: recipes/NAME).")] = None,
) -> None:
    """Copy a shipped recipe, to change it."""
    from wavegan.training.shipped import copy_recipe

    folder = copy_recipe(name, output)
    print(f"{folder}: run it with wavegan recipe run {folder}")
