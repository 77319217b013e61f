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


class ClassifierConfig(Config):
    """``length``: samples of its input; longer clips are cut. ``accuracy``: on the test clips, 0 to 1. ``corpus``: a
    digest of the training and test clips.
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
        # The floor is above the dither of 16-bit files, so that digital silence isn't a feature.
        if self.kind == "frames":
            n_fft, hop, n_mels, scale = 0.032, 0.008, 64, {"mel_scale": "slaney"}
        else:
            n_fft, hop, n_mels, scale = 0.050, 0.010, 40, {"mel_scale": "htk", "mel_norm": "none"}
        n_fft, hop = 2 * round(n_fft * self.sample_rate / 2), round(hop * self.sample_rate)
        return LogMelConfig(
            sample_rate=self.sample_rate, n_fft=n_fft, hop_length=hop, n_mels=n_mels, floor=1e-2, **scale
        )


class Classifier(nn.Module):
    """Waveform (B, 1, T) -> logits (B, classes) and features (B, D), D = 128."""

    def __init__(self, config: ClassifierConfig):
        super().__init__()
        self.config = config
        self.log_mel = LogMel(config.features)
        self.shift, self.scale = config.features.normal_range
        n_mels, is_image = config.features.n_mels, config.kind == "image"
        widths = [1, 16, 32, 64, 64] if is_image else [n_mels, 64, 96, 96, 96]
        conv, norm, size = (nn.Conv2d, nn.BatchNorm2d, 3) if is_image else (nn.Conv1d, nn.BatchNorm1d, 5)
        pool = (nn.MaxPool2d if is_image else nn.MaxPool1d)(2, ceil_mode=True)
        layers: list[nn.Module] = []
        for c_in, c_out in zip(widths, widths[1:], strict=False):
            layers += [conv(c_in, c_out, size, padding=size // 2), norm(c_out), nn.ReLU(), pool]
        self.body = nn.Sequential(*layers)
        self.hidden = nn.Linear(2 * widths[-1], 128)
        self.out = nn.Linear(128, len(config.classes))

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        missing = self.config.length - waveform.shape[-1]
        waveform = F.pad(waveform, (0, missing))  # cuts if negative
        x = (self.log_mel(waveform) - self.shift) * self.scale
        x = self.body(x.unsqueeze(1) if self.config.kind == "image" else x).flatten(2)
        features = F.relu(self.hidden(F.dropout(torch.cat([x.mean(2), x.amax(2)], 1), 0.3, self.training)))
        return self.out(features), features

    @torch.inference_mode()
    def predict(self, clips: Tensor, batch_size: int = 256) -> tuple[Tensor, Tensor]:
        """Probabilities (N, classes) and features (N, D) of clips (N, 1, T)."""
        outputs = [self.eval()(batch) for batch in clips.split(batch_size)]
        return torch.cat([logits.softmax(1) for logits, _ in outputs]), torch.cat([features for _, features in outputs])
