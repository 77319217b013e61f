"""BigVGAN: HiFi-GAN with periodic, anti-aliased activations (Lee 2023, arXiv 2206.04658)."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from wavegan.audio.log_mel import LogMelConfig
from wavegan.models.generators.hifigan import SLOPE, HiFiGAN, HiFiGANConfig
from wavegan.models.layers import AntiAliased, Snake
from wavegan.tasks.base import BaseTaskConfig


class BigVGANConfig(HiFiGANConfig):
    """BigVGAN generator; the defaults are version 2's activations on the sizes of HiFi-GAN V1: "base".

    ``activation``: snakebeta learns an amplitude besides the frequency. ``snake_logscale``: both are learned as
    logarithms. ``use_tanh_at_final``, ``use_bias_at_final``: true in version 1; without tanh, samples are clamped.
    """

    name: Literal["bigvgan"] = "bigvgan"
    activation: Literal["snakebeta", "snake"] = "snakebeta"
    snake_logscale: bool = True
    use_tanh_at_final: bool = False
    use_bias_at_final: bool = False
    causal: Literal[False] = False  # its filters look ahead

    def build(self, task: BaseTaskConfig) -> BigVGAN:
        return BigVGAN(self, task.features)


LARGE = {
    "upsample_rates": [4, 4, 2, 2, 2, 2],
    "upsample_kernel_sizes": [8, 8, 4, 4, 4, 4],
    "upsample_initial_channel": 1536,
}
BASE_V1 = BigVGANConfig(use_tanh_at_final=True, use_bias_at_final=True)
LARGE_V2 = BigVGANConfig(**LARGE)  # hop_length 256
LARGE_V2_512 = BigVGANConfig(
    **LARGE | {"upsample_rates": [8, 4, 2, 2, 2, 2], "upsample_kernel_sizes": [16, 8, 4, 4, 4, 4]}
)


class BigVGAN(HiFiGAN):
    """Log-mel (B, M, F) -> waveform (B, 1, T)."""

    config: BigVGANConfig

    def __init__(self, config: BigVGANConfig, features: LogMelConfig):
        super().__init__(config, features, final_bias=config.use_bias_at_final)

    def activation(self, channels: int, slope: float = SLOPE) -> AntiAliased:
        return AntiAliased(Snake(channels, self.config.activation == "snakebeta", self.config.snake_logscale))

    def before_upsampling(self, x: Tensor) -> Tensor:
        return x

    def bounded(self, x: Tensor) -> Tensor:
        return torch.tanh(x) if self.config.use_tanh_at_final else x.clamp(-1, 1)
