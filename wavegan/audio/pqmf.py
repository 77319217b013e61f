"""Pseudo-QMF filterbank: M bands at 1 / M of the sample rate, with near-perfect reconstruction (Nguyen 1994, IEEE
Transactions on Signal Processing 42(1), 65-76), with a Kaiser-windowed prototype (Lin and Vaidyanathan 1998, IEEE
Signal Processing Letters 5(6), 132-134).

Shapes: B batch, M bands, T samples, a multiple of M.
"""

from __future__ import annotations

import numpy as np
import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.core.config import Config


class PQMFConfig(Config):
    """Prototype low-pass of ``taps`` + 1 coefficients. ``cutoff``: 1 is half the sample rate.

    Defaults: 16 * bands - 2 taps, and the cut-off that reconstructs best at this beta, 1 / (2 * bands) + 1.054 / taps;
    for 4 bands these are the published 62 and 0.142.
    """

    taps: int | None = Field(None, ge=2, le=4096, multiple_of=2)
    cutoff: float | None = Field(None, gt=0, lt=1)
    beta: float = Field(9.0, ge=0)


class PQMF(nn.Module):
    """Fixed cosine-modulated filters; analysis followed by synthesis has no delay."""

    def __init__(self, bands: int, config: PQMFConfig):
        super().__init__()
        self.bands, self.taps = bands, config.taps or 16 * bands - 2
        cutoff = config.cutoff or 1 / (2 * bands) + 1.054 / self.taps
        time = np.arange(self.taps + 1) - self.taps / 2
        prototype = cutoff * np.sinc(cutoff * time) * np.kaiser(self.taps + 1, config.beta)
        band = np.arange(bands)[:, None]
        carrier, shift = (2 * band + 1) * np.pi / (2 * bands) * time, (-1.0) ** band * np.pi / 4
        analysis, synthesis = 2 * prototype * np.cos(carrier + shift), 2 * prototype * np.cos(carrier - shift)
        # A transposed convolution runs its kernel backwards; M makes up for the samples that decimation drops.
        for name, filters in (("analysis", analysis), ("synthesis", bands * synthesis[:, ::-1])):
            self.register_buffer(f"{name}_filters", torch.from_numpy(filters.copy()).float()[:, None], persistent=False)

    def analysis(self, waveform: Tensor) -> Tensor:
        """(B, 1, T) -> (B, M, T / M), low band first."""
        return F.conv1d(waveform, self.analysis_filters, stride=self.bands, padding=self.taps // 2)

    def synthesis(self, subbands: Tensor) -> Tensor:
        """(B, M, T / M) -> (B, 1, T)."""
        ends = {"padding": self.taps // 2, "output_padding": self.bands - 1}
        return F.conv_transpose1d(subbands, self.synthesis_filters, stride=self.bands, **ends)
