"""Building blocks shared by generators and discriminators."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrizations, parametrize


def weight_norm(module: nn.Module) -> nn.Module:
    """Weight normalisation, w = g * v / |v| (Salimans 2016, arXiv 1602.07868)."""
    return parametrizations.weight_norm(module)


def spectral_norm(module: nn.Module) -> nn.Module:
    """Spectral normalisation (Miyato 2018, arXiv 1802.05957)."""
    return parametrizations.spectral_norm(module)


def fold_weight_norm(module: nn.Module) -> nn.Module:
    """Replace every weight-normed weight in ``module`` by its product, in place: same output, less work.

    Not by ``parametrize.remove_parametrizations``: that edits a class which deep copies share, and so breaks the
    module that a copy was made from.
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


class LabelEmbeddings(nn.ModuleList):
    """One embedding a condition: labels (B, V) -> V tensors (B, dim); none without labels."""

    def __init__(self, label_sizes: Sequence[int], dim: int):
        super().__init__(nn.Embedding(size, dim) for size in label_sizes)

    def forward(self, label: Tensor | None) -> list[Tensor]:
        return [] if label is None else [embedding(label[:, i]) for i, embedding in enumerate(self)]


def initialise_kaiming(module: nn.Module, slope: float = 0.2) -> None:
    """Variance-preserving weights for leaky ReLU (He 2015, arXiv 1502.01852), zero biases.

    PyTorch's own draw shrinks the signal at every layer: a GAN then spends its first thousand steps growing weights.
    """
    for child in module.modules():
        if isinstance(child, (nn.Conv1d, nn.Linear)):
            nn.init.kaiming_normal_(child.weight, slope)
            nn.init.zeros_(child.bias)


class ConvNeXtBlock(nn.Module):
    """1-D ConvNeXt block (Liu 2022, arXiv 2201.03545; Siuzdak 2024, arXiv 2306.00814), (B, C, F) -> (B, C, F)."""

    def __init__(self, dim: int, intermediate_dim: int, kernel_size: int, layer_scale: float):
        super().__init__()
        self.dwconv = nn.Conv1d(dim, dim, kernel_size, padding=same_padding(kernel_size), groups=dim)
        self.norm = nn.LayerNorm(dim, eps=1e-6)
        self.pwconv1 = nn.Linear(dim, intermediate_dim)
        self.pwconv2 = nn.Linear(intermediate_dim, dim)
        self.gamma = nn.Parameter(torch.full((dim,), layer_scale))

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.dwconv(x).transpose(1, 2))
        hidden = self.gamma * self.pwconv2(nn.functional.gelu(self.pwconv1(hidden)))
        return x + hidden.transpose(1, 2)
