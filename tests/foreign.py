"""Other projects' checkpoints, made up from their lists of names and shapes, and what their networks compute.

The references are written from the papers' and packages' descriptions, on the raw dictionaries, in float64: plain
convolutions, no module of ours.
"""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

SPELLINGS = ("weight_g", "parametrizations", "fused")
MEL = {"sampling_rate": 16000, "n_fft": 64, "hop_size": 16, "win_size": 64, "num_mels": 10, "fmin": 0, "fmax": 8000}
V1 = {
    "resblock": "1",
    "upsample_rates": [4, 4],
    "upsample_kernel_sizes": [8, 8],
    "upsample_initial_channel": 16,
    "resblock_kernel_sizes": [3, 5],
    "resblock_dilation_sizes": [[1, 3, 5], [1, 2, 3]],
}
V3 = V1 | {"resblock": "2", "resblock_dilation_sizes": [[1, 2], [2, 6]]}


def draw(*size: int, scale: float | None = None, random: np.random.Generator) -> Tensor:
    """Normal numbers that keep a convolution's variance, so that nothing shrinks to zero."""
    scale = (size[1] * size[-1]) ** -0.5 if scale is None else scale
    return torch.from_numpy(random.standard_normal(size) * scale).float()


def hifigan(settings: dict[str, Any], num_mels: int = MEL["num_mels"], ups: str = "ups.{}") -> dict[str, Tensor]:
    """Weights and biases by the published names, not normalised."""
    random, state, channels = np.random.default_rng(0), {}, settings["upsample_initial_channel"]

    def add(name: str, c_out: int, c_in: int, kernel: int, transposed: bool = False) -> None:
        size = (c_in, c_out) if transposed else (c_out, c_in)
        state[f"{name}.weight"] = draw(*size, kernel, random=random)
        state[f"{name}.bias"] = draw(c_out, scale=0.1, random=random)

    add("conv_pre", channels, num_mels, 7)
    block = 0
    for i, kernel in enumerate(settings["upsample_kernel_sizes"]):
        add(ups.format(i), channels // 2, channels, kernel, transposed=True)
        channels //= 2
        for size, dilations in zip(settings["resblock_kernel_sizes"], settings["resblock_dilation_sizes"], strict=True):
            lists = ("convs1", "convs2") if settings["resblock"] == "1" else ("convs",)
            for part in lists:
                for j in range(len(dilations)):
                    add(f"resblocks.{block}.{part}.{j}", channels, channels, size)
            block += 1
    add("conv_post", 1, channels, 7)
    return state


def bigvgan(settings: dict[str, Any]) -> dict[str, Tensor]:
    """HiFi-GAN's, its upsampling nested, with activations and their stored filters."""
    random = np.random.default_rng(1)
    state = hifigan(settings, ups="ups.{}.0")
    state = {name: 0.7 * tensor if name.endswith(".weight") else tensor for name, tensor in state.items()}
    if not settings.get("use_bias_at_final", True):
        del state["conv_post.bias"]
    per_conv = 2 if settings["resblock"] == "1" else 1
    places, channels, block = [], settings["upsample_initial_channel"], 0
    for _ in settings["upsample_rates"]:
        channels //= 2
        for dilations in settings["resblock_dilation_sizes"]:
            places += [(f"resblocks.{block}.activations.{j}", channels) for j in range(per_conv * len(dilations))]
            block += 1
    for place, width in [*places, ("activation_post", channels)]:
        for name in ("alpha", "beta") if settings["activation"] == "snakebeta" else ("alpha",):
            values = draw(width, scale=0.3, random=random)
            state[f"{place}.act.{name}"] = values if settings["snake_logscale"] else 1 + values
        state[f"{place}.upsample.filter"] = kaiser_sinc()[None, None].float()
        state[f"{place}.downsample.lowpass.filter"] = kaiser_sinc()[None, None].float()
    return state


def kaiser_sinc() -> Tensor:
    """12 taps, cut-off a quarter of the rate, Kaiser's beta for an attenuation of 51.02; from NumPy's window."""
    taps = np.kaiser(12, 0.1102 * (2.285 * 5 * np.pi * 1.2 + 7.95 - 8.7)) * np.sinc((np.arange(12) - 5.5) / 2)
    return torch.from_numpy(taps / taps.sum())


def spell(state: dict[str, Tensor], spelling: str) -> dict[str, Tensor]:
    """Split every convolution's weight into a norm and a direction of another length."""
    if spelling == "fused":
        return dict(state)
    random, spelt = np.random.default_rng(2), {}
    names = ("_g", "_v") if spelling == "weight_g" else (None, None)
    for name, tensor in state.items():
        if not name.endswith(".weight"):
            spelt[name] = tensor
            continue
        stem = name.removesuffix("weight")
        g, v = (
            (f"{name}{part}" for part in names)
            if names[0]
            else (f"{stem}parametrizations.weight.original{i}" for i in (0, 1))
        )
        rows = (-1,) + (1,) * (tensor.dim() - 1)
        spelt[g] = tensor.double().flatten(1).norm(dim=1).view(rows).float()
        spelt[v] = tensor * torch.from_numpy(random.uniform(0.5, 2.0, len(tensor))).float().view(rows)
    return spelt


class Raw:
    """A raw dictionary in float64, weight norm multiplied out in whatever spelling."""

    def __init__(self, state: dict[str, Tensor]):
        self.state = {name: tensor.double() for name, tensor in state.items()}

    def weight(self, name: str) -> Tensor:
        pairs = [(f"{name}.weight_g", f"{name}.weight_v")]
        pairs += [tuple(f"{name}.parametrizations.weight.original{i}" for i in (0, 1))]
        for g, v in pairs:
            if v in self.state:
                norm = self.state[v].square().sum(dim=tuple(range(1, self.state[v].dim())), keepdim=True).sqrt()
                return self.state[g] * self.state[v] / norm
        return self.state[f"{name}.weight"]

    def conv(self, name: str, x: Tensor, dilation: int = 1, mode: str = "constant") -> Tensor:
        weight = self.weight(name)
        padding = (weight.shape[-1] - 1) * dilation // 2
        padded = F.pad(x, (padding, padding), mode=mode)
        return F.conv1d(padded, weight, self.state.get(f"{name}.bias"), dilation=dilation)

    def up(self, name: str, x: Tensor, rate: int) -> Tensor:
        weight = self.weight(name)
        padding = (weight.shape[-1] - rate) // 2
        return F.conv_transpose1d(x, weight, self.state[f"{name}.bias"], stride=rate, padding=padding)


def hifigan_forward(state: dict[str, Tensor], settings: dict[str, Any], mel: Tensor, mode: str = "constant") -> Tensor:
    raw, x = Raw(state), mel.double()
    x = raw.conv("conv_pre", x, mode=mode)
    block = 0
    for i, rate in enumerate(settings["upsample_rates"]):
        x = raw.up(f"ups.{i}", F.leaky_relu(x, 0.1), rate)
        outputs = []
        for dilations in settings["resblock_dilation_sizes"]:
            y = x
            for j, dilation in enumerate(dilations):
                name, h = f"resblocks.{block}.", F.leaky_relu(y, 0.1)
                if settings["resblock"] == "1":
                    h = F.leaky_relu(raw.conv(f"{name}convs1.{j}", h, dilation, mode), 0.1)
                    y = y + raw.conv(f"{name}convs2.{j}", h, mode=mode)
                else:
                    y = y + raw.conv(f"{name}convs.{j}", h, dilation, mode)
            outputs.append(y)
            block += 1
        x = sum(outputs) / len(outputs)
    return torch.tanh(raw.conv("conv_post", F.leaky_relu(x, 0.01), mode=mode))


def bigvgan_forward(state: dict[str, Tensor], settings: dict[str, Any], mel: Tensor) -> Tensor:
    raw, x = Raw(state), mel.double()

    def activate(name: str, x: Tensor) -> Tensor:
        width = x.shape[1]
        taps = raw.state[f"{name}.upsample.filter"].expand(width, 1, 12)
        x = 2 * F.conv_transpose1d(F.pad(x, (5, 5), mode="replicate"), taps, stride=2, groups=width)[..., 15:-15]
        alpha = raw.state[f"{name}.act.alpha"][:, None]
        beta = raw.state.get(f"{name}.act.beta", alpha.squeeze(1))[:, None]
        if settings["snake_logscale"]:
            alpha, beta = alpha.exp(), beta.exp()
        x = x + torch.sin(alpha * x) ** 2 / (beta + 1e-9)
        taps = raw.state[f"{name}.downsample.lowpass.filter"].expand(width, 1, 12)
        return F.conv1d(F.pad(x, (5, 6), mode="replicate"), taps, stride=2, groups=width)

    x = raw.conv("conv_pre", x)
    block = 0
    for i, rate in enumerate(settings["upsample_rates"]):
        x = raw.up(f"ups.{i}.0", x, rate)
        outputs = []
        for dilations in settings["resblock_dilation_sizes"]:
            y, name = x, f"resblocks.{block}."
            for j, dilation in enumerate(dilations):
                if settings["resblock"] == "1":
                    h = raw.conv(f"{name}convs1.{j}", activate(f"{name}activations.{2 * j}", y), dilation)
                    y = y + raw.conv(f"{name}convs2.{j}", activate(f"{name}activations.{2 * j + 1}", h))
                else:
                    y = y + raw.conv(f"{name}convs.{j}", activate(f"{name}activations.{j}", y), dilation)
            outputs.append(y)
            block += 1
        x = sum(outputs) / len(outputs)
    x = raw.conv("conv_post", activate("activation_post", x))
    return torch.tanh(x) if settings.get("use_tanh_at_final", True) else x.clamp(-1, 1)


def write_hifigan(folder: Path, state: dict[str, Tensor], settings: dict[str, Any], name: str = "g_00000001") -> Path:
    """A folder as HiFi-GAN and BigVGAN publish it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(MEL | settings))
    torch.save({"generator": state}, folder / name)
    return folder


def write_archive(path: Path, settings: dict[str, Any], state: dict[str, Tensor], mode: str = "w") -> Path:
    """A .nemo file."""
    buffer = io.BytesIO()
    torch.save(state, buffer)
    parts = {"./model_config.yaml": yaml.safe_dump(settings).encode(), "./model_weights.ckpt": buffer.getvalue()}
    with tarfile.open(path, mode) as archive:
        for name, data in parts.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def npy_header(shape: str) -> bytes:
    """An .npy file that claims numbers of a shape and holds 80 of them."""
    text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text + bytes(320)


# Each dialect of HiFi-GAN: its settings, for the network of ``settings`` and the mels of MEL, and its tensors.


def nemo_settings(settings: dict[str, Any]) -> dict[str, Any]:
    generator = {"_target_": "nemo.collections.tts.modules.hifigan_modules.Generator", **settings, "resblock": 1}
    preprocessor = {"_target_": "nemo.collections.asr.parts.preprocessing.features.FilterbankFeatures"}
    preprocessor |= {"nfilt": 10, "lowfreq": 0, "highfreq": 8000, "n_fft": 64, "n_window_size": 64, "pad_to": 0}
    preprocessor |= {"n_window_stride": 16, "sample_rate": 16000, "window": "hann", "normalize": None, "preemph": None}
    preprocessor |= {"log": True, "log_zero_guard_type": "clamp", "log_zero_guard_value": 1e-5, "mag_power": 1.0}
    preprocessor |= {"frame_splicing": 1, "exact_pad": True, "dither": 0.0, "use_grads": False}
    return {"preprocessor": preprocessor, "generator": generator, "target": "nemo.collections.tts.models.HifiGanModel"}


def speechbrain_settings(settings: dict[str, Any]) -> str:
    """HyperPyYAML, as its recipes write it."""
    lines = [f"{name}: {value}" for name, value in settings.items() if name not in ("resblock", "upsample_rates")]
    lines += [f"resblock_type: '{settings['resblock']}'", f"upsample_factors: {settings['upsample_rates']}"]
    lines += [
        "sample_rate: 16000",
        "hop_length: 16",
        "win_length: 64",
        "n_fft: 64",
        "n_mel_channels: !ref <in_channels>",
    ]
    lines += ["in_channels: 10", "mel_fmin: 0.0", "mel_fmax: 8000", "mel_normalized: False", "power: 1", "norm: slaney"]
    lines += ["mel_scale: slaney", "dynamic_range_compression: True", "inference_padding: 5"]
    lines += ["generator: !new:speechbrain.lobes.models.HifiGAN.HifiganGenerator", "  in_channels: !ref <in_channels>"]
    lines += ["  upsample_factors: !ref <upsample_factors>", "__set_seed: !apply:torch.manual_seed [!ref <seed>]"]
    return "\n".join(lines)


def coqui_settings(settings: dict[str, Any], **audio: Any) -> dict[str, Any]:
    params = {name: value for name, value in settings.items() if name not in ("resblock", "upsample_rates")}
    params |= {"upsample_factors": settings["upsample_rates"], "resblock_type": settings["resblock"]}
    usual = {"fft_size": 64, "win_length": 64, "hop_length": 16, "sample_rate": 16000, "num_mels": 10, "mel_fmin": 0.0}
    usual |= {"mel_fmax": 8000.0, "preemphasis": 0.0, "log_func": "np.log", "spec_gain": 1.0, "signal_norm": False}
    usual |= {"min_level_db": -100, "ref_level_db": 20, "symmetric_norm": True, "max_norm": 4.0, "clip_norm": True}
    usual |= {"stats_path": None}
    return {"generator_model": "hifigan_generator", "generator_model_params": params, "audio": usual | audio}


def speecht5_settings(settings: dict[str, Any]) -> dict[str, Any]:
    settings = {name: value for name, value in settings.items() if name != "resblock"}
    settings |= {"model_type": "hifigan", "architectures": ["SpeechT5HifiGan"], "leaky_relu_slope": 0.1}
    return settings | {"model_in_dim": 10, "sampling_rate": 16000, "normalize_before": True}
