"""SpeechT5HifiGan of Hugging Face transformers: config.json and pytorch_model.bin or model.safetensors."""

from __future__ import annotations

from pydantic import Field

from wavegan.audio.log_mel import LogMelConfig
from wavegan.checkpoints.formats.hifigan import HiFiGANSettings, assemble
from wavegan.checkpoints.formats.source import Bands, Imported, Source
from wavegan.checkpoints.formats.weights import renamed


class SpeechT5Settings(HiFiGANSettings):
    """config.json, with the defaults of SpeechT5HifiGanConfig."""

    model_in_dim: Bands = 80
    sampling_rate: int = Field(16000, ge=8000, le=48000)
    leaky_relu_slope: float = 0.1
    normalize_before: bool = True


def recognises(source: Source) -> bool:
    return any(name.startswith("upsampler.0.") for name in source.tensors)


def read(source: Source) -> Imported:
    settings = source.parse(SpeechT5Settings)
    source.require("", settings.model_dump(), {"leaky_relu_slope": 0.1})
    tensors = renamed(source.folded, {r"^upsampler\.": "ups."})
    statistics = {"mean": tensors.pop("mean", None), "std": tensors.pop("scale", None)}
    # SpeechT5FeatureExtractor's: 64 ms every 16 ms, an n_fft that is a power of 2, 80 to 7600 Hz.
    window, hop = (milliseconds * settings.sampling_rate // 1000 for milliseconds in (64, 16))
    fields = {"sample_rate": settings.sampling_rate, "n_fft": 2 ** (window - 1).bit_length(), "hop_length": hop}
    fields |= {"win_length": window, "n_mels": settings.model_in_dim, "fmin": 80.0, "fmax": 7600.0}
    fields |= {"padding": "center", "log": "log10", "floor": 1e-10}
    if settings.normalize_before:
        for name, values in statistics.items():
            if values is None or values.numel() != settings.model_in_dim:
                raise source.refuse("normalize_before is true, but there is no mean and scale for each band")
            fields[name] = values.flatten().tolist()
    return assemble(source, settings, tensors, source.parse(LogMelConfig, fields))
