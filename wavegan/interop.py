"""Other projects' checkpoints in: published HiFi-GAN generators (the layout of jik876/hifi-gan)."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from torch import Tensor

from wavegan import checkpoint, config
from wavegan.dsp import LogMelConfig
from wavegan.errors import UserError
from wavegan.generators import HiFiGANConfig
from wavegan.layers import fold_weight_norm
from wavegan.tasks import VocoderConfig


def import_hifigan(source: Path, output: Path, weights: Path | None = None) -> None:
    """Turn ``config.json`` and a generator file in ``source`` into a checkpoint folder.

    ``weights`` names the generator file; by default it is the one file of ``source`` whose name begins with
    ``generator`` or ``g_``.

    Raises:
        UserError: files missing or ambiguous, unsafe to load, or weights that don't fit the configuration.
    """
    settings = _read_settings(source / "config.json")
    weights = weights or _find_weights(source)
    features = config.parse(LogMelConfig, hifigan_features(settings), f"{source}/config.json")
    keys = ("upsample_rates", "upsample_kernel_sizes", "upsample_initial_channel")
    keys += ("resblock_kernel_sizes", "resblock_dilation_sizes")
    fields = {key: settings[key] for key in keys if key in settings} | {
        "resblock": {"1": 1, "2": 2}.get(block := settings.get("resblock", 1), block)
    }
    generator_config = config.parse(HiFiGANConfig, fields, f"{source}/config.json")
    task = VocoderConfig(features=features)
    if problem := generator_config.check(task):
        raise UserError(f"{source}/config.json: {problem}.")
    generator = fold_weight_norm(generator_config.build(task))
    tensors = rename(fold_tensors(_load(weights)), len(generator_config.resblock_kernel_sizes))
    checkpoint.load_tensors(generator, tensors, weights)
    contents = checkpoint.CheckpointConfig.of_today(step=0, name=weights.name, task=task, generator=generator_config)
    checkpoint.save_generator(output, generator, contents)


def hifigan_features(settings: dict[str, Any]) -> dict[str, Any]:
    """The feature contract of HiFi-GAN's ``mel_spectrogram`` (published code, meldataset.py)."""
    names = {"sample_rate": "sampling_rate", "n_fft": "n_fft", "hop_length": "hop_size", "win_length": "win_size"}
    names |= {"n_mels": "num_mels", "fmin": "fmin", "fmax": "fmax"}
    missing = [theirs for theirs in names.values() if theirs not in settings and theirs != "fmax"]
    if missing:
        raise UserError(f"This config.json lacks {', '.join(missing)}: it is not a HiFi-GAN configuration.")
    found = {ours: settings.get(theirs) for ours, theirs in names.items()}
    return found | {"padding": "same", "log": "ln", "floor": 1e-5, "epsilon": 1e-9}


def fold_tensors(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Multiply weight norm out, in either spelling: w = g * v / |v|, the norm over all but the first dimension."""
    folded = {}
    spellings = {"weight_v": "weight_g", "parametrizations.weight.original1": "parametrizations.weight.original0"}
    for name, tensor in tensors.items():
        v = next((v for v in spellings if name.endswith(f".{v}")), None)
        if v is None:
            if not any(name.endswith(f".{g}") for g in spellings.values()):
                folded[name] = tensor
            continue
        stem = name.removesuffix(v)
        g = tensors.get(stem + spellings[v])
        if g is None:
            raise UserError(f"The weights hold {name} but not {stem}{spellings[v]}: not a weight-normed generator.")
        norm = tensor.flatten(1).norm(dim=1).view(-1, *[1] * (tensor.dim() - 1))
        folded[f"{stem}weight"] = g.view_as(norm) * tensor / norm
    return folded


def rename(tensors: dict[str, Tensor], num_kernels: int) -> dict[str, Tensor]:
    """HiFi-GAN numbers its residual blocks through all stages; ours are nested: stage, then kernel."""

    def nested(match: re.Match) -> str:
        stage, kernel = divmod(int(match[1]), num_kernels)
        return f"resblocks.{stage}.{kernel}."

    return {re.sub(r"^resblocks\.(\d+)\.", nested, name): tensor for name, tensor in tensors.items()}


def _read_settings(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise UserError(f"{path.parent} has no config.json. Give the folder with config.json and the generator file.")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is not JSON ({error}).") from None
    if not isinstance(settings, dict):
        raise UserError(f"{path} should hold a mapping, found {type(settings).__name__}.")
    return settings


def _find_weights(folder: Path) -> Path:
    found = sorted(p for p in folder.iterdir() if p.name.startswith(("generator", "g_")) and p.is_file())
    if len(found) != 1:
        names = ", ".join(p.name for p in found) or "none"
        raise UserError(f"{folder} should hold one file generator* or g_*, found {names}.")
    return found[0]


def _load(path: Path) -> dict[str, Tensor]:
    data = checkpoint.load_safely(path, "is not a weights file that can be loaded safely")
    tensors = data.get("generator", data) if isinstance(data, dict) else None
    if not isinstance(tensors, dict) or not all(isinstance(t, Tensor) for t in tensors.values()):
        raise UserError(f"{path} holds no generator weights.")
    return {name.removeprefix("module."): tensor.float() for name, tensor in tensors.items()}
