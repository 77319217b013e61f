"""The recipes and the demo that come with the package: inside it when installed, beside it in a checkout."""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

from wavegan.core.errors import UserError, did_you_mean

PACKAGE = Path(__file__).parents[1]


def shipped(folder: str) -> Path:
    """Path of "recipes" or "demo"."""
    installed = PACKAGE / f"_{folder}"
    return installed if installed.is_dir() else PACKAGE.parent / folder


def list_recipes() -> dict[str, str]:
    """Names of the recipes, each with the first line of its description."""
    return {script.parent.name: _summary(script) for script in sorted(shipped("recipes").glob("*/prepare.py"))}


def _summary(script: Path) -> str:
    documentation = ast.get_docstring(ast.parse(script.read_text(encoding="utf-8"))) or ""
    return documentation.partition("\n")[0]


def find_recipe(path: Path) -> Path:
    """A path as it is if it exists, or that of a shipped recipe such as ljspeech or ljspeech/spectral_small.yaml."""
    name = path.relative_to("recipes") if path.parts[:1] == ("recipes",) else path
    candidate = shipped("recipes") / name
    return candidate if not path.exists() and not path.is_absolute() and candidate.exists() else path


def unknown(name: str) -> UserError:
    """An error that suggests the nearest shipped recipe."""
    hint = did_you_mean(Path(name).name, list_recipes())
    return UserError(f"There is no recipe '{name}'.{hint} `wavegan recipe list` lists them.")


def copy_recipe(name: str, output: Path | None = None) -> Path:
    """Copy a shipped recipe to a folder of its own, ``recipes/NAME`` by default, to be changed.

    Raises:
        UserError: no such recipe, or the folder exists.
    """
    if name not in list_recipes():
        raise unknown(name)
    output = output or Path("recipes", name)
    if output.exists():
        raise UserError(f"{output} exists already. Give another folder, or remove it.")
    ignored = shutil.ignore_patterns("__pycache__", "*.png", "checkpoint")
    partial = output.with_name(f".{output.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(shipped("recipes") / name, partial, ignore=ignored)
    if (partial / "run.sh").exists():  # calls the one above it, which works here as well
        shutil.copy(shipped("recipes") / "run.sh", partial / "run.sh")
    partial.rename(output)
    return output
