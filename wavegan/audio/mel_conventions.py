"""The mel conventions of the field's packages, what can be converted between them, and what can't.

Shapes: M mel bands, F frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from wavegan.audio.log_mel import LogMelConfig, mel_filterbank
from wavegan.core import config
from wavegan.core.errors import UserError

_HIFIGAN = {"sample_rate": 22050, "n_fft": 1024, "hop_length": 256, "n_mels": 80, "fmax": 8000.0, "padding": "same"}
_VOCOS = {"mel_scale": "htk", "mel_norm": "none", "floor": 1e-7}
# What each package computes by default, in the sizes of its best-known model. ParallelWaveGAN standardises each band
# besides, with the statistics of a corpus.
CONVENTIONS: dict[str, dict] = {
    "hifigan": _HIFIGAN | {"epsilon": 1e-9},
    "bigvgan": _HIFIGAN | {"sample_rate": 24000, "n_mels": 100, "fmax": None, "epsilon": 1e-9},
    "vocos": {"sample_rate": 24000, "n_fft": 1024, "hop_length": 256, "n_mels": 100, **_VOCOS},
    "parallel_wavegan": _HIFIGAN | {"fmin": 80.0, "fmax": 7600.0, "padding": "center", "log": "log10", "floor": 1e-10},
    "nemo": _HIFIGAN | {"window": "hann_symmetric"},
    # 20 log10, less 20 dB, then -100 ... 0 dB mapped to -4 ... 4 and clipped there
    "coqui": _HIFIGAN
    | {"fmax": None, "padding": "center", "log": "log10", "floor": 1e-4, "mean": [-1.5] * 80, "std": [0.625] * 80},
}
STYLE = ("mel_scale", "mel_norm", "padding", "power", "log", "floor", "window")  # what sizes don't change
_BANDS = "other bands: their edges lie elsewhere, and a band can't be taken apart"
_WINDOW = "another window blurs time and frequency otherwise"
OBSTACLES = {
    "sample_rate": "other frequencies and times: resample the recording",
    "n_fft": _WINDOW,
    "win_length": _WINDOW,
    "hop_length": "another number of frames a second",
    "padding": "its frames lie between the model's",
    "n_mels": _BANDS,
    "fmin": _BANDS,
    "fmax": _BANDS,
    "mel_scale": _BANDS,
}


def named(name: str, **changes: object) -> LogMelConfig:
    """The contract of a convention, ``changes`` being the fields in which yours differs.

    >>> named("hifigan", sample_rate=16000, fmax=None)

    Raises:
        UserError: no such convention, or fields that contradict each other.
    """
    if name not in CONVENTIONS:
        raise UserError(f"No mel convention '{name}'. There are: {', '.join(CONVENTIONS)}.")
    return config.parse(LogMelConfig, CONVENTIONS[name] | changes, f"features '{name}'")


def parse(features: LogMelConfig | Mapping | str) -> LogMelConfig:
    """A contract from a name, a mapping of its fields, or itself.

    Raises:
        UserError: as ``named``.
    """
    if isinstance(features, LogMelConfig):
        return features
    if isinstance(features, str):
        return named(features)
    if not isinstance(features, Mapping):
        known = ", ".join(CONVENTIONS)
        raise UserError(f"features should be a name ({known}) or a mapping of fields, got {type(features).__name__}.")
    return config.parse(LogMelConfig, dict(features), "features")


def looks_like(features: LogMelConfig) -> str | None:
    """The first convention of the same style, whatever the sizes."""
    for name in CONVENTIONS:
        other = named(name)
        if all(getattr(features, field) == getattr(other, field) for field in STYLE):
            return name
    return None


def obstacles(source: LogMelConfig, target: LogMelConfig) -> dict[str, str]:
    """Why mels of ``source`` can't be made into those of ``target``: {field: reason}, empty where they can."""
    return {field: OBSTACLES[field] for field in target.diff(source) if field in OBSTACLES}


def convert(mel: Tensor, source: LogMelConfig, target: LogMelConfig) -> Tensor:
    """A log-mel (..., M, F) of contract ``source`` as ``target`` has it.

    Logarithm, standardisation, norm of the bands and a higher floor are exact. A lower floor doesn't bring back what
    the higher one cut. Magnitudes and powers differ by how uneven a band is inside, which a mel doesn't say: they are
    converted as if it were even. ``epsilon``, which only shows in silence, and ``window``, where the two kinds differ
    by a sample, are left as they are.

    Raises:
        UserError: the two differ in more than that; says in what and why.
    """
    if reasons := obstacles(source, target):
        rows = [f"  {field}: {reason}" for field, reason in reasons.items()]
        raise UserError("\n".join(["This mel can't be converted:", *rows]))
    if not target.diff(source):
        return mel
    natural = destandardise(mel, source) * (1.0 if source.log == "ln" else math.log(10))
    width, wanted = _log_width(source).to(mel.device), _log_width(target).to(mel.device)
    if source.power == 1 and target.power == 2:
        natural = 2 * natural - width
    elif source.power == 2 and target.power == 1:
        natural = (natural + width) / 2
    natural = (natural + wanted - width).clamp(min=math.log(target.floor))
    logarithmic = natural if target.log == "ln" else natural / math.log(10)
    if target.mean is None:
        return logarithmic
    mean, std = (torch.tensor(v, device=mel.device).unsqueeze(-1) for v in (target.mean, target.std))
    return (logarithmic - mean) / std


def destandardise(mel: Tensor, features: LogMelConfig) -> Tensor:
    """A log-mel (..., M, F) without the mean and deviation of its bands, if they are part of its contract."""
    if features.mean is None:
        return mel
    mean, std = (torch.tensor(v, device=mel.device).unsqueeze(-1) for v in (features.mean, features.std))
    return mel * std + mean


def _log_width(features: LogMelConfig) -> Tensor:
    """Logarithm of the sum of each band's weights, (M, 1): what the norm, and an even spectrum, multiply by."""
    return mel_filterbank(features).sum(0).clamp(min=1e-12).log().unsqueeze(-1)
