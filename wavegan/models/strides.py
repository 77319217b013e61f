"""Strides of WaveGAN's transposed convolutions."""

from __future__ import annotations

import math

KERNEL_SIZE = 25


def strides_for(length: int) -> list[int]:
    """Five layers of stride 4 up to 16,384 samples, a sixth of 2 or 4 up to 32,768 or 65,536, and so on."""
    strides = [4] * 5
    while 16 * math.prod(strides) < length:
        strides = [*strides[:-1], 4, 2] if strides[-1] == 4 else [*strides[:-1], 4]
    return strides
