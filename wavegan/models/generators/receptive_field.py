"""Receptive fields, computed from the output back to the input: which frames of a mel reach the samples of a frame."""

from __future__ import annotations

from typing import NamedTuple

from torch import nn


class ReceptiveField(NamedTuple):
    """Positions ``first`` to ``last``, both included, at some layer of a generator; 0 is the first of the frame.

    >>> field = ReceptiveField.of_frame(hop_length).through(conv_post).through(upsample).through(conv_pre)
    >>> left, right = field.context_frames
    """

    first: int
    last: int

    @classmethod
    def of_frame(cls, hop_length: int) -> ReceptiveField:
        """The samples of one frame."""
        return cls(0, hop_length - 1)

    def through(self, *layers: nn.Module) -> ReceptiveField:
        """The inputs that these outputs of the last layer depend on; ``layers`` from the last to the first."""
        field = self
        for layer in layers:
            field = field._through(layer)
        return field

    def _through(self, layer: nn.Module) -> ReceptiveField:
        """By a convolution's stride, dilation and padding; by ``REACH`` of a filter; others work on single samples."""
        if not isinstance(layer, (nn.Conv1d, nn.ConvTranspose1d)):
            reach = getattr(layer, "REACH", 0)
            return self.wider(reach, reach)
        (kernel_size,), (stride,), (dilation,) = layer.kernel_size, layer.stride, layer.dilation
        reach, padding = (kernel_size - 1) * dilation, left_padding(layer)
        if isinstance(layer, nn.ConvTranspose1d):  # output n reads input i where 0 <= n + padding - i * stride <= reach
            return ReceptiveField(-((reach - padding - self.first) // stride), (self.last + padding) // stride)
        return ReceptiveField(self.first * stride - padding, self.last * stride - padding + reach)

    def wider(self, left: int, right: int) -> ReceptiveField:
        """With ``left`` and ``right`` more positions."""
        return ReceptiveField(self.first - left, self.last + right)

    def union(self, *others: ReceptiveField) -> ReceptiveField:
        """Parallel branches."""
        return ReceptiveField(min(f.first for f in (self, *others)), max(f.last for f in (self, *others)))

    @property
    def context_frames(self) -> tuple[int, int]:
        """(left, right) of a field at frame rate."""
        return max(-self.first, 0), max(self.last, 0)


def left_padding(layer: nn.Conv1d | nn.ConvTranspose1d) -> int:
    """Zeros before a convolution's input; of a transposed one, the samples cut off the front of its output."""
    return getattr(layer, "left_padding", layer.padding[0])
