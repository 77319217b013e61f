"""The fast family: a ConvNeXt backbone at frame rate and an inverse STFT (Siuzdak 2024, arXiv 2306.00814).

Shapes: B batch, M mel bands, F frames, C = dim, K = n_fft / 2 + 1, T = F * hop_length samples.
"""

from __future__ import annotations

import math
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.audio.stft import STFT, InverseSTFT
from wavegan.models.generators.base import BaseGeneratorConfig, Generator
from wavegan.models.generators.receptive_field import ReceptiveField
from wavegan.models.layers import ConvNeXtBlock, same_conv
from wavegan.tasks.base import BaseTaskConfig

MOMENTUM = 0.99


class SpectralConfig(BaseGeneratorConfig):
    """Spectral generator.

    ``head``: "prior" adds a residual to the log-amplitude that the mel's pseudo-inverse gives (Lv 2024, FreeV,
    arXiv 2406.08196) and takes the phase from a normalised (real, imag) pair; "free" is the same without the
    pseudo-inverse; "polar" is Vocos, published in the size ``VOCOS``. ``causal``: no look-ahead except the overlap of
    the inverse STFT. ``refinements``: iterations of Griffin and Lim's algorithm with momentum after the head, trained
    end to end; each adds a window of context on both sides. ``refinement_start``: the share of the training's steps
    before they join: they help once the phases are nearly right. A trained model always refines.
    """

    weightless: ClassVar = frozenset({"refinements", "refinement_start"})

    name: Literal["spectral"] = "spectral"
    dim: int = Field(192, ge=1)
    num_blocks: int = Field(6, ge=1, le=1024)
    expansion: int = Field(3, ge=1)
    kernel_size: int = Field(7, ge=1, le=1024)
    head: Literal["prior", "free", "polar"] = "prior"
    causal: bool = False
    refinements: int = Field(0, ge=0, le=64)
    refinement_start: float = Field(0.0, ge=0, le=1)

    def check_features(self, features: LogMelConfig) -> str | None:
        if self.kernel_size % 2 == 0 and not self.causal:
            return f"generator.kernel_size must be odd, got {self.kernel_size}"
        if self.causal and self.refinements:
            return "generator.refinements look ahead, generator.causal doesn't: leave one out"
        if self.refinement_start and not self.refinements:
            return "generator.refinement_start is for generators with refinements: set it to 0"
        istft = InverseSTFT(features.n_fft, features.hop_length, features.win_length, features.padding)
        if not istft.smallest_envelope() > 0.05:
            return f"hop_length {features.hop_length} is too long for a window of {features.window_length}: use a third"
        return None

    def refinement_step(self, max_steps: int) -> int:
        """First step with refinements."""
        return round(self.refinement_start * max_steps)

    def stages(self, max_steps: int) -> dict[str, int]:
        return {f"{self.refinements} refinements": self.refinement_step(max_steps)} if self.refinements else {}

    def build(self, task: BaseTaskConfig) -> SpectralGenerator:
        return SpectralGenerator(self, task.features)


VOCOS = SpectralConfig(dim=512, num_blocks=8, head="polar")


class SpectralGenerator(Generator):
    """Log-mel (B, M, F) -> waveform (B, 1, T)."""

    def __init__(self, config: SpectralConfig, features: LogMelConfig):
        super().__init__()
        c = config
        self.config = config
        self.refining = True
        # Log-mels of speech are about 5 nepers below 0; centred and scaled, the first layer learns faster.
        neper = 1.0 if features.log == "ln" else math.log(10)
        self.shift, self.scale = (0.0, 1.0) if features.mean or c.head == "polar" else (-5.0 / neper, 0.4 * neper)
        self.embed = same_conv(features.n_mels, c.dim, c.kernel_size, causal=c.causal)
        self.norm = nn.LayerNorm(c.dim, eps=1e-6)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(c.dim, c.expansion * c.dim, c.kernel_size, 1 / c.num_blocks, c.causal)
            for _ in range(c.num_blocks)
        )
        self.final_norm = nn.LayerNorm(c.dim, eps=1e-6)
        self.head = {"prior": PriorHead, "free": FreeHead, "polar": PolarHead}[c.head](c.dim, features)
        self.istft = InverseSTFT(features.n_fft, features.hop_length, features.win_length, features.padding)
        self.stft = STFT(features.n_fft, features.hop_length, features.win_length, features.padding)
        self.apply(_initialise)

    def at(self, step: int, max_steps: int) -> None:
        self.refining = step >= self.config.refinement_step(max_steps)

    def forward(self, x: Tensor, label: Tensor | None = None, first_frame: int | Tensor = 0) -> Tensor:
        real, imag = self.spectrum(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.istft(self.refine(real, imag))

    def generate(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor]:
        real, imag = self.spectrum(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.istft(self.refine(real, imag)), torch.complex(real, imag)

    def spectrum(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Predicted STFT, (real, imag), each (B, K, F), before refinements, so that losses reach the head directly."""
        hidden = self.norm(self.embed((x - self.shift) * self.scale).transpose(1, 2)).transpose(1, 2)
        for block in self.blocks:
            hidden = block(hidden)
        hidden = self.final_norm(hidden.transpose(1, 2))
        with torch.autocast(x.device.type, enabled=False):
            return self.head(hidden.float(), x.float())

    def refine(self, real: Tensor, imag: Tensor) -> Tensor:
        """(real, imag), each (B, K, F) -> (B, F, K, 2): the same amplitudes, phases more consistent between frames.

        Each iteration projects onto the spectra of waveforms (Griffin 1984) and continues in the direction of the last
        step (Perraudin 2013, "A fast Griffin-Lim algorithm", equation 8). Where frames cancel each other the amplitude
        is lower, so that no gradient explodes.
        """
        spectrum, last = torch.stack([real, imag], dim=-1).transpose(1, 2).contiguous(), None
        count = self.config.refinements if self.refining else 0
        power = (real.square() + imag.square()).transpose(1, 2)
        amplitude, least = (power + 1e-12).sqrt(), 1e-2 * power + 1e-12
        for _ in range(count):
            seen = self.stft(self.istft(spectrum))
            moved = seen if last is None else last.lerp(seen, 1 + MOMENTUM)
            last = seen
            real, imag = moved.unbind(-1)  # a sum over two neighbours would be slow
            scale = amplitude * torch.rsqrt(torch.addcmul(torch.addcmul(least, real, real), imag, imag))
            spectrum = moved * scale.unsqueeze(-1)
        return spectrum

    @property
    def context_frames(self) -> tuple[int, int]:
        """Frames before and after a frame that its samples depend on: the inverse STFT's overlap, the convolutions."""
        field = ReceptiveField(*self.istft.frames_of(0, self.istft.hop_length - 1))
        window = self.istft.frames_of(-self.istft.trim, self.istft.n_fft - 1 - self.istft.trim)  # frames it overlaps
        for _ in range(self.config.refinements):
            field = field.wider(-window[0], window[1])
        return field.through(*(block.dwconv for block in self.blocks), self.embed).context_frames


class FreeHead(nn.Module):
    """Amplitude = exp(output); phase = (real, imag) / |(real, imag)|, no atan2."""

    def __init__(self, dim: int, features: LogMelConfig):
        super().__init__()
        self.out = nn.Linear(dim, 3 * (features.n_fft // 2 + 1))

    def forward(self, hidden: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        log_amplitude, real, imag = self.out(hidden).transpose(1, 2).chunk(3, dim=1)
        # The clamp only keeps an untrained network from overflowing; speech needs residuals of about +-8.
        amplitude = self.prior(mel) * log_amplitude.clamp(max=12.0).exp()
        scale = amplitude * torch.rsqrt(real.square() + imag.square() + 1e-12)
        return scale * real, scale * imag

    def prior(self, mel: Tensor) -> Tensor | float:
        """The amplitude that the network's output scales."""
        return 1.0


class PriorHead(FreeHead):
    """Amplitude = pseudo-inverse of the mel x exp(output)."""

    def __init__(self, dim: int, features: LogMelConfig):
        super().__init__(dim, features)
        self.log_mel = LogMel(features)
        inverse = torch.linalg.pinv(self.log_mel.filterbank.double()).float()  # (M, K)
        self.register_buffer("inverse_filterbank", inverse, persistent=False)

    def prior(self, mel: Tensor) -> Tensor:
        bands = self.log_mel.to_magnitude(mel).transpose(1, 2)
        return (bands @ self.inverse_filterbank).abs().clamp(min=1e-5).transpose(1, 2)


class PolarHead(nn.Module):
    """Amplitude = exp(output), at most 100; phase = an angle (Siuzdak 2024, section 3.2)."""

    def __init__(self, dim: int, features: LogMelConfig):
        super().__init__()
        self.out = nn.Linear(dim, 2 * (features.n_fft // 2 + 1))

    def forward(self, hidden: Tensor, mel: Tensor) -> tuple[Tensor, Tensor]:
        log_amplitude, phase = self.out(hidden).transpose(1, 2).chunk(2, dim=1)
        amplitude = log_amplitude.exp().clamp(max=100.0)
        return amplitude * phase.cos(), amplitude * phase.sin()


def _initialise(module: nn.Module) -> None:
    if isinstance(module, (nn.Conv1d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(module.bias)
