"""Building blocks shared by generators and discriminators."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations, parametrize


def weight_norm(module: nn.Module) -> nn.Module:
    """Weight normalisation, w = g * v / |v| (Salimans 2016, arXiv 1602.07868)."""
    return parametrizations.weight_norm(module)


def spectral_norm(module: nn.Module) -> nn.Module:
    """Spectral normalisation (Miyato 2018, arXiv 1802.05957)."""
    return parametrizations.spectral_norm(module)


def fold_weight_norm(module: nn.Module) -> nn.Module:
    """Replace every weight-normed weight in ``module`` by its product, in place: same output, less work.

    ``parametrize.remove_parametrizations`` edits a class that deep copies share, which breaks the original.
    """
    for child in module.modules():
        if parametrize.is_parametrized(child, "weight"):
            weight = child.weight.detach()
            del child._modules["parametrizations"]
            child.__class__ = type(child).__bases__[0]
            child.weight = nn.Parameter(weight)
    return module


def same_padding(kernel_size: int, dilation: int = 1) -> int:
    """Padding that keeps the length of an odd-sized convolution."""
    return (kernel_size - 1) * dilation // 2


def same_conv(
    in_channels: int, out_channels: int, kernel_size: int, dilation: int = 1, causal: bool = False, **options: Any
) -> nn.Conv1d:
    """An odd-sized convolution that keeps the length; a causal one may have any size."""
    if causal:
        return CausalConv1d(in_channels, out_channels, kernel_size, dilation=dilation, **options)
    padding = same_padding(kernel_size, dilation)
    return nn.Conv1d(in_channels, out_channels, kernel_size, dilation=dilation, padding=padding, **options)


class CausalConv1d(nn.Conv1d):
    """A convolution without look-ahead: all of its padding is before its input."""

    @property
    def left_padding(self) -> int:
        return (self.kernel_size[0] - 1) * self.dilation[0]

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(F.pad(x, (self.left_padding, 0)))


class CausalConvTranspose1d(nn.ConvTranspose1d):
    """A transposed convolution from F to F * stride; the excess at the end is cut off."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x)[..., : x.shape[-1] * self.stride[0]]


class LongConv1d(nn.Conv1d):
    """A convolution with a long kernel: the same mathematics, trained several times faster on a CPU.

    oneDNN's fast gradient of weights is limited to 14 taps and stride 1. So the phases of a stride become channels,
    and a long kernel becomes a sum of short ones.
    """

    MOST_TAPS = 14

    def forward(self, x: Tensor) -> Tensor:
        (size,), (stride,), (padding,) = self.kernel_size, self.stride, self.padding
        if x.device.type != "cpu" or size <= self.MOST_TAPS:
            return super().forward(x)
        length, taps = (x.shape[-1] + 2 * padding - size) // stride + 1, math.ceil(size / stride)
        needed = (length + taps - 1) * stride
        x = _phases(F.pad(x, (padding, needed - padding - x.shape[-1])), stride)
        weight = _phases(F.pad(self.weight, (0, taps * stride - size)), stride)
        part = math.ceil(taps / math.ceil(taps / self.MOST_TAPS))
        output = None
        for start in range(0, taps, part):
            size = min(part, taps - start)
            inputs, kernel = x[..., start : start + length + size - 1], weight[..., start : start + size]
            if output is None:
                output = F.conv1d(inputs, kernel, self.bias, groups=self.groups)
            else:
                output = output + F.conv1d(inputs, kernel, groups=self.groups)
        return output


def _phases(x: Tensor, stride: int) -> Tensor:
    """(B, C, N * stride) -> (B, C * stride, N): the samples of a stride as channels."""
    return x if stride == 1 else x.unflatten(2, (-1, stride)).transpose(2, 3).flatten(1, 2)


class LabelEmbeddings(nn.ModuleList):
    """One embedding per condition: labels (B, V) -> V tensors (B, dim); [] without labels."""

    def __init__(self, label_sizes: Sequence[int], dim: int):
        super().__init__(nn.Embedding(size, dim) for size in label_sizes)

    def forward(self, label: Tensor | None) -> list[Tensor]:
        return [] if label is None else [embedding(label[:, i]) for i, embedding in enumerate(self)]


def initialise_kaiming(module: nn.Module, slope: float = 0.2) -> None:
    """Variance-preserving weights for leaky ReLU (He 2015, arXiv 1502.01852), zero biases.

    PyTorch's default shrinks the signal at every layer: a GAN then spends its first thousand steps growing weights.
    """
    for child in module.modules():
        if isinstance(child, (nn.Conv1d, nn.Linear)):
            nn.init.kaiming_normal_(child.weight, slope)
            nn.init.zeros_(child.bias)


class ConvNeXtBlock(nn.Module):
    """1-D ConvNeXt block (Liu 2022, arXiv 2201.03545; Siuzdak 2024, arXiv 2306.00814), (B, C, F) -> (B, C, F)."""

    def __init__(self, dim: int, intermediate_dim: int, kernel_size: int, layer_scale: float, causal: bool = False):
        super().__init__()
        self.dwconv = same_conv(dim, dim, kernel_size, groups=dim, causal=causal)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, intermediate_dim)
        self.pwconv2 = nn.Linear(intermediate_dim, dim)
        self.gamma = nn.Parameter(torch.full((dim,), layer_scale))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.dwconv(x).transpose(1, 2))
        hidden = self.gamma * self.pwconv2(F.gelu(self.pwconv1(hidden)))
        return x + hidden.transpose(1, 2)


class Snake(nn.Module):
    """x + sin^2(alpha x) / beta, both per channel (Liu 2020, arXiv 2006.08195; Lee 2023, arXiv 2206.04658).

    Without ``separate_beta``, beta is alpha. ``log_scale``: the parameters are logarithms. (B, C, ...) -> (B, C, ...).
    """

    def __init__(self, channels: int, separate_beta: bool = True, log_scale: bool = True):
        super().__init__()
        self.log_scale = log_scale
        initial = torch.zeros(channels) if log_scale else torch.ones(channels)
        self.alpha = nn.Parameter(initial)
        self.beta = nn.Parameter(initial.clone()) if separate_beta else None

    def forward(self, x: Tensor) -> Tensor:
        alpha, beta = self._shaped(self.alpha), self._shaped(self.alpha if self.beta is None else self.beta)
        return torch.addcmul(x, torch.sin(alpha * x).square(), 1 / (beta + 1e-9))

    def _shaped(self, parameter: Tensor) -> Tensor:
        return (parameter.exp() if self.log_scale else parameter).unsqueeze(-1)


class AntiAliased(nn.Module):
    """An activation at twice the rate, between two low-pass filters, so that its overtones don't alias.

    Lee 2023 (arXiv 2206.04658, section 3.2), after Karras 2021 (arXiv 2106.12423). (B, C, T) -> (B, C, T).
    """

    TAPS = 12
    REACH = 5  # inputs before, and after, an output's position that it depends on

    def __init__(self, act: nn.Module):
        super().__init__()
        self.act = act
        self.register_buffer("filter", half_band(self.TAPS), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        channels = x.shape[1]
        taps = self.filter.expand(channels, 1, -1)
        # Three more samples on each side; the padding of the transposed convolution removes the excess.
        x = F.pad(x, (3, 3), mode="replicate")
        x = self.act(F.conv_transpose1d(x, 2 * taps, stride=2, padding=11, groups=channels))
        return F.conv1d(F.pad(x, (5, 6), mode="replicate"), taps, stride=2, groups=channels)


def half_band(num_taps: int) -> Tensor:
    """Low-pass filter (num_taps,) at a quarter of the rate, sum 1: a sinc under a Kaiser window.

    The window's beta is Kaiser's for the attenuation that a transition of 0.6 of the rate allows (Kaiser 1974).
    """
    attenuation = 2.285 * (num_taps // 2 - 1) * math.pi * 1.2 + 7.95
    window = torch.kaiser_window(num_taps, periodic=False, beta=0.1102 * (attenuation - 8.7))
    taps = window * torch.sinc((torch.arange(num_taps) - (num_taps - 1) / 2) / 2)
    return taps / taps.sum()
