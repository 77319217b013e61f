"""Multi-resolution discriminator, MRD (Jang 2021, UnivNet, arXiv 2106.07889; complex input as in DAC, 2306.06546)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.audio.stft import hann_window, stft
from wavegan.models.discriminators.base import BaseDiscriminatorConfig, ConvDiscriminator, Discriminator
from wavegan.models.layers import weight_norm
from wavegan.tasks.base import BaseTaskConfig


class ResolutionConfig(BaseDiscriminatorConfig):
    """One sub-discriminator per resolution [n_fft, hop_length, win_length]; light: 16 complex channels, 512 and 256."""

    name: Literal["resolution"] = "resolution"
    resolutions: list[tuple[int, int, int]] = Field([(1024, 120, 600), (2048, 240, 1200), (512, 50, 240)], min_length=1)
    channels: int = Field(32, ge=1)
    input: Literal["magnitude", "complex"] = "magnitude"

    @field_validator("resolutions")
    @classmethod
    def _check(cls, resolutions: list[tuple[int, int, int]]) -> list[tuple[int, int, int]]:
        for n_fft, hop_length, win_length in resolutions:
            if not 0 < hop_length <= win_length <= n_fft:
                raise ValueError(
                    f"[{n_fft}, {hop_length}, {win_length}] should be [n_fft, hop, win], hop <= win <= n_fft"
                )
        return resolutions

    def build(self, task: BaseTaskConfig) -> list[Discriminator]:
        is_complex, sizes = self.input == "complex", task.label_sizes
        return [ResolutionDiscriminator(r, self.channels, is_complex, sizes) for r in self.resolutions]


class ResolutionDiscriminator(ConvDiscriminator):
    """(B, 1, T) -> logits (B, N), by 2-D convolutions over (frames, bins) of one STFT."""

    def __init__(
        self, resolution: tuple[int, int, int], channels: int, is_complex: bool, label_sizes: Sequence[int] = ()
    ):
        widths = [2 if is_complex else 1] + [channels] * 5
        kernels = [(3, 9)] * 4 + [(3, 3)]
        strides = [(1, 1), (1, 2), (1, 2), (1, 2), (1, 1)]
        convs = [
            weight_norm(nn.Conv2d(widths[i], widths[i + 1], kernels[i], strides[i], (1, kernels[i][1] // 2)))
            for i in range(5)
        ]
        conv_post = weight_norm(nn.Conv2d(channels, 1, 3, padding=1))
        super().__init__(convs, conv_post, partial(F.conv2d, padding=1), label_sizes)
        self.n_fft, self.hop_length, win_length = resolution
        self.is_complex = is_complex
        self.register_buffer("window", hann_window(win_length), persistent=False)

    def analyse(self, waveform: Tensor) -> Tensor:
        """(B, 1, T) -> (B, 1 or 2, F, K)."""
        with torch.autocast(waveform.device.type, enabled=False):
            spectrum = stft(waveform.squeeze(1), self.n_fft, self.hop_length, self.window)
            parts = torch.view_as_real(spectrum).permute(0, 3, 2, 1)  # (B, 2, F, K)
            # Without the epsilon the gradient of the magnitude is infinite in silence.
            return parts if self.is_complex else (parts.square().sum(1, keepdim=True) + 1e-9).sqrt()
