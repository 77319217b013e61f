"""Weights of other projects: loaded without running code, unwrapped, weight norm multiplied out."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor

from wavegan.core.errors import UserError, one_line

# Keys that published files keep weights under. Of an averaged and a raw copy, the averaged one is used.
AVERAGED = ("generator_ema", "model_ema")
WRAPPERS = (*AVERAGED, "generator", "state_dict", "model", "model_state_dict")
# Types that training scripts store beside the weights. A stand-in replaces them: none of their code runs.
INERT = ("numpy._core.multiarray.scalar", "numpy._core.multiarray._reconstruct", "numpy.ndarray", "numpy.dtype")
INERT += ("numpy.core.multiarray.scalar", "numpy.core.multiarray._reconstruct", "argparse.Namespace")
INERT += ("pathlib.PosixPath", "pathlib.WindowsPath", "pathlib._local.PosixPath", "pathlib._local.WindowsPath")
DIRECTIONS = {"weight_v": "weight_g", "parametrizations.weight.original1": "parametrizations.weight.original0"}


class _Inert:
    """Stand-in for an object other than weights."""

    def __init__(self, *arguments: object):
        pass

    def __setstate__(self, state: object) -> None:
        pass


def load(file: Path | bytes, label: str) -> Any:
    """The contents of a PyTorch or safetensors file, on the CPU; ``label`` names it in messages.

    Raises:
        UserError: damaged, with code in it, or with tensors larger than the file.
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
        with torch.serialization.safe_globals([(_Inert, name) for name in INERT]):
            state = torch.load(opened(), map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many types on damaged and unsafe files
        raise UserError(f"{label} is not a weights file that can be loaded safely ({_reason(error)}).") from None
    _refuse_inflated(state, size, label)
    return state


def _reason(error: Exception) -> str:
    """torch's message without its advice to load the file unsafely."""
    if match := re.search(r"GLOBAL ([\w.]+)", str(error)):
        return f"it holds a Python object, {match[1]}, besides tensors"
    message = str(error).partition("WeightsUnpickler error: ")[2].strip() or str(error)
    return one_line(ValueError(re.split(r"\x1b|\n", message)[0]))


def _refuse_inflated(state: Any, size: int, label: str) -> None:
    """Refuse tensors larger than the file (stride 0, or one storage many times): copies would fill memory."""
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


def unwrap(state: Any, label: str) -> tuple[dict[str, Tensor], str]:
    """The dictionary of tensors in ``state``, at the top or under a key of WRAPPERS; and the key of AVERAGED, or "".

    Prefixes added by DataParallel, torch.compile and AveragedModel are removed from the names.

    Raises:
        UserError: it has no tensors.
    """
    averaged = ""
    for _ in range(4):  # the deepest published is {"model": {"generator": ...}}
        keys = [key for key in WRAPPERS if isinstance(state, dict) and isinstance(state.get(key), dict)]
        state = state[keys[0]] if keys else state
        averaged = keys[0] if keys and keys[0] in AVERAGED else averaged
    tensors = {k: t for k, t in state.items() if isinstance(t, Tensor)} if isinstance(state, dict) else {}
    if not tensors or not all(isinstance(name, str) for name in tensors):
        raise UserError(f"{label} holds no generator's weights.")
    added = re.compile(r"^((module|_orig_mod)\.)+|(?<![^.])_orig_mod\.")
    tensors = {added.sub("", name): tensor for name, tensor in tensors.items()}
    tensors.pop("n_averaged", None)
    return tensors, averaged


def fold(tensors: dict[str, Tensor], label: str) -> dict[str, Tensor]:
    """Multiply weight norm out, under both kinds of names: w = g * v / |v|, the norm over all but the first dimension.

    Raises:
        UserError: half a pair; or spectral norm, where ``weight_v`` is a singular vector.
    """
    folded = {}
    for name, tensor in tensors.items():
        if name.endswith((".weight_orig", ".weight_u", ".parametrizations.weight.original")):
            raise UserError(f"{label}: {name} is part of spectral norm, as in discriminators. Give a generator.")
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
    # Where g is the norm of v, as in our exports, v is the weight: rounding must not change it.
    return v * torch.where((scale - 1).abs() < 1e-6, 1.0, scale)


def norms(v: Tensor) -> Tensor:
    """The norm over all but the first dimension, (N, 1, ...); float64 sums make it nearly machine-independent."""
    return v.double().flatten(1).norm(dim=1).float().view(-1, *[1] * (v.dim() - 1))


def renamed(tensors: dict[str, Tensor], patterns: dict[str, str]) -> dict[str, Tensor]:
    """Tensors by new names: each regular expression is replaced in turn."""
    for pattern, replacement in patterns.items():
        tensors = {re.sub(pattern, replacement, name): tensor for name, tensor in tensors.items()}
    return tensors


def numbered(names: Iterable[str], prefix: str) -> int:
    """Length of the list under ``prefix``: of the indices 0, 1, ... that follow it, up to the first gap."""
    indices = {name[len(prefix) :].split(".")[0] for name in names if name.startswith(prefix)}
    return next(i for i in range(len(indices) + 1) if str(i) not in indices)
