"""HiFi-GAN as jik876/hifi-gan publishes it (Kong 2020, arXiv 2010.05646), and the parts shared by its dialects.

A dialect renames its settings to ``HiFiGANSettings`` and its tensors to the published names, ``conv_pre``, ``ups.{i}``,
``resblocks.{n}.convs1.{j}``, ``conv_post``, and calls ``assemble``.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar

from pydantic import BeforeValidator, model_validator
from torch import Tensor

from wavegan.audio.log_mel import LogMelConfig
from wavegan.audio.mel_conventions import CONVENTIONS
from wavegan.checkpoints.formats.source import Bands, FFTSize, Imported, Settings, Size, Source
from wavegan.checkpoints.formats.weights import numbered
from wavegan.models.generators import HiFiGANConfig
from wavegan.models.generators.hifigan import Sizes
from wavegan.tasks.vocoder import VocoderConfig


def _number(value: Any) -> Any:
    return {"1": 1, "2": 2}.get(value, value) if isinstance(value, str) else value


INDEX = r"(0|[1-9]\d{0,5})"  # without leading zeros: 00 is another name than 0
Block = Annotated[int | None, BeforeValidator(_number)]


class MelSettings(Settings):
    """The keys of config.json that the published ``mel_spectrogram`` (meldataset.py) reads."""

    sampling_rate: int
    n_fft: FFTSize
    hop_size: Size
    win_size: Size
    num_mels: Bands
    fmin: float
    fmax: float | None = None


class HiFiGANSettings(Settings):
    """The generator's part of config.json; sizes that a dialect leaves out are None and come from the tensors.

    ``odd``: a transposed convolution may have an odd difference of kernel and rate. The published padding,
    (kernel - rate) // 2, then gives a sample more than frames x hop.
    """

    odd: ClassVar[bool] = False

    resblock: Block = None
    upsample_rates: Sizes
    upsample_kernel_sizes: Sizes | None = None
    upsample_initial_channel: int | None = None
    resblock_kernel_sizes: Sizes
    resblock_dilation_sizes: list[Sizes]

    @model_validator(mode="after")
    def _even(self) -> HiFiGANSettings:
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernel_sizes or [], strict=False):
            if (kernel - rate) % 2 and not self.odd:
                raise ValueError(f"upsample kernel {kernel} and rate {rate}: only an even difference is supported")
        return self


def recognises(source: Source) -> bool:
    return is_hifigan(source, "") or is_hifigan(source, "generator.")


def is_hifigan(source: Source, prefix: str) -> bool:
    """Return True if the tensors under ``prefix`` have the published names."""
    parts = (r"conv_pre\.(weight|bias|param)", r"ups\.0\.(weight|bias|param)", r"resblocks\.0\.")
    return all(any(re.match(re.escape(prefix) + part, name) for name in source.tensors) for part in parts)


def read(source: Source) -> Imported:
    settings = source.parse(HiFiGANSettings)
    return assemble(source, settings, generator_part(source, "generator."), log_mel(source))


def generator_part(source: Source, prefix: str) -> dict[str, Tensor]:
    """The tensors under ``prefix``, where a model has a generator and a discriminator, or all."""
    return source.part(prefix if is_hifigan(source, prefix) else "")


def log_mel(source: Source) -> LogMelConfig:
    """The feature contract of HiFi-GAN's and BigVGAN's ``mel_spectrogram``."""
    mel = source.parse(MelSettings)
    fields = {"sample_rate": mel.sampling_rate, "n_fft": mel.n_fft, "hop_length": mel.hop_size}
    fields |= {"win_length": mel.win_size, "n_mels": mel.num_mels, "fmin": mel.fmin, "fmax": mel.fmax}
    return source.parse(LogMelConfig, CONVENTIONS["hifigan"] | fields)


def assemble(source: Source, settings: HiFiGANSettings, tensors: dict[str, Tensor], features: LogMelConfig) -> Imported:
    """Our generator from tensors with the published names, weight norm folded."""
    generator = source.parse(HiFiGANConfig, generator_fields(source, settings, tensors, features.n_mels))
    renamed = nest(tensors, len(generator.resblock_kernel_sizes))
    return Imported(source.name, VocoderConfig(features=features), generator, renamed)


def generator_fields(
    source: Source, s: HiFiGANSettings, tensors: dict[str, Tensor], n_mels: int, ups: str = "ups.{}.weight"
) -> dict[str, Any]:
    """The fields of HiFiGANConfig: sizes from the tensors, checked against the settings; the rest from the settings.

    Raises:
        UserError: they contradict each other, or tensors are missing.
    """
    stages, kernels = len(s.upsample_rates), len(s.resblock_kernel_sizes)
    channels, bands, _ = source.shape(tensors, "conv_pre.weight", 3)
    source.agree("mel bands", n_mels, bands)
    source.agree("upsample_initial_channel", s.upsample_initial_channel, channels)
    source.agree("upsample_rates for this many stages,", stages, numbered(tensors, "ups."))
    source.agree("residual blocks, stages x resblock_kernel_sizes,", stages * kernels, numbered(tensors, "resblocks."))
    upsample_kernels = [source.shape(tensors, ups.format(i), 3)[2] for i in range(stages)]
    source.agree("upsample_kernel_sizes", s.upsample_kernel_sizes, upsample_kernels)
    block = 2 if "resblocks.0.convs.0.weight" in tensors else 1
    source.agree("resblock", s.resblock, block)
    convs = "convs" if block == 2 else "convs1"
    block_kernels = [source.shape(tensors, f"resblocks.{j}.{convs}.0.weight", 3)[2] for j in range(kernels)]
    source.agree("resblock_kernel_sizes", s.resblock_kernel_sizes, block_kernels)
    counts = [numbered(tensors, f"resblocks.{j}.{convs}.") for j in range(kernels)]
    source.agree("lengths of resblock_dilation_sizes", [len(d) for d in s.resblock_dilation_sizes], counts)
    return {
        "resblock": block,
        "upsample_rates": s.upsample_rates,
        "upsample_kernel_sizes": upsample_kernels,
        "upsample_initial_channel": channels,
        "resblock_kernel_sizes": block_kernels,
        "resblock_dilation_sizes": s.resblock_dilation_sizes,
    }


def nest(tensors: dict[str, Tensor], num_kernels: int) -> dict[str, Tensor]:
    """Rename residual blocks from one index over all stages to two, stage and kernel."""

    def nested(match: re.Match) -> str:
        stage, kernel = divmod(int(match[1]), num_kernels)
        return f"resblocks.{stage}.{kernel}."

    return {re.sub(rf"^resblocks\.{INDEX}\.", nested, name): tensor for name, tensor in tensors.items()}


def flatten(tensors: dict[str, Tensor], num_kernels: int) -> dict[str, Tensor]:
    """The inverse of ``nest``."""

    def flat(match: re.Match) -> str:
        return f"resblocks.{int(match[1]) * num_kernels + int(match[2])}."

    return {re.sub(rf"^resblocks\.{INDEX}\.{INDEX}\.", flat, name): tensor for name, tensor in tensors.items()}
