"""Signal processing: STFT and inverse in real arithmetic, the mel filterbank, and LogMel, the feature contract.

Shapes: B batch, T samples, F frames, M mel bands, K = n_fft / 2 + 1 frequency bins.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import torch
import torchaudio
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.audio.stft import Padding, hann_window, pad_signal, padding_length
from wavegan.core.config import Config


class LogMelConfig(Config):
    """Everything two programs must agree on before one can read the other's mels.

    ``padding``: "center" pads n_fft / 2 on each side (librosa's default; 1 + T // hop frames), "same" pads
    (n_fft - hop) / 2 (HiFi-GAN's; T // hop frames). ``power``: 1 magnitude, 2 power. ``floor``: smallest value
    before the logarithm. ``epsilon``: added to the power before the square root. ``window``: hann_symmetric is
    NeMo's, whose two ends are equal. ``mean``/``std``: optional standardisation of each band after the logarithm.
    """

    sample_rate: int = Field(ge=1000, le=384000)
    n_fft: int = Field(ge=16, le=8192, multiple_of=2)  # a table of an inverse STFT is of its square
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

    @model_validator(mode="after")
    def _check(self) -> LogMelConfig:
        if self.hop_length > self.n_fft // 2:
            raise ValueError(f"hop_length {self.hop_length} must be at most n_fft / 2 = {self.n_fft // 2}")
        if not 0 < self.window_length <= self.n_fft:
            raise ValueError(f"win_length {self.win_length} must lie between 1 and n_fft = {self.n_fft}")
        if not self.fmin < self.upper_frequency <= self.sample_rate / 2:
            raise ValueError(f"fmax {self.upper_frequency} must lie above fmin and at most at sample_rate / 2")
        if self.padding == "same" and (self.n_fft - self.hop_length) % 2:
            raise ValueError(f"padding 'same' needs n_fft - hop_length even, got {self.n_fft} - {self.hop_length}")
        for name in ("mean", "std"):
            values = getattr(self, name)
            if values is not None and len(values) != self.n_mels:
                raise ValueError(f"{name} must have n_mels = {self.n_mels} values, got {len(values)}")
        if (self.mean is None) != (self.std is None):
            raise ValueError("mean and std go together")
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
        """The smallest value a log-mel of this contract can hold (before mean and std)."""
        return math.log(self.floor) if self.log == "ln" else math.log10(self.floor)

    @property
    def normal_range(self) -> tuple[float, float]:
        """(shift, scale) such that (mel - shift) * scale is -1 at the floor and 3 for a full-scale tone.

        Clips are silence for the most part, so that their mean then lies near 0 and their deviation near 1.
        """
        peak = max(float(mel_filterbank(self).amax(0).median()), 1e-6)
        loudest = math.log((self.window_length / 4) ** self.power * peak)
        loudest = loudest if self.log == "ln" else loudest / math.log(10)
        scale = 4 / (loudest - self.log_floor)
        return self.log_floor + 1 / scale, scale

    def diff(self, other: LogMelConfig) -> dict[str, tuple]:
        """The fields in which two contracts differ: {name: (ours, theirs)}."""
        fields = {name: name for name in LogMelConfig.model_fields}
        fields |= {"win_length": "window_length", "fmax": "upper_frequency"}  # None and its meaning are the same
        pairs = {name: (getattr(self, attr), getattr(other, attr)) for name, attr in fields.items()}
        return {name: pair for name, pair in pairs.items() if pair[0] != pair[1]}


def mel_window(config: LogMelConfig, n_fft: int | None = None) -> Tensor:
    """The window of a contract, of its length, or zero-padded to ``n_fft``."""
    return hann_window(config.window_length, n_fft, periodic=config.window == "hann")


def mel_filterbank(config: LogMelConfig) -> Tensor:
    """Triangular mel filterbank (K, M), equal to ``librosa.filters.mel(...).T``."""
    norm = None if config.mel_norm == "none" else config.mel_norm
    with torch.device("cpu"):  # its values are looked at where a module is built on the device "meta", too
        return torchaudio.functional.melscale_fbanks(
            config.n_fft // 2 + 1,
            config.fmin,
            config.upper_frequency,
            config.n_mels,
            config.sample_rate,
            norm=norm,
            mel_scale=config.mel_scale,
        )


class LogMel(nn.Module):
    """Log-mel spectrogram under a contract: waveform (B, T) or (B, 1, T) -> (B, M, F)."""

    CHUNK = 8192  # frames at once: hours of sound need no hours of spectrum in memory

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
        """Hops before and after its own that a frame is made of, and that its reflected ends need."""
        c = self.config
        amount = padding_length(c.n_fft, c.hop_length, c.padding)
        after = -(-amount // c.hop_length)
        return amount // c.hop_length + 1, after - 1 if c.padding == "center" else after  # centred on a hop's beginning

    def to_magnitude(self, mel: Tensor) -> Tensor:
        """Undo standardisation, logarithm and power: (B, M, F) -> mel-band magnitudes."""
        mel = mel * self.std + self.mean
        linear = mel.exp() if self.config.log == "ln" else torch.pow(10.0, mel)
        return linear.sqrt() if self.config.power == 2 else linear


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
    """A log-mel (..., M, F) whose voice, pitch and formants alike, lies ``semitones`` higher; silence fills the top."""
    centres = mel_frequencies(config).numpy()
    wanted = centres / 2 ** (semitones / 12)
    position = torch.from_numpy(np.interp(wanted, centres, np.arange(len(centres)))).float()
    below = position.floor().long()
    above = (below + 1).clamp(max=len(centres) - 1)
    weight = (position - below).unsqueeze(-1)
    shifted = torch.lerp(mel[..., below, :], mel[..., above, :], weight)
    mean, std = torch.tensor(config.mean or [0.0]), torch.tensor(config.std or [1.0])
    silence = ((config.log_floor - mean) / std).expand(len(centres)).unsqueeze(-1)
    beyond = torch.from_numpy(wanted > centres[-1]).unsqueeze(-1)
    return torch.where(beyond, silence.to(mel), shifted)


def stretch_frames(mel: Tensor, speed: float) -> Tensor:
    """A log-mel (B, M, F) spoken ``speed`` times as fast, (B, M, round(F / speed)): frames are interpolated."""
    return F.interpolate(mel, size=max(round(mel.shape[-1] / speed), 1), mode="linear")
