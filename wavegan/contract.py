"""Mels never lie: what a mel is made with is compared, field by field, with what a model expects.

A mel file of ours (.npz) carries its contract; a bare array is checked by shape and by its values.
"""

from __future__ import annotations

import io
import json
import zipfile
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wavegan import config
from wavegan.dsp import LogMelConfig
from wavegan.errors import UserError
from wavegan.files import write_atomically

# What the field's packages write, as far as it shows in a contract (sample rate and sizes differ by model).
CONVENTIONS = {
    "hifigan": {"mel_scale": "slaney", "mel_norm": "slaney", "padding": "same", "log": "ln", "floor": 1e-5},
    "vocos": {"mel_scale": "htk", "mel_norm": "none", "padding": "center", "log": "ln", "floor": 1e-7},
    "parallel_wavegan": {
        "mel_scale": "slaney",
        "mel_norm": "slaney",
        "padding": "center",
        "log": "log10",
        "floor": 1e-10,
    },
}
SLACK = 1.0  # a mel that a network predicted, or stored as 16-bit floats, dips a little below the floor
# Where silence lies in a mel that some floor has clamped: the value gives the convention away.
FLOORS = {-11.5129: "natural log, floor 1e-5 (HiFi-GAN)", -16.1181: "natural log, floor 1e-7 (Vocos)"}
FLOORS |= {-10.0: "log10, floor 1e-10 (ParallelWaveGAN)", -5.0: "log10, floor 1e-5"}


def refuse_difference(model: LogMelConfig, mel: LogMelConfig) -> None:
    """Raise if a mel of contract ``mel`` isn't what a model of contract ``model`` reads.

    Raises:
        UserError: a table of the fields that differ and the convention that the mel looks like.
    """
    difference = model.diff(mel)
    if not difference:
        return
    rows = [f"  {name}: the model expects {ours}, this mel has {theirs}" for name, (ours, theirs) in difference.items()]
    like = [n for n, fields in CONVENTIONS.items() if all(getattr(mel, k) == v for k, v in fields.items())]
    hint = f" It looks like the convention of {like[0]}." if like else ""
    lines = [f"This mel does not fit the model.{hint}", *rows, "Make the mel with this model's LogMel."]
    raise UserError("\n".join(lines))


def check_mel(mel: Tensor, features: LogMelConfig, source: str = "the mel") -> Tensor:
    """``mel`` as float32 (B, M, F), after checks of shape, finiteness and value range.

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
    if not mel.is_floating_point():
        raise UserError(f"{source} holds integers; a log-mel is a floating-point array.")
    mel = mel.float()
    if not bool(torch.isfinite(mel).all()):
        raise UserError(f"{source} has values that are not finite (NaN or infinity).")
    if features.mean is None:
        _check_values(mel, features, source)
    return mel


def _check_values(mel: Tensor, features: LogMelConfig, source: str) -> None:
    """A bare array doesn't say its log base or floor, but its smallest value and its range often do."""
    floor, smallest, largest = features.log_floor, float(mel.min()), float(mel.max())
    expected = f"this model expects {features.log} with floor {features.floor:g}, so values from {floor:.4f} up"
    known = next((what for value, what in FLOORS.items() if abs(smallest - value) < 2e-3), None)
    clamped = float((mel <= smallest + 1e-4).float().mean()) > 1e-4 and (mel <= smallest + 1e-4).sum() >= 4
    if smallest < floor - SLACK:
        looks = known or "another floor, a normalised mel, or decibels"
        raise UserError(f"{source} goes down to {smallest:.4f}; {expected}. It looks like {looks}.")
    if known and clamped and abs(smallest - floor) > 1e-2:
        raise UserError(f"{source} is clamped at {smallest:.4f}; {expected}. It looks like {known}.")
    ceiling = 12.0 if features.log == "ln" else 5.0
    if largest > ceiling or smallest >= 0:
        raise UserError(
            f"{source} has values from {smallest:.4g} to {largest:.4g}; {expected}. It looks not logarithmic."
        )


def save_mel(path: Path, mel: Tensor, features: LogMelConfig) -> None:
    """Write a mel (M, F) and its contract as .npz, whole or not at all."""
    if path.suffix.lower() != ".npz":
        raise UserError(f"Cannot write {path}: a mel file ends in .npz.")
    if not path.parent.is_dir():
        raise UserError(f"Cannot write {path}: there is no folder {path.parent}. Make it first.")
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
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return torch.from_numpy(loaded), None
        mel, text = loaded["mel"], str(loaded["features"]) if "features" in loaded else None
        contract = config.parse(LogMelConfig, json.loads(text), f"{path}: features") if text else None
        return torch.from_numpy(mel), contract
    except (ValueError, KeyError, OSError, EOFError, TypeError, zipfile.BadZipFile, zlib.error) as error:
        raise UserError(f"{path} holds no mel that can be read ({error}).") from None
