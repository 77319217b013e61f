"""Checks of arguments and models, shared by the players; each raises a UserError with the expected values."""

from __future__ import annotations

import numbers

import torch

from wavegan import audio
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError, one_line


def refuse_first_stage(contents: CheckpointConfig) -> None:
    """Raise a UserError if the model makes mels instead of waveforms."""
    if contents.task.makes != "waveform":
        raise UserError(f"'{contents.name}' makes mels only: a first stage. Train the recipe's last stage.")


def check_device(device: str | torch.device) -> torch.device:
    """Return a device on which tensors can be made."""
    try:
        torch.empty(1, device=device).cpu()
        return torch.device(device)
    except Exception as error:  # no such name, no driver, not compiled for it: each has its own type
        known = "cpu, or an accelerator that this machine has, such as cuda, cuda:1 or mps"
        raise UserError(f"device should be {known}; got '{device}' ({one_line(error).rstrip('.')}).") from None


def check_count(name: str, count: object) -> int:
    if not is_whole(count) or count < 1:
        raise UserError(f"{name} should be a whole number from 1 up, got {count!r}.")
    return int(count)


def check_seed(seed: object) -> int:
    """Return a seed of 32 bits: PyTorch accepts longer ones, but ignores their other bits."""
    if not is_whole(seed) or not 0 <= seed < 2**32:
        raise UserError(f"seed should be a whole number from 0 up to 2 ** 32 - 1, got {seed!r}.")
    return int(seed)


def check_range(name: str, value: object, upper: float, unit: str = "") -> None:
    if not _is_real(value) or not 0 <= value <= upper:
        raise UserError(f"{name} should be between 0 and {upper}{unit}, got {value!r}.")


def check_names(name: str, values: object) -> list[str]:
    try:
        if not isinstance(values, (str, bytes)):
            return [str(value) for value in values]
    except TypeError:
        pass
    raise UserError(f"{name} should be a list of names, got {values!r}.")


def check_rate(rate: object) -> int:
    low, high = audio.MIN_RATE, audio.MAX_RATE
    if not _is_real(rate) or not low <= rate <= high or rate != int(rate):
        raise UserError(f"sample_rate should be a whole number of Hz from {low} to {high}, got {rate!r}.")
    return int(rate)


def is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _is_real(value: object) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool)
