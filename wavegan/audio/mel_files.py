"""Mels never lie: what a mel is made with is compared, field by field, with what a model expects.

A mel file of ours (.npz) carries its contract; a bare array is checked by shape and by its values.
"""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wavegan.audio import mel_checks, mel_conventions
from wavegan.audio.log_mel import LogMelConfig
from wavegan.core import config, numpy_files
from wavegan.core.errors import UserError
from wavegan.core.files import check_target, write_atomically


def refuse_difference(model: LogMelConfig, mel: LogMelConfig) -> None:
    """Raise if a mel of contract ``mel`` isn't what a model of contract ``model`` reads.

    Raises:
        UserError: a table of the fields that differ, the convention that the mel looks like, and what to do.
    """
    difference = model.diff(mel)
    if not difference:
        return
    reasons = mel_conventions.obstacles(mel, model)
    rows = [
        f"  {name}: the model expects {_short(ours)}, this mel has {_short(theirs)}"
        + (f" ({reasons[name]})" if name in reasons else "")
        for name, (ours, theirs) in difference.items()
    ]
    like = mel_conventions.looks_like(mel)
    hint = f" It looks like the convention of {like}." if like else ""
    advice = "." if reasons else ", or have it converted: convert=True, on the command line --convert."
    lines = [f"This mel does not fit the model.{hint}", *rows, f"Make the mel with this model's LogMel{advice}"]
    raise UserError("\n".join(lines))


def check_mel(mel: Tensor, features: LogMelConfig, source: str = "the mel", known: bool = False) -> Tensor:
    """``mel`` as float32 (B, M, F), after checks of shape, finiteness and values.

    ``known``: the mel says that it has this contract, so that its values only have to lie within its range; of
    others, the statistics are looked at too.

    Raises:
        UserError: says which, and what it looks like.
    """
    mel = mel.unsqueeze(0) if mel.dim() == 2 else mel
    if mel.dim() != 3:
        raise UserError(f"{source} should be (bands, frames) or (batch, bands, frames), got shape {tuple(mel.shape)}.")
    bands, frames = mel.shape[1:]
    if bands != features.n_mels:
        if frames == features.n_mels:
            raise UserError(f"{source} looks transposed: {bands} x {frames}, expected {features.n_mels} bands first.")
        raise UserError(f"{source} has {bands} bands, this model expects n_mels = {features.n_mels}.")
    if frames == 0 or mel.shape[0] == 0:
        raise UserError(f"{source} has no frames.")
    if mel.is_complex() or not mel.is_floating_point():
        kind = "complex numbers" if mel.is_complex() else "integers"
        raise UserError(f"{source} holds {kind}; a log-mel is a floating-point array.")
    mel = mel.float()
    if not bool(torch.isfinite(mel).all()):
        raise UserError(f"{source} has values that are not finite (NaN or infinity).")
    if complaint := mel_checks.complaint(mel, features, known):
        raise UserError(f"{source} {complaint}")
    return mel


def save_mel(path: Path, mel: Tensor, features: LogMelConfig) -> None:
    """Write a mel (M, F) and its contract as .npz, whole or not at all."""
    check_target(path, ".npz")
    buffer = io.BytesIO()
    np.savez(buffer, mel=np.asarray(mel, np.float32), features=json.dumps(features.model_dump(exclude_none=True)))
    write_atomically(path, buffer.getbuffer())


def load_mel(path: Path) -> tuple[Tensor, LogMelConfig | None]:
    """Read a mel and, from an .npz of ours, its contract; a bare .npy has none.

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
        raise UserError(f"{path} holds no mel that can be read ({error}).") from None


def as_tensor(array: object, source: str) -> Tensor:
    """A copy of an array of numbers of any library, as a plain tensor on the CPU; floats as float32.

    Raises:
        UserError: not an array of numbers.
    """
    if isinstance(array, Tensor):
        if array.layout != torch.strided or array.is_meta or array.is_quantized:
            raise UserError(f"{source} should be a dense array of numbers, got a {array.layout} tensor.")
        dtype = torch.float32 if array.is_floating_point() else array.dtype
        return array.detach().to("cpu", dtype, copy=True)
    try:
        found = np.asarray(array)
    except (ValueError, TypeError, RuntimeError):  # lists of lists of different lengths, other objects
        found = np.empty(0, object)
    if found.dtype.kind not in "biufc":
        raise UserError(f"{source} should be an array of numbers, got {type(array).__name__} of {found.dtype}.")
    with np.errstate(over="ignore"):  # too large for float32 becomes infinite, which is refused by that name
        kind = {"f": np.float32, "c": np.complex64, "u": np.int64, "i": np.int64, "b": np.bool_}[found.dtype.kind]
        return torch.from_numpy(np.array(found, kind))


def _short(value: object) -> object:
    return f"{len(value)} values" if isinstance(value, list) else value
