"""Our HiFi-GAN checkpoints out, in the layout of jik876/hifi-gan: config.json and g_*, which its code loads."""

from __future__ import annotations

import io
import json
from pathlib import Path

import torch
from torch import Tensor

from wavegan.audio import mel_conventions
from wavegan.audio.log_mel import LogMelConfig
from wavegan.checkpoints import native
from wavegan.checkpoints.formats.hifigan import flatten
from wavegan.checkpoints.formats.weights import norms
from wavegan.core.errors import UserError
from wavegan.core.files import write_atomically
from wavegan.models.generators import GeneratorConfig

# What its training reads, at the published values (config_v1.json).
TRAINING = {
    "num_gpus": 0,
    "batch_size": 16,
    "learning_rate": 0.0002,
    "adam_b1": 0.8,
    "adam_b2": 0.99,
    "lr_decay": 0.999,
    "seed": 1234,
    "segment_size": 8192,
    "num_freq": 1025,
    "fmax_for_loss": None,
    "num_workers": 4,
    "dist_config": {"dist_backend": "nccl", "dist_url": "tcp://localhost:54321", "world_size": 1},
}


def export_hifigan(folder: Path, output: Path) -> str:
    """Write ``config.json`` and ``g_{step}``, whose weights, imported again, are bit-identical; returns what to know.

    Raises:
        UserError: another generator, or one that the published code can't build or feed.
    """
    generator, contents = native.load_generator(folder)
    config, features = contents.generator, contents.task.features
    _check(folder, config, features)
    tensors = flatten(generator.state_dict(), len(config.resblock_kernel_sizes))
    buffer = io.BytesIO()
    torch.save({"generator": _with_weight_norm(tensors)}, buffer)
    settings = config.model_dump(exclude={"name", "causal"}) | {"resblock": str(config.resblock)}
    settings |= {"num_mels": features.n_mels, "n_fft": features.n_fft, "hop_size": features.hop_length}
    settings |= {"win_size": features.window_length, "sampling_rate": features.sample_rate}
    settings |= {"fmin": features.fmin, "fmax": features.fmax} | TRAINING
    output.mkdir(parents=True, exist_ok=True)
    path = output / f"g_{contents.step:08d}"
    write_atomically(path, buffer.getbuffer())
    write_atomically(output / "config.json", json.dumps(settings, indent=4).encode())
    note = "" if features.n_mels == 80 else f": HiFi-GAN's code has 80 bands built in; make them {features.n_mels}."
    return f"{path}{note}"


def _check(folder: Path, config: GeneratorConfig, features: LogMelConfig) -> None:
    if config.name != "hifigan":
        raise UserError(f"{folder} has a '{config.name}' generator; HiFi-GAN's layout is for 'hifigan'.")
    odd = [k for k, rate in zip(config.upsample_kernel_sizes, config.upsample_rates, strict=True) if (k - rate) % 2]
    if config.causal or odd:
        lacks = "causal convolutions" if config.causal else "an odd difference of upsample kernel and rate"
        raise UserError(f"{folder} has {lacks}, which the published code hasn't.")
    if difference := features.diff(_published(features)):
        shown = "; ".join(f"{name} {ours}, there {theirs}" for name, (ours, theirs) in difference.items())
        raise UserError(f"{folder} reads other mels than the published code makes: {shown}.")


def _published(features: LogMelConfig) -> LogMelConfig:
    """What the published code makes of the same sizes. Its epsilon lies below its floor: any as small is the same."""
    sizes = ("sample_rate", "n_fft", "hop_length", "win_length", "n_mels", "fmin", "fmax")
    epsilon = features.epsilon if features.epsilon <= 1e-9 else 1e-9
    return mel_conventions.named("hifigan", **{name: getattr(features, name) for name in sizes}, epsilon=epsilon)


def _with_weight_norm(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each weight as its own direction, and its norm. ``weights.fold`` gives the same bits again, PyTorch's own product
    the same to its rounding.
    """
    spelt = {}
    for name, tensor in tensors.items():
        if not name.endswith(".weight"):
            spelt[name] = tensor
            continue
        norm = norms(tensor)
        spelt[f"{name}_g"] = norm
        spelt[f"{name}_v"] = torch.where(norm > 0, tensor, 1.0)  # a row of zeros has no direction: any, times 0
    return spelt
