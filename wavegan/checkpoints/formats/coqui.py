"""HiFi-GAN of Coqui TTS: config.json, with the mel settings in ``audio``, and one file of weights."""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
from pydantic import Field

from wavegan.audio.log_mel import LogMelConfig
from wavegan.checkpoints.formats.hifigan import Block, HiFiGANSettings, Sizes, assemble, generator_part, is_hifigan
from wavegan.checkpoints.formats.source import Bands, FFTSize, Imported, Settings, Size, Source

GENERATOR = "hifigan_generator"
FLOOR = 1e-5  # of TTS/utils/audio.py, which the published models were trained with
NOTE = "Newer versions of Coqui make mels with a floor of 1e-8; here it is 1e-5, as in those of the published models."


class FactorSettings(HiFiGANSettings):
    """HiFi-GAN's settings in the names of Coqui and SpeechBrain."""

    upsample_rates: Sizes = Field(alias="upsample_factors")
    resblock: Block = Field(None, alias="resblock_type")


class AudioSettings(Settings):
    """Arguments of AudioProcessor, with its defaults."""

    sample_rate: int
    fft_size: FFTSize = 1024
    hop_length: Size
    win_length: Size
    num_mels: Bands
    mel_fmin: float = 0.0
    mel_fmax: float | None = None
    preemphasis: float = 0.0
    log_func: Literal["np.log", "np.log10"] = "np.log10"
    spec_gain: float = Field(20.0, gt=0, le=1000)
    signal_norm: bool = False
    symmetric_norm: bool | None = None
    clip_norm: bool | None = True
    max_norm: float | None = Field(None, gt=0, le=1000)
    min_level_db: float | None = Field(None, ge=-1000, le=1000)
    ref_level_db: float | None = Field(None, ge=-1000, le=1000)
    do_amp_to_db_mel: bool = True
    stft_pad_mode: Literal["reflect"] = "reflect"
    stats_path: str | None = None


class CoquiSettings(Settings):
    generator_model: str
    generator_model_params: dict[str, Any]
    audio: AudioSettings


def recognises(source: Source) -> bool:
    generator = is_hifigan(source, "") or is_hifigan(source, "model_g.")
    return generator and "generator_model" in source.settings


def read(source: Source) -> Imported:
    settings = source.parse(CoquiSettings)
    source.require("", {"generator_model": settings.generator_model}, {"generator_model": GENERATOR})
    generator = source.parse(FactorSettings, settings.generator_model_params)
    tensors = generator_part(source, "model_g.")
    if settings.generator_model_params.get("conv_post_bias") is False:
        tensors.setdefault("conv_post.bias", torch.zeros(1))
    features, note = log_mel(source, settings.audio)
    return assemble(source, generator, tensors, features)._replace(note=note)


def log_mel(source: Source, s: AudioSettings) -> tuple[LogMelConfig, str]:
    """The feature contract of ``AudioProcessor.melspectrogram``, and a note on differences.

    Decibels are D = gain * log(x), x at least FLOOR. Normalisation maps ref + min to the bottom of its range, 0 or
    -max_norm, and ref to the top, max_norm, and clips. The bottom is a floor of x; a contract has no ceiling.
    """
    if s.preemphasis or not s.do_amp_to_db_mel:
        raise source.refuse("its audio has preemphasis, or mels without a logarithm; neither is supported")
    fields = {"sample_rate": s.sample_rate, "n_fft": s.fft_size, "hop_length": s.hop_length, "n_mels": s.num_mels}
    fields |= {"win_length": s.win_length, "fmin": s.mel_fmin, "fmax": s.mel_fmax, "padding": "center"}
    fields |= {"log": "ln" if s.log_func == "np.log" else "log10"}
    floor, slope, offset, notes = FLOOR, 1.0, 0.0, []
    if s.signal_norm:
        if s.stats_path:
            raise source.refuse("its mels are normalised by scale_stats.npy, a pickle, which can't be loaded safely")
        least, loudest, top = s.min_level_db or 0.0, s.ref_level_db or 0.0, s.max_norm or 1.0
        if least >= 0:
            raise source.refuse(f"its audio has min_level_db {least:g}; it should be below 0")
        bottom = -top if s.symmetric_norm else 0.0
        slope = (top - bottom) / -least
        offset = bottom - slope * (loudest + least)
        if s.clip_norm:
            base = math.e if s.log_func == "np.log" else 10.0
            floor = max(floor, base ** min(max((loudest + least) / s.spec_gain, -20.0), 20.0))
            notes.append(f"Coqui clips its mels at {top:g}; here very loud ones exceed it.")
    scale = slope * s.spec_gain  # of the logarithm: scale * L + offset = (L - mean) / std
    if (scale, offset) != (1.0, 0.0):
        fields |= {"mean": [-offset / scale] * s.num_mels, "std": [1 / scale] * s.num_mels}
    notes += [NOTE] if floor == FLOOR else []
    return source.parse(LogMelConfig, fields | {"floor": floor}), " ".join(notes)
