"""Export of HiFi-GAN checkpoints in the layout of jik876/hifi-gan: config.json and g_*, which its code loads."""

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

# Training settings, at the published values (config_v1.json).
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
    """Write ``config.json`` and ``g_{step}``; returns the path, with a note for the user.

    The weights, imported again, are bit-identical.

    Raises:
        UserError: another generator, or one that the published code can't build or whose mels it can't compute.
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
    note = "" if features.n_mels == 80 else f": HiFi-GAN's code hard-codes 80 bands; change them to {features.n_mels}."
    return f"{path}{note}"


def _check(folder: Path, config: GeneratorConfig, features: LogMelConfig) -> None:
    if config.name != "hifigan":
        raise UserError(f"{folder} has a '{config.name}' generator; HiFi-GAN's layout is only for 'hifigan'.")
    odd = [k for k, rate in zip(config.upsample_kernel_sizes, config.upsample_rates, strict=True) if (k - rate) % 2]
    if config.causal or odd:
        extra = "causal convolutions" if config.causal else "an odd difference of upsample kernel and rate"
        raise UserError(f"{folder} has {extra}, which the published code doesn't support.")
    if difference := features.diff(_published(features)):
        shown = "; ".join(f"{name} {ours}, there {theirs}" for name, (ours, theirs) in difference.items())
        raise UserError(f"{folder} reads other mels than the published code computes: {shown}.")


def _published(features: LogMelConfig) -> LogMelConfig:
    """The published convention in the same sizes. Its epsilon is below its floor: any smaller one is equivalent."""
    sizes = ("sample_rate", "n_fft", "hop_length", "win_length", "n_mels", "fmin", "fmax")
    epsilon = features.epsilon if features.epsilon <= 1e-9 else 1e-9
    return mel_conventions.named("hifigan", **{name: getattr(features, name) for name in sizes}, epsilon=epsilon)


def _with_weight_norm(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each weight as direction and norm; ``weights.fold`` restores it exactly, PyTorch's product up to rounding."""
    normed = {}
    for name, tensor in tensors.items():
        if not name.endswith(".weight"):
            normed[name] = tensor
            continue
        norm = norms(tensor)
        normed[f"{name}_g"] = norm
        normed[f"{name}_v"] = torch.where(norm > 0, tensor, 1.0)  # a row of zeros: any direction, times 0
    return normed
