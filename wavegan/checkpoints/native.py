"""Checkpoints: a folder with ``config.json`` and ``generator.safetensors``; a run adds ``trainer.pt`` to resume.

``generator.safetensors`` holds the averaged (EMA) weights with weight norm folded, for inference.
"""

from __future__ import annotations

import copy
import io
import json
import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

import safetensors
import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from wavegan.core import config, errors
from wavegan.core.config import Config
from wavegan.core.errors import UserError
from wavegan.core.files import replacing, write_atomically, write_durably
from wavegan.core.registry import load_entry_points
from wavegan.core.tensors import check_tensors, load_safely
from wavegan.core.version import __version__
from wavegan.models.generators import GENERATORS, GeneratorConfig
from wavegan.models.generators.base import BaseGeneratorConfig
from wavegan.models.layers import fold_weight_norm
from wavegan.tasks import TASKS, TaskConfig
from wavegan.tasks.base import BaseTaskConfig

FORMAT_VERSION = 1
CONFIG, GENERATOR, TRAINER = "config.json", "generator.safetensors", "trainer.pt"
PREVIOUS = "trainer.previous.pt"  # resumed from where the latest is damaged


class CheckpointConfig(Config):
    """``config.json``: the settings of the weights, and the recipe that they were trained with.

    ``plugins``: the parts that other packages define, {"generator toy": "toy_package"}.
    """

    format_version: int
    wavegan_version: str
    step: int
    name: str
    task: TaskConfig
    generator: GeneratorConfig
    recipe: dict[str, Any] | None = None
    plugins: dict[str, str] = {}

    @classmethod
    def of_today(
        cls, task: BaseTaskConfig, generator: BaseGeneratorConfig, plugins: dict[str, str] | None = None, **fields: Any
    ) -> CheckpointConfig:
        """The contents of a checkpoint that this version writes; ``plugins``: other parts of the recipe."""
        plugins = GENERATORS.plugin(generator) | TASKS.plugin(task) | (plugins or {})
        versions = {"format_version": FORMAT_VERSION, "wavegan_version": __version__}
        return cls(**versions, task=task, generator=generator, plugins=plugins, **fields)

    def to_json(self) -> str:
        """The text of ``config.json``."""
        empty = set() if self.plugins else {"plugins"}
        return json.dumps(self.model_dump(mode="json", exclude_none=True, exclude=empty), indent=1)


def upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """Convert an older ``config.json`` to today's format; a copy."""
    upgraded = {"task": upgrade_task(data.get("task"))} if "task" in data else {}
    if isinstance(data.get("recipe"), dict):
        upgraded["recipe"] = upgrade_recipe(data["recipe"])
    return data | upgraded


def upgrade_recipe(recipe: dict[str, Any]) -> dict[str, Any]:
    """Convert an older recipe to today's keys; a copy."""
    recipe = {key: dict(value) if isinstance(value, dict) else value for key, value in recipe.items()}
    sections = (recipe.get(name) for name in ("trainer", "data", "generator"))
    trainer, data, generator = (section if isinstance(section, dict) else {} for section in sections)
    if "alternate" in trainer:  # the former name of critic_steps: 1
        trainer["critic_steps"] = int(bool(trainer.pop("alternate")))
    if "batch_size" in data:
        data["global_batch_size"] = data.pop("batch_size")
    start = trainer.pop("refinement_start", None)
    if start or (start is not None and "refinement_start" in generator):
        generator["refinement_start"] = start
    if "task" in recipe:
        recipe["task"] = upgrade_task(recipe["task"])
    return recipe


def upgrade_task(task: Any) -> Any:
    """Convert an older task to today's keys: ``output`` was a key of generation."""
    if not isinstance(task, dict) or task.get("name") != "generation" or task.get("output") not in ("waveform", "mel"):
        return task
    rest = {key: value for key, value in task.items() if key != "output"}
    return rest | {"name": "mel_generation"} if task["output"] == "mel" else rest


def save_generator(
    folder: Path, generator: nn.Module, contents: CheckpointConfig, dtype: torch.dtype = torch.float32
) -> None:
    """Write ``config.json`` and ``generator.safetensors``, each atomically."""
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / GENERATOR, save(_folded_tensors(generator, dtype)))
    write_atomically(folder / CONFIG, contents.to_json().encode())


def _folded_tensors(generator: nn.Module, dtype: torch.dtype = torch.float32) -> dict[str, Tensor]:
    folded = fold_weight_norm(copy.deepcopy(generator))
    return {k: v.detach().to("cpu", dtype).contiguous() for k, v in folded.state_dict().items()}


def check_saveable(generator: nn.Module, contents: CheckpointConfig) -> None:
    """Check that a checkpoint of this generator could be written, and loaded again.

    Raises:
        UserError: its configuration changes on the way through JSON, its weights can't be saved, or the generator that
            the configuration builds has other weights.
    """
    source = f"a checkpoint of the generator '{contents.generator.name}'"
    try:
        text = contents.to_json()
        tensors = _folded_tensors(generator)
        save(tensors)
    except (RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"Can't write {source}: {errors.one_line(error)}.") from error
    again = config.parse(CheckpointConfig, json.loads(text), source)
    for part in ("task", "generator"):
        if getattr(again, part) != getattr(contents, part):
            raise UserError(f"The {part} section of {source} changes when it is written as JSON and read again.")
    check_tensors(_on_meta(again, source), tensors, source)


def is_checkpoint(folder: Path) -> bool:
    """Return True for a checkpoint of ours, even a damaged one, and False for a folder of another project."""
    try:
        data = json.loads((folder / CONFIG).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return (folder / GENERATOR).is_file()
    return isinstance(data, dict) and "format_version" in data


def read_config(folder: Path) -> CheckpointConfig:
    """Read and check ``config.json``.

    Raises:
        UserError: no such folder or file, not JSON, written by another version, made with a part of another package
            that isn't registered, or with faults.
    """
    path = folder / CONFIG
    if not folder.is_dir():
        raise UserError(f"No such checkpoint folder: {folder}. `wavegan info` lists the models in the package.")
    if not path.is_file():
        raise UserError(
            f"{folder} is not a checkpoint: it has no {CONFIG}. Give the folder that `wavegan train` wrote."
        )
    try:
        data = json.loads(path.read_text(encoding="utf-8-sig"))
        version = data["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise UserError(f"{path} is not a wavegan configuration: no readable format_version in it.") from None
    if version != FORMAT_VERSION:
        raise UserError(
            f"{folder} has checkpoint format {version}; this wavegan {__version__} reads format {FORMAT_VERSION}. "
            "Install the wavegan that wrote it, or a newer one."
        )
    require_plugins(data.get("plugins"), folder, {"task": TASKS.classes, "generator": GENERATORS.classes})
    return config.parse(CheckpointConfig, upgrade(data), str(path))


def require_plugins(plugins: Any, folder: Path, registered: dict[str, Collection[str]]) -> None:
    """Check that the parts of other packages are registered; nothing is imported because a file says so.

    ``plugins``: those that config.json lists; ``registered``: the names of each kind to check.

    Raises:
        UserError: a part is missing; names it and its package.
    """
    for part, package in (plugins if isinstance(plugins, dict) else {}).items():
        kind = next((kind for kind in registered if part.startswith(f"{kind} ")), None)
        if kind is None or (name := part.removeprefix(f"{kind} ")) in registered[kind]:
            continue
        load_entry_points()
        if name not in registered[kind]:
            raise UserError(
                f"{folder} needs the {kind} '{name}' of the package '{package}', which is not registered: install it, "
                "or import the module that registers it before loading."
            )


def load_generator(folder: Path) -> tuple[nn.Module, CheckpointConfig]:
    """Build the generator of a checkpoint folder, in evaluation mode, weight norm folded, float32.

    Raises:
        UserError: as ``read_config``; or the weights are missing, cut short, or don't fit the configuration.
    """
    contents = read_config(folder)
    path = folder / GENERATOR
    if not path.is_file():
        raise UserError(f"{folder} has no {GENERATOR}. Copy the whole folder.")
    try:
        tensors = {name: tensor.float() for name, tensor in load_file(path).items()}
    except (safetensors.SafetensorError, OSError) as error:
        raise UserError(f"{path} is damaged or cut short ({error}). Copy it again.") from None
    return build_generator(contents, tensors, folder), contents


def build_generator(contents: CheckpointConfig, tensors: dict[str, Tensor], path: Path) -> nn.Module:
    """Build the generator of ``contents`` with the weights ``tensors`` for inference; ``path`` is their source.

    Raises:
        UserError: as ``check_tensors``; or the generator can't be built or can't do its task.
    """
    check_tensors(_on_meta(contents, path), tensors, path)
    built = fold_weight_norm(contents.generator.build(contents.task)).eval().requires_grad_(False)
    built.load_state_dict(tensors)
    return built


def _on_meta(contents: CheckpointConfig, path: Path | str) -> nn.Module:
    """The generator's shapes alone: settings that promise more than the file holds must not fill memory."""
    try:
        problem = contents.generator.check(contents.task)
        if problem is None:
            with torch.device("meta"):
                return fold_weight_norm(contents.generator.build(contents.task))
    except (RuntimeError, ValueError, TypeError, ArithmeticError, MemoryError) as error:
        problem = f"no generator can be built from its settings ({errors.one_line(error)})"
    raise UserError(f"{path}: {problem}.")


def save_trainer(folder: Path, state: dict[str, Any]) -> None:
    """Write ``trainer.pt``: everything that resuming needs, in one file, so that its parts always match."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with replacing(folder / TRAINER) as partial:
        write_durably(partial, buffer.getbuffer())
        if (folder / TRAINER).exists():
            os.replace(folder / TRAINER, folder / PREVIOUS)


def has_trainer(folder: Path) -> bool:
    """Return True if a run can be resumed."""
    return any((folder / name).is_file() for name in (TRAINER, PREVIOUS))


def trainer_stamp(folder: Path) -> tuple[int, int] | None:
    """Time and size of ``trainer.pt``, by which a reader sees that another process has written it; None without one."""
    try:
        status = (folder / TRAINER).stat()
    except OSError:
        return None
    return status.st_mtime_ns, status.st_size


def load_trainer(folder: Path) -> dict[str, Any]:
    """Read ``trainer.pt`` without running code from it; if it is damaged, the previous one, with a warning.

    Raises:
        UserError: missing, or both damaged.
    """
    if not has_trainer(folder):
        raise UserError(f"{folder} can't be resumed: it has no {TRAINER}. Give a run folder of `wavegan train`.")
    try:
        return _load_trainer(folder / TRAINER)
    except UserError as error:
        if not (folder / PREVIOUS).is_file():
            raise
        state = _load_trainer(folder / PREVIOUS)
        print(f"{error} Going on from the previous one, step {state.get('step')}.", file=sys.stderr)
        return state


def _load_trainer(path: Path) -> dict[str, Any]:
    state = load_safely(path, "is damaged or cut short")
    if not isinstance(state, dict):
        raise UserError(f"{path} is damaged: it holds a {type(state).__name__}, not the state of a training.")
    return state
