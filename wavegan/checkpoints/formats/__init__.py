"""Checkpoints of other projects; a new format is one file and one line here.

The contract of a format's module: ``recognises(source) -> bool``, by the contents of the files, not by their names;
and ``read(source) -> Imported``. Sizes are derived from the tensors and must agree with the settings.
"""

from __future__ import annotations

from pathlib import Path

from torch import nn

from wavegan.checkpoints import native
from wavegan.checkpoints.formats import bigvgan, coqui, hifigan, nemo, parallel_wavegan, speechbrain, speecht5, vocos
from wavegan.checkpoints.formats.source import Imported, Source
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError
from wavegan.core.progress import remark

# The first that recognises a source reads it: Coqui's weights have the same names as HiFi-GAN's.
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


def read_foreign(path: Path | str, format: str = "auto", name: str = "") -> Imported:
    """Read a folder, a weights file beside its settings, or an archive; ``name`` defaults to that of file or folder.

    Raises:
        UserError: not recognised, incomplete, unsafe to load, inconsistent, or not supported.
    """
    if format != "auto" and format not in FORMATS:
        raise UserError(f"No such format: '{format}'. There are: auto, {', '.join(FORMATS)}.")
    source = Source(path, name)
    if "format_version" in source.settings and "wavegan_version" in source.settings:
        raise UserError(f"{path} is already a checkpoint of wavegan: use it without importing it.")
    fitting = (module for module in FORMATS.values() if module.recognises(source))
    module = FORMATS[format] if format != "auto" else next(fitting, None)
    if module is None:
        some = ", ".join(sorted(source.tensors)[:3])
        raise UserError(f"{path} has none of the formats {', '.join(FORMATS)}: it has tensors such as {some}.")
    imported = module.read(source)
    return imported._replace(note=f"{source.note}{imported.note}".strip())


def load_foreign(path: Path | str, format: str = "auto", name: str = "") -> tuple[nn.Module, CheckpointConfig]:
    """Load a foreign generator for inference, and the contents of its ``config.json``; prints notes for the user.

    Raises:
        UserError: as ``read_foreign``.
    """
    imported = read_foreign(path, format, name)
    loaded = _build(imported, Path(path))
    if imported.note:
        remark(f"{path}: {imported.note}")
    return loaded


def import_checkpoint(path: Path | str, output: Path, format: str = "auto") -> str:
    """Convert another project's generator to a checkpoint folder; returns notes for the user, or "".

    Raises:
        UserError: as ``read_foreign``, or ``output`` holds another project's files; nothing is written then.
    """
    foreign = (output / native.CONFIG).exists() and not native.is_checkpoint(output)
    if foreign or output.resolve() == Path(path).resolve():
        raise UserError(f"{output} holds another project's files. Give another folder to write to.")
    imported = read_foreign(path, format)
    native.save_generator(output, *_build(imported, Path(path)))
    return imported.note


def _build(imported: Imported, path: Path) -> tuple[nn.Module, CheckpointConfig]:
    contents = CheckpointConfig.of_today(step=0, name=imported.name, task=imported.task, generator=imported.generator)
    return native.build_generator(contents, imported.tensors, path), contents
