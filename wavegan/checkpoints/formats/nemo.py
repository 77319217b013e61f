"""HiFi-GAN of NVIDIA NeMo: a .nemo archive of model_config.yaml and model_weights.ckpt."""

from __future__ import annotations

from typing import Any, Literal

from pydantic import Field

from wavegan.audio.log_mel import LogMelConfig, mel_filterbank, mel_window
from wavegan.checkpoints.formats.hifigan import HiFiGANSettings, assemble, flatten, is_hifigan
from wavegan.checkpoints.formats.source import Bands, FFTSize, Imported, Settings, Size, Source

GENERATOR = "nemo.collections.tts.modules.hifigan_modules.Generator"
FILTERBANKS = (
    "nemo.collections.asr.parts.preprocessing.features.FilterbankFeatures",
    "nemo.collections.asr.parts.features.FilterbankFeatures",  # in version 1.0, the first with HiFi-GAN
)
TABLES = "audio_to_melspec_precessor."  # sic
SUPPORTED = {"window": "hann", "normalize": None, "log": True, "frame_splicing": 1, "stft_conv": False}
SUPPORTED |= {"log_zero_guard_type": "clamp"}


class PreprocessorSettings(Settings):
    """Arguments of FilterbankFeatures, with its defaults. Its dither is for training, its pad_to for batches."""

    target: str = Field(FILTERBANKS[0], alias="_target_")
    sample_rate: int = 16000
    n_window_size: Size = 320
    n_window_stride: Size = 160
    window: str = "hann"
    normalize: Any = "per_feature"
    n_fft: FFTSize | None = None
    preemph: float | None = 0.97
    nfilt: Bands = 64
    lowfreq: float = 0.0
    highfreq: float | None = None
    log: bool = True
    log_zero_guard_type: str = "add"
    log_zero_guard_value: float = Field(2**-24, gt=0)
    frame_splicing: int = 1
    exact_pad: bool = False
    stft_exact_pad: bool = False  # its name in the first HiFi-GANs
    stft_conv: bool = False
    use_grads: bool = False
    mag_power: float = 2.0
    mel_norm: Literal["slaney"] | None = "slaney"


class GeneratorSettings(HiFiGANSettings):
    target: str = Field(GENERATOR, alias="_target_")


class NeMoSettings(Settings):
    preprocessor: dict[str, Any]
    generator: dict[str, Any]


def recognises(source: Source) -> bool:
    return is_hifigan(source, "generator.") and "preprocessor" in source.settings


def read(source: Source) -> Imported:
    parts = source.parse(NeMoSettings)
    settings = source.parse(GeneratorSettings, parts.generator)
    source.require("generator.", {"_target_": settings.target}, {"_target_": GENERATOR})
    features = _log_mel(source, source.parse(PreprocessorSettings, parts.preprocessor))
    tensors = source.part("generator.")
    if any(name.startswith("resblocks.0.0.") for name in tensors):  # older versions have one index
        tensors = flatten(tensors, len(settings.resblock_kernel_sizes))
    imported = assemble(source, settings, tensors, features)
    source.same_table(f"{TABLES}fb", mel_filterbank(features).T)
    source.same_table(f"{TABLES}window", mel_window(features))
    return imported


def _log_mel(source: Source, s: PreprocessorSettings) -> LogMelConfig:
    """The feature contract of FilterbankFeatures, with its symmetric Hann window."""
    if s.target not in FILTERBANKS:
        raise source.refuse(f"its preprocessor is {s.target!r:.90}; only {FILTERBANKS[0]} is supported")
    source.require("preprocessor.", s.model_dump(), SUPPORTED)
    if s.preemph:
        raise source.refuse(f"its preprocessor has preemph {s.preemph}; only mels without pre-emphasis are supported")
    n_fft = s.n_fft or 2 ** (s.n_window_size - 1).bit_length()
    fields = {"sample_rate": s.sample_rate, "n_fft": n_fft, "hop_length": s.n_window_stride, "n_mels": s.nfilt}
    fields |= {"win_length": s.n_window_size, "fmin": s.lowfreq, "fmax": s.highfreq, "power": s.mag_power}
    fields |= {"window": "hann_symmetric", "mel_norm": s.mel_norm or "none", "floor": s.log_zero_guard_value}
    fields |= {"epsilon": 1e-5 if s.use_grads else 0.0, "padding": "center"}
    return source.parse(LogMelConfig, fields | ({"padding": "same"} if s.exact_pad or s.stft_exact_pad else {}))
