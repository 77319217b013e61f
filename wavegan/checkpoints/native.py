"""Checkpoints: a folder with ``config.json`` and ``generator.safetensors``; a run adds ``trainer.pt`` to resume.

``generator.safetensors`` holds the averaged (EMA) weights with weight norm folded: what is played and published.
"""

from __future__ import annotations

import copy
import io
import json
import os
import sys
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
from wavegan.core.tensors import check_tensors, load_safely
from wavegan.core.version import __version__
from wavegan.models.generators import GeneratorConfig
from wavegan.models.layers import fold_weight_norm
from wavegan.tasks import TaskConfig

FORMAT_VERSION = 1
CONFIG, GENERATOR, TRAINER = "config.json", "generator.safetensors", "trainer.pt"
PREVIOUS = "trainer.previous.pt"  # what is resumed where the latest is damaged


class CheckpointConfig(Config):
    """``config.json``: what is needed to play the weights, and the recipe they come from."""

    format_version: int
    wavegan_version: str
    step: int
    name: str
    task: TaskConfig
    generator: GeneratorConfig
    recipe: dict[str, Any] | None = None

    @classmethod
    def of_today(cls, **fields: Any) -> CheckpointConfig:
        """The contents of a checkpoint that this version writes."""
        return cls(format_version=FORMAT_VERSION, wavegan_version=__version__, **fields)


def upgrade(data: dict[str, Any]) -> dict[str, Any]:
    """Bring an older ``config.json`` to today's format."""
    recipe = data.get("recipe")
    trainer = recipe.get("trainer") if isinstance(recipe, dict) else None
    if isinstance(trainer, dict) and "alternate" in trainer:  # what critic_steps: 1 was called
        trainer["critic_steps"] = int(bool(trainer.pop("alternate")))
    data_section = recipe.get("data") if isinstance(recipe, dict) else None
    if isinstance(data_section, dict) and "batch_size" in data_section:
        data_section["global_batch_size"] = data_section.pop("batch_size")
    return data


def save_generator(
    folder: Path, generator: nn.Module, contents: CheckpointConfig, dtype: torch.dtype = torch.float32
) -> None:
    """Write ``config.json`` and ``generator.safetensors``, each whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    folded = fold_weight_norm(copy.deepcopy(generator))
    tensors = {k: v.detach().to("cpu", dtype).contiguous() for k, v in folded.state_dict().items()}
    write_atomically(folder / GENERATOR, save(tensors))
    text = json.dumps(contents.model_dump(mode="json", exclude_none=True), indent=1)
    write_atomically(folder / CONFIG, text.encode())


def is_checkpoint(folder: Path) -> bool:
    """Whether a folder is one of ours, though it may be damaged; its config.json, or lack of one, may be another's."""
    try:
        found = json.loads((folder / CONFIG).read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError):
        return (folder / GENERATOR).is_file()
    return isinstance(found, dict) and "format_version" in found


def read_config(folder: Path) -> CheckpointConfig:
    """Read and check ``config.json``.

    Raises:
        UserError: no such folder or file, not JSON, made by another version, or with faults.
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
    return config.parse(CheckpointConfig, upgrade(data), str(path))


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
    """The generator of ``contents`` with the weights ``tensors``, ready to play; ``path`` is where both come from.

    Raises:
        UserError: as ``check_tensors``; or no such generator can be built or do its task.
    """
    task, generator = contents.task, contents.generator
    try:
        problem = generator.check(task)
        if problem is None:  # shapes alone: settings that promise more than the file holds must not fill memory
            with torch.device("meta"):
                shapes = fold_weight_norm(generator.build(task))
    except (RuntimeError, ValueError, TypeError, ArithmeticError, MemoryError) as error:
        problem = f"no generator can be built of its settings ({errors.one_line(error)})"
    if problem:
        raise UserError(f"{path}: {problem}.")
    check_tensors(shapes, tensors, path)
    built = fold_weight_norm(generator.build(task)).eval().requires_grad_(False)
    built.load_state_dict(tensors)
    return built


def save_trainer(folder: Path, state: dict[str, Any]) -> None:
    """Write ``trainer.pt``: everything that resuming needs, in one file, so that it is never half old, half new."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    with replacing(folder / TRAINER) as partial:
        write_durably(partial, buffer.getbuffer())
        if (folder / TRAINER).exists():
            os.replace(folder / TRAINER, folder / PREVIOUS)


def has_trainer(folder: Path) -> bool:
    """Whether a run can be resumed."""
    return any((folder / name).is_file() for name in (TRAINER, PREVIOUS))


def load_trainer(folder: Path) -> dict[str, Any]:
    """Read ``trainer.pt`` without running any code from it; where it is damaged, the one before it, and says so.

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
        print(f"{error} Going on from the one before, step {state.get('step')}.", file=sys.stderr)
        return state


def _load_trainer(path: Path) -> dict[str, Any]:
    state = load_safely(path, "is damaged or cut short")
    if not isinstance(state, dict):
        raise UserError(f"{path} is damaged: it holds a {type(state).__name__}, not the state of a training.")
    return state
