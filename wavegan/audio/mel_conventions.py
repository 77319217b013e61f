"""Mel conventions: contracts by name, and conversion of mels from one contract to another.

Shapes: M mel bands, F frames.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from wavegan.audio.log_mel import LogMelConfig, mel_filterbank
from wavegan.audio.mel_defaults import CONVENTIONS, fields_of
from wavegan.core import config
from wavegan.core.errors import UserError

STYLE = ("mel_scale", "mel_norm", "padding", "power", "log", "floor", "window")  # fields that aren't sizes
_BANDS = "other bands: their edges differ, and a band can't be split"
_WINDOW = "another window blurs time and frequency differently"
OBSTACLES = {
    "sample_rate": "other frequencies and times: resample the recording",
    "n_fft": _WINDOW,
    "win_length": _WINDOW,
    "hop_length": "another number of frames a second",
    "padding": "its frames are centred between the model's",
    "n_mels": _BANDS,
    "fmin": _BANDS,
    "fmax": _BANDS,
    "mel_scale": _BANDS,
}


def named(name: str, **changes: object) -> LogMelConfig:
    """Return the contract of a convention, with ``changes`` to some of its fields.

    >>> named("hifigan", sample_rate=16000, fmax=None)

    Raises:
        UserError: no such convention, or fields that contradict each other.
    """
    try:
        fields = fields_of(name)
    except ValueError as error:
        raise UserError(str(error)) from None
    return config.parse(LogMelConfig, fields | changes, f"features '{name}'")


def parse(features: LogMelConfig | Mapping | str) -> LogMelConfig:
    """Return a contract given as itself, as the name of a convention or as a mapping of fields; raises as ``named``."""
    if isinstance(features, str):
        return named(features)
    if not isinstance(features, (LogMelConfig, Mapping)):
        known = ", ".join(CONVENTIONS)
        raise UserError(f"features should be a name ({known}) or a mapping of fields, got {type(features).__name__}.")
    return config.parse(LogMelConfig, features, "features")


def looks_like(features: LogMelConfig) -> str | None:
    """Return the first convention of the same style, whatever the sizes."""
    for name in CONVENTIONS:
        convention = named(name)
        if all(getattr(features, field) == getattr(convention, field) for field in STYLE):
            return name
    return None


def obstacles(source: LogMelConfig, target: LogMelConfig) -> dict[str, str]:
    """Return why mels of ``source`` can't be converted to ``target``: {field: reason}, {} if they can."""
    return {field: OBSTACLES[field] for field in target.diff(source) if field in OBSTACLES}


def convert(mel: Tensor, source: LogMelConfig, target: LogMelConfig) -> Tensor:
    """Convert a log-mel (..., M, F) from the contract ``source`` to ``target``.

    Logarithm, standardisation, norm of the bands and a higher floor are exact. A lower floor can't restore values that
    the higher one clamped. The ratio of magnitudes and powers depends on how uneven a band is inside, which a mel
    doesn't contain: bands are taken as even. ``epsilon``, which only shows in silence, and ``window``, whose two kinds
    differ by a sample, are not converted.

    Raises:
        UserError: other fields differ; lists them with the reasons.
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
    """Undo the standardisation of a log-mel (..., M, F), if its contract has one."""
    if features.mean is None:
        return mel
    mean, std = (torch.tensor(v, device=mel.device).unsqueeze(-1) for v in (features.mean, features.std))
    return mel * std + mean


def _log_width(features: LogMelConfig) -> Tensor:
    """Logarithm of the sum of each band's weights, (M, 1): the gain of a band for an even spectrum."""
    return mel_filterbank(features).sum(0).clamp(min=1e-12).log().unsqueeze(-1)
