"""What the values of a bare mel give away: another logarithm, another floor, decibels, no logarithm at all.

A mel of the model's own must pass, be it of silence, of a whisper, or predicted by a network. The bounds of the
statistics were set on recordings, noise and tones (tests/test_conventions.py has them): clean speech in the wrong
logarithm lies outside, everything in the right one but synthetic tones inside.
"""

from __future__ import annotations

import functools
import math

import torch
from torch import Tensor

from wavegan.audio.log_mel import LogMel, LogMelConfig, mel_filterbank
from wavegan.audio.mel_conventions import destandardise

SLACK = 1.0  # a mel that a network predicted, or stored as 16-bit floats, dips a little below the floor
HEADROOM = math.log(64)  # beyond full scale: recordings in floating point, and networks, can exceed it
LN_10 = math.log(10)
# Where silence lies in a mel that some floor has clamped: the value gives the convention away.
FLOORS = {
    math.log(1e-5): "natural log, floor 1e-5 (HiFi-GAN)",
    math.log(1e-7): "natural log, floor 1e-7 (Vocos)",
    math.log(1e-10): "natural log, floor 1e-10",
    math.log10(1e-5): "log10, floor 1e-5",
    math.log10(1e-7): "log10, floor 1e-7",
    math.log10(1e-10): "log10, floor 1e-10 (ParallelWaveGAN)",
}
LEAST_FRAMES = 80  # fewer say too little


def complaint(mel: Tensor, features: LogMelConfig, known: bool = False) -> str | None:
    """What is wrong with a mel (B, M, F) for a model of these features, or None; ``known``: look at the range only."""
    mel = destandardise(mel, features)
    smallest, largest = float(mel.min()), float(mel.max())
    expected = (
        f"this model expects {features.log} with floor {features.floor:g}, so values from {features.log_floor:.4f} up"
    )
    looks = next((what for value, what in FLOORS.items() if abs(smallest - value) < 2e-3), None)
    if smallest < features.log_floor - SLACK:
        return f"goes down to {smallest:.4f}; {expected}. It looks like {looks or 'another floor, or decibels'}."
    if largest > highest(features) or (smallest >= 0 and (largest <= 1.05 or float(mel.median()) < largest / 4)):
        return f"has values from {smallest:.4g} to {largest:.4g}; {expected}. It looks not logarithmic."
    if known:
        return None
    clamped = mel <= smallest + 1e-4
    if looks and clamped.sum() >= 4 and clamped.float().mean() > 1e-4 and abs(smallest - features.log_floor) > 1e-2:
        return f"is clamped at {smallest:.4f}; {expected}. It looks like {looks}."
    if mel.shape[-1] >= LEAST_FRAMES and any(_other_logarithm(one, features) for one in mel):
        other = "log10" if features.log == "ln" else "natural log"
        return (
            f"looks like {other}: {expected}, and speech rises and falls "
            f"{'more' if features.log == 'ln' else 'less'} than this. If it is right, say so with features=."
        )
    return None


def highest(features: LogMelConfig) -> float:
    """The largest value that a waveform within [-1, 1], and a bit beyond, can give: |X| is at most the window's sum."""
    return _highest(features.model_copy(update={"mean": None, "std": None}))  # lists can't be looked up


@functools.lru_cache(maxsize=16)  # each piece of a stream asks
def _highest(features: LogMelConfig) -> float:
    width = float(mel_filterbank(features).sum(0).max())
    largest = math.log(width) + features.power * (math.log(features.window_length / 2) + HEADROOM)
    return largest if features.log == "ln" else largest / LN_10


def _other_logarithm(mel: Tensor, features: LogMelConfig) -> bool:
    """Whether a mel (M, F) is that of recorded speech in the other logarithm, which squeezes or stretches it by ln 10.

    Three things must agree: it spans as much as speech would so, frames are as unequally loud, and bands are as rough.
    """
    natural = mel if features.log == "ln" else mel * LN_10
    natural = natural / features.power
    some = natural.flatten()[:: max(natural.numel() // 100_000, 1)]
    low, high = some.quantile(torch.tensor([0.005, 0.995]))
    span = float(high - low)
    if features.log == "log10":
        return span > 13 and _roughness(natural, features) > 1.1 * LN_10 * _smoothest_speech(features)
    lowest = math.log(features.floor) / features.power / LN_10 - 1.5  # quiet speech lies on its own floor
    if not (3.5 < span < 5.6 and 0.8 < natural.std() < 1.3 and natural.mean(0).std() > 0.3 and natural.min() > lowest):
        return False
    return 0.38 < _roughness(natural, features) < _smoothest_speech(features)  # smoother: predicted by a network


def _smoothest_speech(features: LogMelConfig) -> float:
    """The roughness above which recorded speech lies: the more, the more of it passes in a hop."""
    return min(70 * features.hop_length / features.sample_rate, 0.8)


def _roughness(natural: Tensor, features: LogMelConfig) -> float:
    """How much bands change from frame to frame, in units of how much they do in noise; 0 if nearly nothing does.

    Of noise it is 1 whatever its level and colour, and of speech about as much: a measure of the logarithm alone.
    """
    change = (natural[:, 1:] - natural[:, :-1]).abs()
    heard = natural > natural.min() + 0.05
    both = heard[:, 1:] & heard[:, :-1]
    if both.float().mean() < 0.3:
        return 0.0
    plain = features.model_copy(update={"log": "ln", "mean": None, "std": None})
    noise = torch.randn(1, 2 * features.sample_rate, generator=torch.Generator().manual_seed(0))
    noise = LogMel(plain)(0.1 * noise)[0] / features.power
    usual = (noise[:, 1:] - noise[:, :-1]).abs().median(1, keepdim=True).values
    return float((change / usual.clamp(min=1e-3).to(change))[both].median())
