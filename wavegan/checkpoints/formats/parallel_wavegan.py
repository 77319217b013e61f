"""The generators of ParallelWaveGAN (kan-bayashi): HiFi-GAN, MelGAN and multi-band MelGAN, Parallel WaveGAN.

A published model is checkpoint-*.pkl, config.yml, and stats.h5 or stats.npy with the mean and deviation of its mels.
"""

from __future__ import annotations

import io
import re
from typing import Annotated, Any, ClassVar

import numpy as np
import torch
from pydantic import BeforeValidator, Field
from torch import Tensor

from wavegan.audio.log_mel import LogMelConfig
from wavegan.checkpoints.formats.hifigan import HiFiGANSettings, assemble
from wavegan.checkpoints.formats.source import Bands, FFTSize, Imported, Settings, Size, Source
from wavegan.checkpoints.formats.weights import numbered, renamed
from wavegan.core import numpy_files
from wavegan.core.errors import UserError, one_line
from wavegan.models.generators import MelGANConfig, ParallelWaveGANConfig
from wavegan.tasks.vocoder import VocoderConfig

# Options that change the network, with the only supported value, which is the package's default.
ONLY = {"bias": True, "use_causal_conv": False}
ONLY_HIFIGAN = ONLY | {"out_channels": 1, "kernel_size": 7, "nonlinear_activation": "LeakyReLU"}
ONLY_HIFIGAN |= {"nonlinear_activation_params": {"negative_slope": 0.1}}
ONLY_MELGAN = ONLY | {"kernel_size": 7, "use_final_nonlinear_activation": True, "nonlinear_activation": "LeakyReLU"}
ONLY_MELGAN |= {"nonlinear_activation_params": {"negative_slope": 0.2}, "pad": "ReflectionPad1d", "pad_params": {}}
ONLY_WAVENET = ONLY | {"in_channels": 1, "out_channels": 1, "upsample_conditional_features": True}
ONLY_UPSAMPLING = {"nonlinear_activation": None, "interpolate_mode": "nearest", "freq_axis_kernel_size": 1}
ONLY_UPSAMPLING |= {"use_causal_conv": False}


class PackageSettings(Settings):
    """config.yml, with the package's defaults."""

    sampling_rate: int
    fft_size: FFTSize
    hop_size: Size
    win_length: Size | None = None
    window: str = "hann"
    num_mels: Bands
    fmin: float | None = None
    fmax: float | None = None
    log_base: float | None = 10.0
    sampling_rate_for_feats: int | None = None
    global_gain_scale: float = 1.0
    generator_type: str = "ParallelWaveGANGenerator"
    generator_params: dict[str, Any]
    pqmf_params: dict[str, Any] | None = None
    version: Annotated[str, BeforeValidator(str)] = "0.1.0"


class UpsamplingSettings(HiFiGANSettings):
    odd: ClassVar[bool] = True


class MelGANParams(Settings):
    out_channels: Size = 1
    channels: Size = 512
    upsample_scales: list[Size] = Field([8, 8, 2, 2], min_length=1)
    stack_kernel_size: Size = 3
    stacks: int = Field(3, ge=1, le=8)


class UpsampleParams(Settings):
    upsample_scales: list[Size] = [4, 4, 4, 4]
    nonlinear_activation: str | None = None
    interpolate_mode: str = "nearest"
    freq_axis_kernel_size: int = 1
    use_causal_conv: bool = False


class WaveNetParams(Settings):
    kernel_size: Size = 3
    layers: Size = 30
    stacks: Size = 3
    residual_channels: Size = 64
    gate_channels: Size = 128
    skip_channels: Size = 64
    aux_channels: Size = 80
    aux_context_window: int = Field(2, ge=0)
    upsample_net: str = "ConvInUpsampleNetwork"
    upsample_params: UpsampleParams = UpsampleParams()


def recognises(source: Source) -> bool:
    firsts = ("first_conv.", "input_conv.", "melgan.", "noise_upsample.", "decoder.melgan.")
    return any(name.startswith(firsts) for name in source.tensors)


def read(source: Source) -> Imported:
    settings = source.parse(PackageSettings)
    readers = {"HiFiGANGenerator": _hifigan, "MelGANGenerator": _melgan, "ParallelWaveGANGenerator": _wavenet}
    if (kind := settings.generator_type) not in readers:
        raise source.refuse(f"it is a {kind}; only ParallelWaveGAN's {', '.join(readers)} are supported")
    imported = readers[kind](source, settings, log_mel(source, settings))
    if (gain := settings.global_gain_scale) > 0 and gain != 1:
        imported = imported._replace(note=f"Its training recordings were {gain:g} times as loud, and so is its output.")
    return imported


def log_mel(source: Source, s: PackageSettings) -> LogMelConfig:
    """The feature contract: the package's ``logmelfilterbank``, and then its statistics."""
    source.require("", {"window": s.window}, {"window": "hann"})
    if s.log_base not in (10.0, None):
        raise source.refuse(f"its log_base is {s.log_base}; only 10 and null, which is e, are supported")
    if s.sampling_rate_for_feats not in (None, s.sampling_rate):
        raise source.refuse(f"its mels have another sample rate, sampling_rate_for_feats {s.sampling_rate_for_feats}")
    mean, std = _statistics(source, s.num_mels)
    fields = {"sample_rate": s.sampling_rate, "n_fft": s.fft_size, "hop_length": s.hop_size, "n_mels": s.num_mels}
    fields |= {"win_length": s.win_length, "fmin": s.fmin or 0.0, "fmax": s.fmax, "padding": "center", "floor": 1e-10}
    fields |= {"log": "ln" if s.log_base is None else "log10", "mean": mean.tolist(), "std": std.tolist()}
    return source.parse(LogMelConfig, fields)


def _hifigan(source: Source, s: PackageSettings, features: LogMelConfig) -> Imported:
    """The published HiFi-GAN under other names."""
    params = s.generator_params
    source.require("generator_params.", params, ONLY_HIFIGAN)
    fields = {
        "resblock": 1 if params.get("use_additional_convs", True) else 2,
        "upsample_rates": params.get("upsample_scales", [8, 8, 2, 2]),
        "upsample_kernel_sizes": params.get("upsample_kernel_sizes", params.get("upsample_kernal_sizes")),
        "upsample_initial_channel": params.get("channels", 512),
        "resblock_kernel_sizes": params.get("resblock_kernel_sizes", [3, 7, 11]),
        "resblock_dilation_sizes": params.get("resblock_dilations", [[1, 3, 5]] * 3),
    }
    first = "convs1" if any(".convs2." in name for name in source.folded) else "convs"
    names = {
        r"^input_conv\.": "conv_pre.",
        r"^upsamples\.(\d+)\.1\.": r"ups.\1.",
        r"^blocks\.(\d+)\.convs1\.(\d+)\.1\.": rf"resblocks.\1.{first}.\2.",
        r"^blocks\.(\d+)\.convs2\.(\d+)\.1\.": r"resblocks.\1.convs2.\2.",
        r"^output_conv\.1\.": "conv_post.",
    }
    return assemble(source, source.parse(UpsamplingSettings, fields), renamed(source.folded, names), features)


def _melgan(source: Source, s: PackageSettings, features: LogMelConfig) -> Imported:
    """One nn.Sequential: padding, conv; per rate LeakyReLU, transposed conv, stacks; LeakyReLU, padding, conv, tanh."""
    tensors, p = source.folded, source.parse(MelGANParams, s.generator_params)
    source.require("generator_params.", s.generator_params, ONLY_MELGAN)
    stride = 2 + p.stacks
    last = 4 + len(p.upsample_scales) * stride
    indices = [int(m[1]) for name in tensors if (m := re.match(r"melgan\.(\d{1,6})\.", name))]
    source.agree("layers in melgan, by upsample_scales and stacks,", last, max(indices, default=0))
    places = {"melgan.1": "conv_pre", f"melgan.{last}": "conv_post"}
    parts = {"stack.2": "dilated", "stack.4": "pointwise", "skip_layer": "skip"}
    for i in range(len(p.upsample_scales)):
        places[f"melgan.{3 + i * stride}"] = f"ups.{i}"
        for j in range(p.stacks):
            theirs, ours = f"melgan.{4 + i * stride + j}", f"stacks.{i}.{j}"
            places |= {f"{theirs}.{part}": f"{ours}.{name}" for part, name in parts.items()}
    channels, bands, _ = source.shape(tensors, "melgan.1.weight", 3)
    source.agree("num_mels", s.num_mels, bands)
    source.agree("channels", p.channels, channels)
    source.agree("out_channels", p.out_channels, source.shape(tensors, f"melgan.{last}.weight", 3)[0])
    source.agree("stack_kernel_size", p.stack_kernel_size, source.shape(tensors, "melgan.4.stack.2.weight", 3)[2])
    fields = {"upsample_rates": p.upsample_scales, "upsample_initial_channel": p.channels, "stacks": p.stacks}
    fields |= {"stack_kernel_size": p.stack_kernel_size, "bands": p.out_channels}
    if p.out_channels > 1:
        fields["pqmf"] = _filterbank(s)
    generator = source.parse(MelGANConfig, fields)
    return Imported(source.name, VocoderConfig(features=features), generator, _rename(tensors, places))


def _filterbank(s: PackageSettings) -> dict[str, Any]:
    """The filterbank isn't in the weights; up to version 0.4.2 the default cut-off was another."""
    params = s.pqmf_params
    if params is None:
        version = [int(part) for part in re.findall(r"\d{1,9}", s.version)[:3]]
        params = {"cutoff_ratio": 0.15} if version <= [0, 4, 2] else {}
    return {
        "taps": params.get("taps", 62),
        "cutoff": params.get("cutoff_ratio", 0.142),
        "beta": params.get("beta", 9.0),
    }


def _wavenet(source: Source, s: PackageSettings, features: LogMelConfig) -> Imported:
    tensors, p = dict(source.folded), source.parse(WaveNetParams, s.generator_params)
    source.require("generator_params.", s.generator_params, ONLY_WAVENET)
    gate, residual, kernel_size = source.shape(tensors, "conv_layers.0.conv.weight", 3)
    bands = source.shape(tensors, "conv_layers.0.conv1x1_aux.weight", 3)[1]
    source.agree("num_mels", s.num_mels, bands)
    source.agree("aux_channels", p.aux_channels, bands)
    source.agree("layers", p.layers, numbered(tensors, "conv_layers."))
    source.agree("kernel_size", p.kernel_size, kernel_size)
    source.agree("gate_channels and residual_channels", [p.gate_channels, p.residual_channels], [gate, residual])
    places = _upsampling_places(source, tensors, p, bands)
    places |= {"last_conv_layers.1": "last_convs.0", "last_conv_layers.3": "last_convs.1"}
    parts = {"conv": "conv", "conv1x1_aux": "condition", "conv1x1_skip": "skip", "conv1x1_out": "out"}
    for i in range(p.layers):
        places |= {f"conv_layers.{i}.{part}": f"blocks.{i}.{name}" for part, name in parts.items()}
    for name in ("weight", "bias"):  # of the last layer's residual output, which nothing reads
        tensors.pop(f"conv_layers.{p.layers - 1}.conv1x1_out.{name}", None)
    fields = {"upsample_rates": p.upsample_params.upsample_scales, "context": p.aux_context_window}
    same = ("layers", "stacks", "kernel_size", "residual_channels", "gate_channels", "skip_channels")
    generator = source.parse(ParallelWaveGANConfig, fields | {name: getattr(p, name) for name in same})
    return Imported(source.name, VocoderConfig(features=features), generator, _rename(tensors, places))


def _upsampling_places(source: Source, tensors: dict[str, Tensor], p: WaveNetParams, bands: int) -> dict[str, str]:
    """Our names of the upsampling layers. The variant without a first convolution gets an identity."""
    source.require("upsample_params.", p.upsample_params.model_dump(), ONLY_UPSAMPLING)
    if p.upsample_net == "ConvInUpsampleNetwork":
        prefix = "upsample_net.upsample.up_layers."
    elif p.upsample_net == "UpsampleNetwork" and p.aux_context_window == 0:
        prefix = "upsample_net.up_layers."
        tensors["upsample_net.conv_in.weight"] = torch.eye(bands).unsqueeze(-1)
    else:
        known = "ConvInUpsampleNetwork, or UpsampleNetwork with an aux_context_window of 0, are supported"
        raise source.refuse(f"its upsample_net is {p.upsample_net}; {known}")
    count = sum(name.startswith(prefix) for name in tensors)  # repetition, convolution, repetition, ...
    source.agree("the number of upsample_scales", len(p.upsample_params.upsample_scales), count)
    return {"upsample_net.conv_in": "conv_in"} | {f"{prefix}{2 * i + 1}": f"smooth.{i}" for i in range(count)}


def _rename(tensors: dict[str, Tensor], places: dict[str, str]) -> dict[str, Tensor]:
    """Rename modules, all before the last dot; other names stay, and are refused as unexpected."""
    split = {name: name.rpartition(".") for name in tensors}
    return {f"{places.get(stem, stem)}.{kind}": tensors[name] for name, (stem, _, kind) in split.items()}


def _statistics(source: Source, num_mels: int) -> np.ndarray:
    """Mean and deviation of each band, (2, M)."""
    name = next((name for name in ("stats.npy", "stats.h5") if name in source.files), None)
    if name is None:
        raise source.refuse(
            "it needs the mean and deviation of its mels, in stats.h5 or stats.npy beside it; copy that file there"
        )
    data, label = source.read(name, 2**20), source.label(name)
    try:
        stats = numpy_files.parse(data) if name == "stats.npy" else _read_hdf5(data, label, num_mels)
    except UserError:
        raise
    except Exception as error:  # h5py raises many types on a damaged file
        raise UserError(f"{label} has no readable mean and scale ({one_line(error)}).") from None
    if stats.shape != (2, num_mels) or not np.issubdtype(stats.dtype, np.floating) or not np.isfinite(stats).all():
        raise UserError(f"{label} should hold a finite mean and scale for {num_mels} bands, found {stats.shape}.")
    return stats


def _read_hdf5(data: bytes, label: str, num_mels: int) -> np.ndarray:
    try:
        import h5py
    except ImportError:
        raise UserError(
            f"{label} needs the package h5py: pip install h5py. Or write its mean and scale with numpy.save as "
            "stats.npy, of shape (2, bands), beside it."
        ) from None
    with h5py.File(io.BytesIO(data), "r") as file:
        shapes = [getattr(file.get(name), "shape", None) for name in ("mean", "scale")]
        if shapes != [(num_mels,)] * 2:  # compared before reading: a file may claim any size
            found = f"mean {shapes[0]} and scale {shapes[1]} among {', '.join(list(file)[:5])}"
            raise ValueError(f"expected {num_mels} numbers each, found {found}; single speakers' won't do")
        return np.stack([file["mean"][()], file["scale"][()]])
