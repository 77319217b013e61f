"""HiFi-GAN of SpeechBrain: hyperparams.yaml and generator.ckpt."""

from __future__ import annotations

import math
import re
from typing import Any, Literal

from wavegan.audio.log_mel import LogMelConfig
from wavegan.checkpoints.formats.coqui import FactorSettings
from wavegan.checkpoints.formats.hifigan import assemble
from wavegan.checkpoints.formats.source import Bands, FFTSize, Imported, Settings, Size, Source
from wavegan.checkpoints.formats.weights import renamed

NOTE = (
    "SpeechBrain's convolutions pad the ends by reflection, these with zeros: the first and last frames differ a "
    "little, those between are the same."
)


class MelSettings(Settings):
    """The mel settings of its recipes. Published models lack most of them; the defaults are those of all recipes."""

    sample_rate: int
    hop_length: Size | None = None
    win_length: Size = 1024
    n_fft: FFTSize = 1024
    n_mel_channels: Bands | None = None
    mel_fmin: float = 0.0
    mel_fmax: float | None = 8000.0
    mel_normalized: Literal[False] = False
    power: float = 1.0
    norm: Literal["slaney"] | None = "slaney"
    mel_scale: Literal["slaney", "htk"] = "slaney"
    dynamic_range_compression: Literal[True] = True


def recognises(source: Source) -> bool:
    return any(name.startswith("conv_pre.conv.") for name in source.tensors)


def read(source: Source) -> Imported:
    settings = _resolved(source.settings)
    generator, mel = source.parse(FactorSettings, settings), source.parse(MelSettings, settings)
    tensors = renamed(source.folded, {r"\.conv\.(weight|bias)$": r".\1"})
    bands = mel.n_mel_channels or source.shape(tensors, "conv_pre.weight", 3)[1]
    hop_length = mel.hop_length or math.prod(generator.upsample_rates)
    fields = {"sample_rate": mel.sample_rate, "n_fft": mel.n_fft, "hop_length": hop_length, "n_mels": bands}
    fields |= {"win_length": mel.win_length, "fmin": mel.mel_fmin, "fmax": mel.mel_fmax, "power": mel.power}
    fields |= {"mel_scale": mel.mel_scale, "mel_norm": mel.norm or "none", "padding": "center", "floor": 1e-5}
    return assemble(source, generator, tensors, source.parse(LogMelConfig, fields))._replace(note=NOTE)


def _resolved(settings: dict[str, Any]) -> dict[str, Any]:
    """The top-level keys and those of ``generator``; HyperPyYAML's ``!ref <name>`` is replaced by that key's value."""
    generator = settings.get("generator")
    merged = settings | (generator if isinstance(generator, dict) else {})
    strings = {key: value for key, value in merged.items() if isinstance(value, str)}
    references = {key: match[1] for key, value in strings.items() if (match := re.fullmatch(r"<(\w+)>", value))}
    return merged | {key: settings.get(name) for key, name in references.items()}
