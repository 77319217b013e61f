"""Classifiers of generated clips: networks on log-mel frames (1-D) or on the log-mel image (2-D).

Shapes: B batch, N clips, T samples, M mel bands, F frames, D features.
"""

from __future__ import annotations

from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.core.config import Config

Kind = Literal["frames", "image"]


class JudgeConfig(Config):
    """``length``: samples of a clip as it is judged; longer ones are cut. ``accuracy``: on the test clips, 0 to 1.
    ``corpus``: a digest of the clips that it was trained and tested on.
    """

    kind: Kind
    classes: list[str] = Field(min_length=2)
    sample_rate: int
    length: int
    seed: int = 0
    accuracy: float | None = None
    corpus: str = ""

    @property
    def features(self) -> LogMelConfig:
        """Windows of 32 ms in slaney mels for "frames", of 50 ms in HTK mels for "image"."""
        # The floor lies above the dither of 16-bit files: digital silence says nothing about what is said.
        if self.kind == "frames":
            n_fft, hop, n_mels, scale = 0.032, 0.008, 64, {"mel_scale": "slaney"}
        else:
            n_fft, hop, n_mels, scale = 0.050, 0.010, 40, {"mel_scale": "htk", "mel_norm": "none"}
        n_fft, hop = 2 * round(n_fft * self.sample_rate / 2), round(hop * self.sample_rate)
        return LogMelConfig(
            sample_rate=self.sample_rate, n_fft=n_fft, hop_length=hop, n_mels=n_mels, floor=1e-2, **scale
        )


class Judge(nn.Module):
    """Waveform (B, 1, T) -> logits (B, classes) and features (B, D), D = 128."""

    def __init__(self, contents: JudgeConfig):
        super().__init__()
        self.config = contents
        self.log_mel = LogMel(contents.features)
        self.shift, self.scale = contents.features.normal_range
        n_mels, two = contents.features.n_mels, contents.kind == "image"
        widths = [1, 16, 32, 64, 64] if two else [n_mels, 64, 96, 96, 96]
        conv, norm, size = (nn.Conv2d, nn.BatchNorm2d, 3) if two else (nn.Conv1d, nn.BatchNorm1d, 5)
        pool = (nn.MaxPool2d if two else nn.MaxPool1d)(2, ceil_mode=True)
        layers: list[nn.Module] = []
        for c_in, c_out in zip(widths, widths[1:], strict=False):
            layers += [conv(c_in, c_out, size, padding=size // 2), norm(c_out), nn.ReLU(), pool]
        self.body = nn.Sequential(*layers)
        self.hidden = nn.Linear(2 * widths[-1], 128)
        self.out = nn.Linear(128, len(contents.classes))

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        missing = self.config.length - waveform.shape[-1]
        waveform = F.pad(waveform, (0, missing))  # cuts where it is negative
        x = (self.log_mel(waveform) - self.shift) * self.scale
        x = self.body(x.unsqueeze(1) if self.config.kind == "image" else x).flatten(2)
        features = F.relu(self.hidden(F.dropout(torch.cat([x.mean(2), x.amax(2)], 1), 0.3, self.training)))
        return self.out(features), features

    @torch.inference_mode()
    def hear(self, clips: Tensor, batch_size: int = 256) -> tuple[Tensor, Tensor]:
        """Probabilities (N, classes) and features (N, D) of clips (N, 1, T)."""
        results = [self.eval()(part) for part in clips.split(batch_size)]
        return torch.cat([r[0].softmax(1) for r in results]), torch.cat([r[1] for r in results])
