"""Mels as files, .npz with the contract that they were made with or bare .npy, and as arrays of any library."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wavegan.audio.log_mel import LogMelConfig
from wavegan.core import config, numpy_files
from wavegan.core.errors import UserError
from wavegan.core.files import check_target, write_atomically


def save_mel(path: Path, mel: Tensor, features: LogMelConfig) -> None:
    """Write a mel (M, F) and its contract as .npz, atomically."""
    check_target(path, ".npz")
    buffer = io.BytesIO()
    np.savez(buffer, mel=np.asarray(mel, np.float32), features=json.dumps(features.model_dump(exclude_none=True)))
    write_atomically(path, buffer.getbuffer())


def load_mel(path: Path) -> tuple[Tensor, LogMelConfig | None]:
    """Read a mel and, from an .npz of ``save_mel``, its contract; a bare .npy has none.

    Raises:
        UserError: not an array file, or no mel in it.
    """
    if not path.is_file():
        raise UserError(f"No such file: {path}.")
    try:
        loaded = numpy_files.read(path)
        if isinstance(loaded, np.ndarray):
            return as_tensor(loaded, str(path)), None
        mel, text = loaded["mel"], str(loaded["features"]) if "features" in loaded else None
        contract = config.parse(LogMelConfig, json.loads(text), f"{path}: features") if text else None
        return as_tensor(mel, str(path)), contract
    except (ValueError, KeyError, OSError, RecursionError) as error:
        raise UserError(f"{path} has no mel that can be read ({error}).") from None


def as_tensor(array: object, source: str) -> Tensor:
    """Copy an array of numbers of any library to a plain tensor on the CPU; floats become float32.

    Raises:
        UserError: not an array of numbers.
    """
    if isinstance(array, Tensor):
        if array.layout != torch.strided or array.is_meta or array.is_quantized:
            raise UserError(f"{source} should be a dense array of numbers, got a {array.layout} tensor.")
        dtype = torch.float32 if array.is_floating_point() else array.dtype
        return array.detach().to("cpu", dtype, copy=True)
    try:
        values = np.asarray(array)
    except (ValueError, TypeError, RuntimeError):  # lists of different lengths, other objects
        values = np.empty(0, object)
    if values.dtype.kind not in "biufc":
        raise UserError(f"{source} should be an array of numbers, got {type(array).__name__} of {values.dtype}.")
    with np.errstate(over="ignore"):  # values too large for float32 become infinite, which ``check_mel`` reports
        kind = {"f": np.float32, "c": np.complex64, "u": np.int64, "i": np.int64, "b": np.bool_}[values.dtype.kind]
        return torch.from_numpy(np.array(values, kind))
