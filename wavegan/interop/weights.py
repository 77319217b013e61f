"""Weights of other projects: loaded without running code, taken out of their wrappers, weight norm multiplied out."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from wavegan.errors import UserError

WRAPPERS = ("generator", "state_dict", "model", "model_state_dict")  # keys that published files put weights under
DIRECTIONS = {"weight_v": "weight_g", "parametrizations.weight.original1": "parametrizations.weight.original0"}


def load(file: Path | bytes, label: str) -> Any:
    """What a PyTorch or safetensors file holds, on the CPU; ``label`` names it in messages.

    Raises:
        UserError: damaged, with code in it, or claiming more than it holds.
    """

    def opened() -> Path | io.BytesIO:
        return io.BytesIO(file) if isinstance(file, bytes) else file

    size = len(file) if isinstance(file, bytes) else file.stat().st_size
    try:
        if label.endswith(".safetensors"):
            return safetensors.torch.load(file if isinstance(file, bytes) else file.read_bytes())
        if zipfile.is_zipfile(opened()):
            with zipfile.ZipFile(opened()) as records:
                if any(record.compress_type != zipfile.ZIP_STORED for record in records.infolist()):
                    raise ValueError("its records are compressed, which PyTorch doesn't do")
        state = torch.load(opened(), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds on a damaged or unsafe file; each means the same to the user
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise UserError(f"{label} is not a weights file that can be loaded safely ({reason}).") from None
    _refuse_inflated(state, size, label)
    return state


def _refuse_inflated(state: Any, size: int, label: str) -> None:
    """A few bytes can claim to be a tensor of any size (stride 0), or thousands of them: copies would fill memory."""
    claimed, stack, seen = 0, [state], set()
    while stack:
        item = stack.pop()
        if isinstance(item, Tensor):
            if item.device.type != "cpu" or item.layout != torch.strided or item.is_quantized or item.is_complex():
                raise UserError(f"{label} holds a tensor of another kind ({item.dtype}, {item.layout}, {item.device}).")
            claimed += item.numel() * item.element_size()
        elif isinstance(item, (dict, list, tuple)) and id(item) not in seen:
            seen.add(id(item))
            stack.extend(item.values() if isinstance(item, dict) else item)
        if claimed > size:
            raise UserError(f"{label} has {size} bytes, but its tensors would take more: it is damaged.")


def unwrap(state: Any, label: str) -> dict[str, Tensor]:
    """The dictionary of tensors inside ``state``: under "generator", "model", ..., or as it is.

    Raises:
        UserError: there is none.
    """
    for _ in WRAPPERS:  # {"model": {"generator": ...}} is published; nothing is deeper
        inner = [state[key] for key in WRAPPERS if isinstance(state, dict) and isinstance(state.get(key), dict)]
        state = inner[0] if inner else state
    tensors = {k: t for k, t in state.items() if isinstance(t, Tensor)} if isinstance(state, dict) else {}
    if not tensors or not all(isinstance(name, str) for name in tensors):
        raise UserError(f"{label} holds no generator's weights.")
    return {name.removeprefix("module."): tensor for name, tensor in tensors.items()}


def fold(tensors: dict[str, Tensor], label: str) -> dict[str, Tensor]:
    """Multiply weight norm out, in either spelling: w = g * v / |v|, the norm over all but the first dimension.

    Raises:
        UserError: half a pair; or spectral norm, whose ``weight_v`` is a singular vector.
    """
    folded = {}
    for name, tensor in tensors.items():
        if name.endswith((".weight_orig", ".weight_u", ".parametrizations.weight.original")):
            raise UserError(f"{label}: {name} is of spectral norm, which only discriminators have. Give a generator.")
        v = next((v for v in DIRECTIONS if name.endswith(f".{v}")), None)
        g = next((g for g in DIRECTIONS.values() if name.endswith(f".{g}")), None)
        if v is None and g is None:
            folded[name] = tensor.float()
        elif v is None:
            if not any(name.removesuffix(g) + v in tensors for v, norm in DIRECTIONS.items() if norm == g):
                raise UserError(f"{label} has {name} without its direction: it is incomplete.")
        elif (stem := name.removesuffix(v)) + "weight_orig" not in tensors:
            norm = tensors.get(stem + DIRECTIONS[v])
            if norm is None:
                raise UserError(f"{label} has {name} but not {stem}{DIRECTIONS[v]}: it is incomplete.")
            folded[f"{stem}weight"] = _product(norm, tensor.float(), name, label)
    return folded


def _product(g: Tensor, v: Tensor, name: str, label: str) -> Tensor:
    if v.dim() < 2 or g.numel() != v.shape[0]:
        raise UserError(f"{label}: {name} {tuple(v.shape)} and its norm {tuple(g.shape)} don't belong together.")
    norm = norms(v)
    scale = g.float().view(norm.shape) / norm
    # Where g is the norm of v, as in what we export, v is the weight: rounding must not move it.
    return v * torch.where((scale - 1).abs() < 1e-6, 1.0, scale)


def norms(v: Tensor) -> Tensor:
    """The norm over all but the first dimension, (N, 1, ...); summed in float64, it hardly depends on the machine."""
    return v.double().flatten(1).norm(dim=1).float().view(-1, *[1] * (v.dim() - 1))
