"""A corpus's 16-bit samples in one file that is mapped into memory, not read: training begins at once, a corpus may be
larger than memory, and all processes of a machine share it.

The file is an ordinary .npy beside its manifest, in whose order the recordings follow each other. Its name says which
manifest: of another one, it isn't found.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wavegan import audio
from wavegan.core.errors import UserError
from wavegan.core.files import digest, replacing
from wavegan.core.progress import Bar
from wavegan.data import manifest

KEY_LENGTH = 12


def to_samples(waveform: Tensor) -> Tensor:
    """What a 16-bit file holds of a waveform that was read from it, (T,) int16."""
    return (waveform * 32768).round().clamp(-32768, 32767).to(torch.int16)


def place(path: Path) -> Path:
    """Where the samples of a manifest lie."""
    return path.with_name(f"{path.stem}-{digest(path)[:KEY_LENGTH]}.npy")


def write(path: Path) -> Path:
    """Write the samples of a manifest, whole or not at all, unless they are there.

    Raises:
        UserError: no room on the disk, or a recording that isn't what the manifest says.
    """
    target, utterances = place(path), manifest.read(path)
    remove(path, but=target)
    if target.is_file() and all(u.path.stat().st_ctime_ns < target.stat().st_mtime_ns for u in utterances):
        return target
    total = sum(utterance.num_samples for utterance in utterances)
    if 2 * total > (free := shutil.disk_usage(path.parent).free):
        raise UserError(f"{target} needs {2 * total / 1e9:.3g} GB, {free / 1e9:.3g} GB are free. Leave out --memmap.")
    bar = Bar(f"Writing {target.name}", len(utterances))
    with replacing(target) as partial, partial.open("wb") as file, bar:
        header = {"descr": "<i2", "fortran_order": False, "shape": (total,)}
        np.lib.format.write_array_header_1_0(file, header)
        for number, utterance in enumerate(utterances, start=1):
            samples = to_samples(audio.read(utterance.path)[0])
            if len(samples) != utterance.num_samples:
                raise UserError(f"{utterance.path} isn't as long as {path} says. Prepare the corpus again.")
            file.write(samples.numpy().astype("<i2").tobytes())
            bar.update(number)
        file.flush()
        os.fsync(file.fileno())
    return target


def remove(path: Path, but: Path | None = None) -> None:
    """Remove the samples of a manifest and of those before it, and what a kill left of them."""
    name = f"{path.stem}-{'?' * KEY_LENGTH}.npy"
    for found in [*path.parent.glob(name), *path.parent.glob(f".{name}.*.partial")]:
        if found != but:
            found.unlink()


def find(path: Path) -> Tensor | None:
    """All samples of a manifest, one recording after the other, (T,) int16, mapped; None where there is no file."""
    target = place(path)
    return torch.from_numpy(np.load(target, mmap_mode="c")) if target.is_file() else None
