"""Checks that a mel fits a model: its contract field by field, its shape, and what its values reveal of a bare mel:
another logarithm, another floor, decibels, no logarithm at all.

A mel of the model's own contract must pass, whether of silence, of a whisper, or predicted by a network. The bounds of
the statistics were set on recordings, noise and tones (tests/test_conventions.py): clean speech in the wrong logarithm
is outside, everything in the right one except synthetic tones inside.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from wavegan.audio.log_mel import LogMel, LogMelConfig, mel_filterbank
from wavegan.audio.mel_conventions import destandardise, looks_like, obstacles
from wavegan.core.errors import UserError

SLACK = 1.0  # a mel that is predicted, or stored as 16-bit floats, goes slightly below the floor
HEADROOM = math.log(64)  # floating-point recordings and predictions can exceed full scale
LN_10 = math.log(10)
# The value of silence in a mel that was clamped at a floor, which reveals the convention.
FLOORS = {
    math.log(1e-5): "natural log, floor 1e-5 (HiFi-GAN)",
    math.log(1e-7): "natural log, floor 1e-7 (Vocos)",
    math.log(1e-10): "natural log, floor 1e-10",
    math.log10(1e-5): "log10, floor 1e-5",
    math.log10(1e-7): "log10, floor 1e-7",
    math.log10(1e-10): "log10, floor 1e-10 (ParallelWaveGAN)",
}
LEAST_FRAMES = 80  # for the statistics


def refuse_difference(model: LogMelConfig, mel: LogMelConfig) -> None:
    """Check that the contract of a mel is the model's.

    Raises:
        UserError: a table of the fields that differ, the convention that the mel looks like, and what to do.
    """
    difference = model.diff(mel)
    if not difference:
        return
    reasons = obstacles(mel, model)
    rows = [
        f"  {name}: the model expects {_short(expected)}, this mel has {_short(given)}"
        + (f" ({reasons[name]})" if name in reasons else "")
        for name, (expected, given) in difference.items()
    ]
    convention = looks_like(mel)
    hint = f" It looks like the convention of {convention}." if convention else ""
    advice = "." if reasons else ", or have it converted: convert=True, on the command line --convert."
    lines = [f"This mel does not fit the model.{hint}", *rows, f"Make the mel with this model's LogMel{advice}"]
    raise UserError("\n".join(lines))


def check_mel(mel: Tensor, features: LogMelConfig, source: str = "the mel", known: bool = False) -> Tensor:
    """Return ``mel`` as float32 (B, M, F) after checks of its shape and values.

    ``known``: the mel has declared this contract, so that only the range of its values is checked, not the statistics.

    Raises:
        UserError: the fault, and the convention that the mel looks like.
    """
    mel = mel.unsqueeze(0) if mel.dim() == 2 else mel
    if mel.dim() != 3:
        raise UserError(f"{source} should be (bands, frames) or (batch, bands, frames), got shape {tuple(mel.shape)}.")
    bands, frames = mel.shape[1:]
    if bands != features.n_mels:
        if frames == features.n_mels:
            raise UserError(f"{source} looks transposed: {bands} x {frames}, expected {features.n_mels} bands first.")
        raise UserError(f"{source} has {bands} bands, this model expects n_mels = {features.n_mels}.")
    if frames == 0 or mel.shape[0] == 0:
        raise UserError(f"{source} has no frames.")
    if mel.is_complex() or not mel.is_floating_point():
        kind = "complex numbers" if mel.is_complex() else "integers"
        raise UserError(f"{source} has {kind}; a log-mel is a floating-point array.")
    mel = mel.float()
    if not bool(torch.isfinite(mel).all()):
        raise UserError(f"{source} has values that are not finite (NaN or infinity).")
    plain = destandardise(mel, features)
    if fault := _range_fault(plain, features) or (None if known else _convention_fault(plain, features)):
        raise UserError(f"{source} {fault}")
    return mel


def highest(features: LogMelConfig) -> float:
    """Largest value that a waveform in [-1, 1], with some headroom, can give: |X| is at most the window's sum."""
    return _highest(features.model_copy(update={"mean": None, "std": None}))  # lists aren't hashable


@functools.lru_cache(maxsize=16)  # streams ask for each piece
def _highest(features: LogMelConfig) -> float:
    width = float(mel_filterbank(features).sum(0).max())
    largest = math.log(width) + features.power * (math.log(features.window_length / 2) + HEADROOM)
    return largest if features.log == "ln" else largest / LN_10


def _expected(features: LogMelConfig) -> str:
    floor = f"floor {features.floor:g}, so values from {features.log_floor:.4f} up"
    return f"this model expects {features.log} with {floor}"


def _known_floor(value: float) -> str | None:
    return next((name for floor, name in FLOORS.items() if abs(value - floor) < 2e-3), None)


def _range_fault(mel: Tensor, features: LogMelConfig) -> str | None:
    """Describe values (B, M, F) that no mel of these features can have; None if there are none."""
    smallest, largest = float(mel.min()), float(mel.max())
    if smallest < features.log_floor - SLACK:
        cause = _known_floor(smallest) or "another floor, or decibels"
        return f"goes down to {smallest:.4f}; {_expected(features)}. It looks like {cause}."
    if largest > highest(features) or (smallest >= 0 and (largest <= 1.05 or float(mel.median()) < largest / 4)):
        return f"has values from {smallest:.4g} to {largest:.4g}; {_expected(features)}. It looks not logarithmic."
    return None


def _convention_fault(mel: Tensor, features: LogMelConfig) -> str | None:
    """Describe statistics of a mel (B, M, F) that reveal another floor or logarithm; None if they don't."""
    smallest = float(mel.min())
    floor, clamped = _known_floor(smallest), mel <= smallest + 1e-4
    if floor and clamped.sum() >= 4 and clamped.float().mean() > 1e-4 and abs(smallest - features.log_floor) > 1e-2:
        return f"is clamped at {smallest:.4f}; {_expected(features)}. It looks like {floor}."
    if mel.shape[-1] >= LEAST_FRAMES and any(_other_logarithm(item, features) for item in mel):
        other, change = ("log10", "more") if features.log == "ln" else ("natural log", "less")
        return (
            f"looks like {other}: {_expected(features)}, and speech rises and falls {change} than this. If it is "
            "right, say so with features=."
        )
    return None


def _other_logarithm(mel: Tensor, features: LogMelConfig) -> bool:
    """Return True if a mel (M, F) is that of recorded speech in the other logarithm, squeezed or stretched by ln 10.

    Three things must agree: the span of its values, how much the loudness of frames varies, and how rough bands are.
    """
    natural = mel if features.log == "ln" else mel * LN_10
    natural = natural / features.power
    some = natural.flatten()[:: max(natural.numel() // 100_000, 1)]
    low, high = some.quantile(torch.tensor([0.005, 0.995]))
    span = float(high - low)
    if features.log == "log10":
        return span > 13 and _roughness(natural, features) > 1.1 * LN_10 * _smoothest_speech(features)
    lowest = math.log(features.floor) / features.power / LN_10 - 1.5  # quiet speech is on its own floor
    if not (3.5 < span < 5.6 and 0.8 < natural.std() < 1.3 and natural.mean(0).std() > 0.3 and natural.min() > lowest):
        return False
    return 0.38 < _roughness(natural, features) < _smoothest_speech(features)  # smoother: predicted by a network


def _smoothest_speech(features: LogMelConfig) -> float:
    """Lower bound of the roughness of recorded speech: it grows with the hop."""
    return min(70 * features.hop_length / features.sample_rate, 0.8)


def _roughness(natural: Tensor, features: LogMelConfig) -> float:
    """Change of bands from frame to frame, relative to that of noise; 0 if nearly all are constant.

    It is 1 for noise of any level and colour, and about as much for speech: it measures the logarithm alone.
    """
    change = (natural[:, 1:] - natural[:, :-1]).abs()
    audible = natural > natural.min() + 0.05
    both = audible[:, 1:] & audible[:, :-1]
    if both.float().mean() < 0.3:
        return 0.0
    plain = features.model_copy(update={"log": "ln", "mean": None, "std": None})
    noise = torch.randn(1, 2 * features.sample_rate, generator=torch.Generator().manual_seed(0))
    noise = LogMel(plain)(0.1 * noise)[0] / features.power
    usual = (noise[:, 1:] - noise[:, :-1]).abs().median(1, keepdim=True).values
    return float((change / usual.clamp(min=1e-3).to(change))[both].median())


def _short(value: object) -> object:
    return f"{len(value)} values" if isinstance(value, list) else value
