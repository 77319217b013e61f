"""STFT and its inverse in real arithmetic.

Shapes: B batch, T samples, F frames, K = n_fft / 2 + 1 frequency bins.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

Padding = Literal["center", "same"]


def padding_length(n_fft: int, hop_length: int, padding: Padding) -> int:
    """Samples that framing adds on each side."""
    return n_fft // 2 if padding == "center" else (n_fft - hop_length) // 2


def pad_signal(waveform: Tensor, n_fft: int, hop_length: int, padding: Padding) -> Tensor:
    """Reflect-pad (B, T) for framing; a signal shorter than the padding is extended with zeros."""
    amount = padding_length(n_fft, hop_length, padding)
    missing = amount + 1 - waveform.shape[-1]
    if missing > 0:
        waveform = F.pad(waveform, (0, missing))
    padded = F.pad(waveform.unsqueeze(1), (amount, amount), mode="reflect").squeeze(1)
    return padded[..., : padded.shape[-1] - max(missing, 0)]


def stft(waveform: Tensor, n_fft: int, hop_length: int, window: Tensor, padding: Padding = "center") -> Tensor:
    """Complex short-time Fourier transform, (B, T) -> (B, K, F); reflect padding, no normalisation."""
    padded = pad_signal(waveform.float(), n_fft, hop_length, padding)
    return torch.stft(
        padded, n_fft, hop_length, len(window), window.float(), center=False, onesided=True, return_complex=True
    )


class InverseSTFT(nn.Module):
    """Inverse STFT: real and imaginary parts (B, F, K, 2) -> (B, 1, T) with T = F * hop_length exactly.

    Equals ``torch.istft`` ("center": with ``length=F * hop_length``; "same": with the (n_fft - hop) / 2 padded samples
    cut off). In an exported graph the FFT is a matrix product, without complex numbers, which ONNX doesn't have.
    """

    def __init__(self, n_fft: int, hop_length: int, win_length: int | None = None, padding: Padding = "center"):
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.overlap = math.ceil(n_fft / hop_length)
        self.trim = padding_length(n_fft, hop_length, padding)
        self.missing = self.overlap * hop_length - n_fft  # pads the frames to a whole number of hops
        window = hann_window(win_length or n_fft, n_fft)
        self.register_buffer("window", window, persistent=False)
        self.register_buffer("window_square", F.pad(window.square(), (0, self.missing)), persistent=False)
        weight = torch.full((n_fft // 2 + 1, 1, 1), 2.0 / n_fft)
        weight[0] = weight[-1] = 1.0 / n_fft  # DC and Nyquist have no mirror image
        self.register_buffer("basis", (weight * _basis(n_fft)).flatten(0, 1).float(), persistent=False)

    def forward(self, spectrum: Tensor) -> Tensor:
        if torch.compiler.is_exporting():
            frames = spectrum.flatten(2) @ self.basis
        else:
            frames = torch.fft.irfft(torch.view_as_complex(spectrum), self.n_fft)
        frames = F.pad(frames * self.window, (0, self.missing))  # (B, F, overlap * hop)
        return (self._overlap_add(frames) / self._envelope(frames.shape[1])).unsqueeze(1)

    def frames_of(self, first: int, last: int) -> tuple[int, int]:
        """First and last frame whose window isn't 0 in the samples ``first`` to ``last``."""
        support = self.window_square.nonzero().flatten()
        begin, end = int(support[0]), int(support[-1])
        return -((end - first - self.trim) // self.hop_length), (last + self.trim - begin) // self.hop_length

    def smallest_envelope(self) -> float:
        """Smallest divisor of the overlap-add; near 0, the ends of the waveform would explode."""
        return float(self._envelope(num_frames=2 * self.overlap).min())

    def _envelope(self, num_frames: int) -> Tensor:
        return self._overlap_add(self.window_square.expand(1, num_frames, -1))

    def _overlap_add(self, frames: Tensor) -> Tensor:
        """(B, F, overlap * hop) -> (B, F * hop), by summing `overlap` shifted copies and trimming the padding."""
        pieces = frames.unflatten(2, (self.overlap, self.hop_length))
        shifted = [F.pad(pieces[:, :, i], (0, 0, i, self.overlap - 1 - i)) for i in range(self.overlap)]
        total = shifted[0]
        for piece in shifted[1:]:
            total = total + piece
        return total.flatten(1)[:, self.trim : self.trim + frames.shape[1] * self.hop_length]


class STFT(nn.Module):
    """Inverse of ``InverseSTFT``: (B, 1, T) -> real and imaginary parts (B, F, K, 2) with F = T / hop_length.

    Equals ``stft`` except that the waveform is padded with zeros. Exported like its inverse.
    """

    def __init__(self, n_fft: int, hop_length: int, win_length: int | None = None, padding: Padding = "center"):
        super().__init__()
        self.n_fft, self.hop_length = n_fft, hop_length
        self.trim = padding_length(n_fft, hop_length, padding)
        self.register_buffer("window", hann_window(win_length or n_fft, n_fft), persistent=False)
        self.register_buffer("basis", _basis(n_fft).flatten(0, 1).T.contiguous().float(), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        padded = F.pad(waveform.squeeze(1), (self.trim, self.n_fft - self.hop_length - self.trim))
        frames = padded.unfold(1, self.n_fft, self.hop_length) * self.window
        if torch.compiler.is_exporting():
            return (frames @ self.basis).unflatten(2, (-1, 2))
        return torch.view_as_real(torch.fft.rfft(frames))


def _basis(n_fft: int) -> Tensor:
    """Real and imaginary parts of the DFT basis, (K, 2, n_fft), in float64."""
    angle = 2 * math.pi * torch.outer(torch.arange(n_fft // 2 + 1.0), torch.arange(n_fft)).double() / n_fft
    return torch.stack([angle.cos(), -angle.sin()], dim=1)


def hann_window(win_length: int, n_fft: int | None = None, periodic: bool = True) -> Tensor:
    """Hann window, zero-padded on both sides to ``n_fft``, as torch.stft does."""
    window = torch.hann_window(win_length, periodic=periodic)
    if n_fft is None or n_fft == win_length:
        return window
    left = (n_fft - win_length) // 2
    return F.pad(window, (left, n_fft - win_length - left))
