"""Other projects' checkpoints in and out. The table below is the registry: a new format is one file and one line here.

The contract of a format's module: ``recognises(source) -> bool``, from what the files hold, not from their names; and
``read(source) -> Imported``. Sizes are derived from the tensors and must agree with the settings.
"""

from __future__ import annotations

import sys
from pathlib import Path

from torch import nn

from wavegan.checkpoints import native
from wavegan.checkpoints.formats import bigvgan, coqui, hifigan, nemo, parallel_wavegan, speechbrain, speecht5, vocos
from wavegan.checkpoints.formats.hifigan_export import export_hifigan
from wavegan.checkpoints.formats.source import Imported, Source
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError

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


def read_foreign(path: Path | str, format: str = "auto", name: str = "") -> Imported:
    """Read a folder, a weights file beside its settings, or an archive of another project; ``name`` is what to call it,
    by default as the file or folder.

    Raises:
        UserError: not recognised, incomplete, unsafe to load, contradicting itself, or beyond what we can express.
    """
    if format != "auto" and format not in FORMATS:
        raise UserError(f"No such format: '{format}'. There are: auto, {', '.join(FORMATS)}.")
    source = Source(path, name)
    if "format_version" in source.settings and "wavegan_version" in source.settings:
        raise UserError(f"{path} is a checkpoint of wavegan already: use it as it is.")
    fitting = (module for module in FORMATS.values() if module.recognises(source))
    module = FORMATS[format] if format != "auto" else next(fitting, None)
    if module is None:
        some = ", ".join(sorted(source.tensors)[:3])
        raise UserError(f"{path} is of none of the formats {', '.join(FORMATS)}: it has tensors such as {some}.")
    imported = module.read(source)
    return imported._replace(note=f"{source.note}{imported.note}".strip())


def load_foreign(path: Path | str, format: str = "auto", name: str = "") -> tuple[nn.Module, CheckpointConfig]:
    """A foreign generator, ready to play, and what its ``config.json`` would hold: as ``checkpoint.load_generator``.
    What to know of it is printed.

    Raises:
        UserError: as ``read_foreign``.
    """
    imported = read_foreign(path, format, name)
    loaded = _build(imported, Path(path))
    if imported.note:
        print(f"{path}: {imported.note}", file=sys.stderr)
    return loaded


def import_checkpoint(path: Path | str, output: Path, format: str = "auto") -> str:
    """Turn another project's generator into a checkpoint folder; returns what to know of it, or "".

    Raises:
        UserError: as ``read_foreign``, or ``output`` holds another project's settings; nothing is written then.
    """
    theirs = (output / native.CONFIG).exists() and not native.is_checkpoint(output)
    if theirs or output.resolve() == Path(path).resolve():
        raise UserError(f"{output} holds another project's files. Give another folder to write to.")
    imported = read_foreign(path, format)
    native.save_generator(output, *_build(imported, Path(path)))
    return imported.note


def _build(imported: Imported, path: Path) -> tuple[nn.Module, CheckpointConfig]:
    contents = CheckpointConfig.of_today(step=0, name=imported.name, task=imported.task, generator=imported.generator)
    return native.build_generator(contents, imported.tensors, path), contents
