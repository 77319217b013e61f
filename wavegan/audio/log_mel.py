"""Log-mel spectrograms, and the contract that two programs need to exchange them.

Shapes: B batch, T samples, F frames, M mel bands, K = n_fft / 2 + 1 frequency bins.
"""

from __future__ import annotations

import math
from typing import Any, Literal

import torch
import torchaudio
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.audio.mel_defaults import fields_of
from wavegan.audio.stft import Padding, hann_window, pad_signal, padding_length
from wavegan.core.config import Config


class LogMelConfig(Config):
    """Everything two programs must agree on before one can read the other's mels.

    The name of a convention, such as "hifigan", stands for its fields (``mel_defaults.CONVENTIONS``).

    ``padding``: "center" pads n_fft / 2 on each side (librosa's default; 1 + T // hop frames), "same" pads
    (n_fft - hop) / 2 (HiFi-GAN's; T // hop frames). ``power``: 1 magnitude, 2 power. ``floor``: smallest value
    before the logarithm. ``epsilon``: added to the power before the square root. ``window``: hann_symmetric is
    NeMo's, whose two ends are equal. ``mean``/``std``: optional standardisation of each band after the logarithm.
    """

    sample_rate: int = Field(ge=1000, le=384000)
    n_fft: int = Field(ge=16, le=8192, multiple_of=2)  # the table of an inverse STFT grows with its square
    hop_length: int = Field(ge=1)
    win_length: int | None = None
    n_mels: int = Field(ge=1, le=1024)
    fmin: float = Field(0.0, ge=0)
    fmax: float | None = None
    mel_scale: Literal["slaney", "htk"] = "slaney"
    mel_norm: Literal["slaney", "none"] = "slaney"
    padding: Padding = "center"
    power: Literal[1, 2] = 1
    log: Literal["ln", "log10"] = "ln"
    floor: float = Field(1e-5, gt=0)
    epsilon: float = Field(0.0, ge=0)
    window: Literal["hann", "hann_symmetric"] = "hann"
    mean: list[float] | None = None
    std: list[float] | None = None

    @model_validator(mode="before")
    @classmethod
    def _by_name(cls, data: Any) -> Any:
        return fields_of(data) if isinstance(data, str) else data

    @model_validator(mode="after")
    def _check(self) -> LogMelConfig:
        if self.hop_length > self.n_fft // 2:
            raise ValueError(f"hop_length {self.hop_length} must be at most n_fft / 2 = {self.n_fft // 2}")
        if not 0 < self.window_length <= self.n_fft:
            raise ValueError(f"win_length {self.win_length} must be between 1 and n_fft = {self.n_fft}")
        if not self.fmin < self.upper_frequency <= self.sample_rate / 2:
            raise ValueError(f"fmax {self.upper_frequency} must be above fmin and at most sample_rate / 2")
        if self.padding == "same" and (self.n_fft - self.hop_length) % 2:
            raise ValueError(f"padding 'same' needs n_fft - hop_length even, got {self.n_fft} - {self.hop_length}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None and len(values) != self.n_mels:
                raise ValueError(f"{name} must have n_mels = {self.n_mels} values, got {len(values)}")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std must be given together")
        if self.std is not None and min(self.std) <= 0:
            raise ValueError("std must be above 0 in every band")
        return self

    @property
    def window_length(self) -> int:
        return self.win_length or self.n_fft

    @property
    def upper_frequency(self) -> float:
        return self.sample_rate / 2 if self.fmax is None else self.fmax

    @property
    def log_floor(self) -> float:
        """Smallest value of a log-mel of this contract, before mean and std."""
        return math.log(self.floor) if self.log == "ln" else math.log10(self.floor)

    @property
    def normal_range(self) -> tuple[float, float]:
        """(shift, scale) such that (mel - shift) * scale is -1 at the floor and 3 for a full-scale tone.

        Clips are silence for the most part, so that their mean is then near 0 and their deviation near 1.
        """
        peak = max(float(mel_filterbank(self).amax(0).median()), 1e-6)
        loudest = math.log((self.window_length / 4) ** self.power * peak)
        loudest = loudest if self.log == "ln" else loudest / math.log(10)
        scale = 4 / (loudest - self.log_floor)
        return self.log_floor + 1 / scale, scale

    def diff(self, other: LogMelConfig) -> dict[str, tuple]:
        """Fields in which two contracts differ: {name: (ours, theirs)}."""
        fields = {name: name for name in LogMelConfig.model_fields}
        fields |= {"win_length": "window_length", "fmax": "upper_frequency"}  # None equals the default it stands for
        pairs = {name: (getattr(self, attr), getattr(other, attr)) for name, attr in fields.items()}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def mel_window(config: LogMelConfig, n_fft: int | None = None) -> Tensor:
    """Window of a contract, zero-padded to ``n_fft`` if given."""
    return hann_window(config.window_length, n_fft, periodic=config.window == "hann")


def mel_filterbank(c: LogMelConfig) -> Tensor:
    """Triangular mel filterbank (K, M), equal to ``librosa.filters.mel(...).T``."""
    norm = None if c.mel_norm == "none" else c.mel_norm
    with torch.device("cpu"):  # its values are needed even for modules on the device "meta"
        return torchaudio.functional.melscale_fbanks(
            c.n_fft // 2 + 1, c.fmin, c.upper_frequency, c.n_mels, c.sample_rate, norm=norm, mel_scale=c.mel_scale
        )


class LogMel(nn.Module):
    """Log-mel spectrogram under a contract: waveform (B, T) or (B, 1, T) -> (B, M, F)."""

    CHUNK = 8192  # frames at once: hours of sound don't need hours of spectrum in memory

    def __init__(self, config: LogMelConfig):
        super().__init__()
        self.config = config
        self.register_buffer("window", mel_window(config), persistent=False)
        self.register_buffer("filterbank", mel_filterbank(config), persistent=False)
        mean, std = config.mean or [0.0], config.std or [1.0]
        self.register_buffer("mean", torch.tensor(mean).unsqueeze(-1), persistent=False)
        self.register_buffer("std", torch.tensor(std).unsqueeze(-1), persistent=False)

    @torch.autocast("cpu", enabled=False)
    @torch.autocast("cuda", enabled=False)
    def forward(self, waveform: Tensor) -> Tensor:
        c = self.config
        waveform = waveform.squeeze(1) if waveform.dim() == 3 else waveform
        padded = pad_signal(waveform.float(), c.n_fft, c.hop_length, c.padding)
        num_frames = 1 + max(padded.shape[-1] - c.n_fft, 0) // c.hop_length
        pieces = []
        for start in range(0, num_frames, self.CHUNK):
            stop = min(start + self.CHUNK, num_frames)
            pieces.append(self._frames(padded[:, start * c.hop_length : (stop - 1) * c.hop_length + c.n_fft]))
        return torch.cat(pieces, dim=-1) if len(pieces) > 1 else pieces[0]

    def _frames(self, padded: Tensor) -> Tensor:
        c = self.config
        padded = F.pad(padded, (0, max(c.n_fft - padded.shape[-1], 0)))
        spectrum = torch.stft(
            padded, c.n_fft, c.hop_length, c.window_length, self.window, center=False, return_complex=True
        )
        power = torch.view_as_real(spectrum).square().sum(-1) + c.epsilon
        return self.from_magnitude((power if c.power == 2 else power.sqrt()).transpose(1, 2))

    def from_magnitude(self, magnitude: Tensor) -> Tensor:
        """Magnitudes, or powers, of frequency bins (B, F, K) -> (B, M, F)."""
        mel = (magnitude @ self.filterbank).transpose(1, 2).clamp(min=self.config.floor)
        return ((mel.log() if self.config.log == "ln" else mel.log10()) - self.mean) / self.std

    @property
    def context_frames(self) -> tuple[int, int]:
        """Context of a frame in hops before and after its own, including what its reflected ends need."""
        c = self.config
        amount = padding_length(c.n_fft, c.hop_length, c.padding)
        after = -(-amount // c.hop_length)
        return amount // c.hop_length + 1, after - 1 if c.padding == "center" else after  # centred on a hop's beginning

    def to_magnitude(self, mel: Tensor) -> Tensor:
        """Undo standardisation, logarithm and power: (B, M, F) -> mel-band magnitudes."""
        mel = mel * self.std + self.mean
        linear = mel.exp() if self.config.log == "ln" else torch.pow(10.0, mel)
        return linear.sqrt() if self.config.power == 2 else linear
