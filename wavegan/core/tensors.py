"""Tensors from files: read without running code, checked against a module, loaded strictly."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wavegan.core.errors import UserError


def load_tensors(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Strictly load ``tensors`` into ``module``; ``path`` is where they come from.

    Raises:
        UserError: as ``check_tensors``.
    """
    check_tensors(module, tensors, path)
    module.load_state_dict(tensors)


def check_tensors(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Whether ``tensors`` fit ``module``, which may live on the device "meta", and are finite.

    Raises:
        UserError: names or shapes that differ, the first few named; or weights that are not finite.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    found = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    faults = [f"missing {name}" for name in expected.keys() - found.keys()]
    faults += [f"unexpected {name}" for name in found.keys() - expected.keys()]
    both = expected.keys() & found.keys()
    faults += [f"{n} is {found[n]}, expected {expected[n]}" for n in both if found[n] != expected[n]]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UserError(f"The weights in {path} do not fit their configuration: {'; '.join(sorted(faults)[:3])}{more}.")
    if bad := [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]:
        raise UserError(f"{path} has weights that are not finite: {bad[0]}. Use an earlier checkpoint.")


def load_safely(path: Path, complaint: str) -> Any:
    """``torch.load`` that runs no code from the file.

    Raises:
        UserError: "PATH COMPLAINT (reason)."
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on a damaged or unsafe file; each means the same to the user
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"{path} {complaint} ({reason}).") from None
