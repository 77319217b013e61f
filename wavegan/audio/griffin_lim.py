"""Griffin-Lim vocoder, a baseline without learning.

Shapes: B batch, M mel bands, F frames, T samples.
"""

from __future__ import annotations

import torch
import torchaudio
from torch import Tensor, nn

from wavegan.audio.log_mel import LogMel, LogMelConfig

ITERATIONS = 60
SETTINGS = {"power": 1.0, "n_iter": ITERATIONS, "momentum": 0.99, "rand_init": True}


class GriffinLim(nn.Module):
    """Log-mel (B, M, F), frames centred -> waveform (B, 1, T): magnitudes by the pseudo-inverse of the mel filterbank,
    phases by 60 iterations with momentum 0.99 (Perraudin 2013) from a fixed seed.
    """

    def __init__(self, features: LogMelConfig):
        super().__init__()
        self.log_mel = LogMel(features)

    def forward(self, x: Tensor, length: int | None = None) -> Tensor:
        """``length``: T; by default from the centre of the first frame to that of the last."""
        c = self.log_mel.config
        magnitude = (torch.linalg.pinv(self.log_mel.filterbank.T) @ self.log_mel.to_magnitude(x)).clamp(min=0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            sizes = (c.n_fft, c.hop_length, c.window_length)
            waveform = torchaudio.functional.griffinlim(
                magnitude, self.log_mel.window, *sizes, length=length, **SETTINGS
            )
        return waveform[:, None]
