"""Other projects' checkpoints in and out. The table below is the registry: a new format is one file and one line here.

The contract of a format's module: ``recognises(source) -> bool``, from what the files hold, not from their names; and
``read(source) -> Imported``. Sizes are derived from the tensors and must agree with the settings.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from wavegan import checkpoint
from wavegan.checkpoint import CheckpointConfig
from wavegan.errors import UserError
from wavegan.interop import bigvgan, coqui, hifigan, nemo, parallel_wavegan, speechbrain, speecht5, vocos
from wavegan.interop.hifigan_export import export_hifigan
from wavegan.interop.source import Imported, Source
from wavegan.layers import fold_weight_norm

# The first that recognises a source reads it: Coqui's and HiFi-GAN's own weights have the same names.
FORMATS = {
    "bigvgan": bigvgan,
    "vocos": vocos,
    "nemo": nemo,
    "speechbrain": speechbrain,
    "speecht5": speecht5,
    "parallel_wavegan": parallel_wavegan,
    "coqui": coqui,
    "hifigan": hifigan,
}

__all__ = ["FORMATS", "Imported", "export_hifigan", "import_checkpoint", "load_foreign", "read_foreign"]


def read_foreign(path: Path | str, format: str = "auto") -> Imported:
    """Read a folder, a weights file beside its settings, or an archive of another project.

    Raises:
        UserError: not recognised, incomplete, unsafe to load, contradicting itself, or beyond what we can express.
    """
    if format != "auto" and format not in FORMATS:
        raise UserError(f"No such format: '{format}'. There are: auto, {', '.join(FORMATS)}.")
    source = Source(path)
    if "format_version" in source.settings and "wavegan_version" in source.settings:
        raise UserError(f"{path} is a checkpoint of wavegan already: use it as it is.")
    if format != "auto":
        return FORMATS[format].read(source)
    for module in FORMATS.values():
        if module.recognises(source):
            return module.read(source)
    some = ", ".join(sorted(source.tensors)[:3])
    raise UserError(f"{path} is of none of the formats {', '.join(FORMATS)}: it has tensors such as {some}.")


def load_foreign(path: Path | str, format: str = "auto") -> tuple[nn.Module, CheckpointConfig]:
    """A foreign generator, ready to play, and what its ``config.json`` would hold: as ``checkpoint.load_generator``.

    Raises:
        UserError: as ``read_foreign``.
    """
    return _build(read_foreign(path, format), Path(path))


def import_checkpoint(path: Path | str, output: Path, format: str = "auto") -> str:
    """Turn another project's generator into a checkpoint folder; returns what to know of it, or "".

    Raises:
        UserError: as ``read_foreign``; nothing is written then.
    """
    imported = read_foreign(path, format)
    checkpoint.save_generator(output, *_build(imported, Path(path)))
    return imported.note


def _build(imported: Imported, path: Path) -> tuple[nn.Module, CheckpointConfig]:
    task, config = imported.task, imported.generator
    if problem := config.check(task):
        raise UserError(f"{path}: {problem}.")
    with torch.device("meta"):  # shapes alone: settings that promise more than the file holds must not fill memory
        checkpoint.check_tensors(fold_weight_norm(config.build(task)), imported.tensors, path)
    generator = fold_weight_norm(config.build(task)).eval().requires_grad_(False)
    checkpoint.load_tensors(generator, imported.tensors, path)
    return generator, CheckpointConfig.of_today(step=0, name=imported.name, task=task, generator=config)
