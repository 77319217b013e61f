"""Changes of pitch and speed of a voice by its log-mel. Shapes: B batch, M mel bands, F frames."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wavegan.audio.log_mel import LogMelConfig


def mel_frequencies(config: LogMelConfig) -> Tensor:
    """Centre of each band in Hz, (M,), equal to ``librosa.mel_frequencies(M + 2, ...)[1:-1]``."""
    linear, corner, log_step = 200 / 3, 1000.0, math.log(6.4) / 27  # slaney: linear below 1 kHz, logarithmic above

    def to_mel(hertz: float) -> float:
        if config.mel_scale == "htk":
            return 2595 * math.log10(1 + hertz / 700)
        return hertz / linear if hertz < corner else corner / linear + math.log(hertz / corner) / log_step

    mels = torch.linspace(to_mel(config.fmin), to_mel(config.upper_frequency), config.n_mels + 2).double()[1:-1]
    if config.mel_scale == "htk":
        return (700 * (10 ** (mels / 2595) - 1)).float()
    above = corner * torch.exp(log_step * (mels - corner / linear))
    return torch.where(mels < corner / linear, mels * linear, above).float()


def shift_bands(mel: Tensor, config: LogMelConfig, semitones: float) -> Tensor:
    """Shift the pitch and formants of a log-mel (..., M, F) up by ``semitones``; silence fills the top."""
    centres = mel_frequencies(config).numpy()
    sources = centres / 2 ** (semitones / 12)
    position = torch.from_numpy(np.interp(sources, centres, np.arange(len(centres)))).float()
    below = position.floor().long()
    above = (below + 1).clamp(max=len(centres) - 1)
    weight = (position - below).unsqueeze(-1)
    shifted = torch.lerp(mel[..., below, :], mel[..., above, :], weight)
    mean, std = torch.tensor(config.mean or [0.0]), torch.tensor(config.std or [1.0])
    silence = ((config.log_floor - mean) / std).expand(len(centres)).unsqueeze(-1)
    beyond = torch.from_numpy(sources > centres[-1]).unsqueeze(-1)
    return torch.where(beyond, silence.to(mel), shifted)


def stretch_frames(mel: Tensor, speed: float) -> Tensor:
    """Speed up a log-mel (B, M, F) to (B, M, round(F / speed)) by interpolating frames."""
    return F.interpolate(mel, size=max(round(mel.shape[-1] / speed), 1), mode="linear")
