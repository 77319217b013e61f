"""A corpus's 16-bit samples in one memory-mapped file: training starts at once, a corpus may be larger than memory, and
all processes of a machine share it.

The file is an .npy beside its manifest, with the recordings in the manifest's order. Its name has a digest of the
manifest, so that a changed manifest doesn't find it.
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
    """Convert a waveform read from a 16-bit file back to its samples, (T,) int16."""
    return (waveform * 32768).round().clamp(-32768, 32767).to(torch.int16)


def place(path: Path) -> Path:
    """Path of the samples of a manifest."""
    return path.with_name(f"{path.stem}-{digest(path)[:KEY_LENGTH]}.npy")


def write(path: Path) -> Path:
    """Write the samples of a manifest, atomically, unless they are up to date.

    Raises:
        UserError: not enough disk space, or a recording of another length than in the manifest.
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
                raise UserError(f"{utterance.path} has another length than in {path}. Prepare the corpus again.")
            file.write(samples.numpy().astype("<i2").tobytes())
            bar.update(number)
        file.flush()
        os.fsync(file.fileno())
    return target


def remove(path: Path, but: Path | None = None) -> None:
    """Remove the samples of a manifest, of its earlier versions, and of interrupted writes."""
    name = f"{path.stem}-{'?' * KEY_LENGTH}.npy"
    for file in [*path.parent.glob(name), *path.parent.glob(f".{name}.*.partial")]:
        if file != but:
            file.unlink()


def find(path: Path) -> Tensor | None:
    """Map the samples of a manifest, all recordings in order, (T,) int16; None if there is no file."""
    target = place(path)
    return torch.from_numpy(np.load(target, mmap_mode="c")) if target.is_file() else None
