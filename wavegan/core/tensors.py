"""Tensors from untrusted files: loaded without running code, checked against a module."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from wavegan.core.errors import UserError, one_line


def load_tensors(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Load ``tensors`` into ``module`` after ``check_tensors``; ``path`` names their file in messages."""
    check_tensors(module, tensors, path)
    module.load_state_dict(tensors)


def check_tensors(module: nn.Module, tensors: dict[str, Tensor], path: Path) -> None:
    """Check that ``tensors`` fit ``module``, which may be on the device "meta", and are finite.

    Raises:
        UserError: names or shapes differ, or weights are not finite; lists the first few.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    given = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    faults = [f"missing {name}" for name in expected.keys() - given.keys()]
    faults += [f"unexpected {name}" for name in given.keys() - expected.keys()]
    both = expected.keys() & given.keys()
    faults += [f"{n} is {given[n]}, expected {expected[n]}" for n in both if given[n] != expected[n]]
    if faults:
        more = f" and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise UserError(f"The weights in {path} do not fit their configuration: {'; '.join(sorted(faults)[:3])}{more}.")
    if bad := [name for name, tensor in tensors.items() if not bool(torch.isfinite(tensor).all())]:
        raise UserError(f"{path} has weights that are not finite: {bad[0]}. Use an earlier checkpoint.")


def load_safely(path: Path, complaint: str) -> Any:
    """Load a file of ``torch.save`` without running code from it; errors become "PATH COMPLAINT (reason)."."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types on damaged and unsafe files
        raise UserError(f"{path} {complaint} ({one_line(error)}).") from None
