"""BigVGAN: HiFi-GAN with periodic, anti-aliased activations (Lee 2023, arXiv 2206.04658).

Shapes: B batch, M mel bands, F frames, C channels, T = F * product(upsample_rates) samples.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from wavegan.audio.log_mel import LogMelConfig
from wavegan.models.generators.hifigan import HiFiGANConfig, upsampling
from wavegan.models.generators.receptive_field import ReceptiveField
from wavegan.models.layers import AntiAliased, Snake, same_conv, weight_norm

if TYPE_CHECKING:
    from wavegan.tasks import TaskConfig


class BigVGANConfig(HiFiGANConfig):
    """BigVGAN generator; the defaults are version 2's activations on the sizes of HiFi-GAN V1: "base".

    ``activation``: snakebeta has an amplitude of its own beside the frequency. ``snake_logscale``: both are learned as
    logarithms. ``use_tanh_at_final``, ``use_bias_at_final``: true in version 1; without tanh, samples are clamped.
    """

    name: Literal["bigvgan"] = "bigvgan"
    activation: Literal["snakebeta", "snake"] = "snakebeta"
    snake_logscale: bool = True
    use_tanh_at_final: bool = False
    use_bias_at_final: bool = False
    causal: Literal[False] = False  # its filters look ahead

    def build(self, task: TaskConfig) -> BigVGAN:
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


class BigVGAN(nn.Module):
    """Log-mel (B, M, F) -> waveform (B, 1, T)."""

    def __init__(self, config: BigVGANConfig, features: LogMelConfig):
        super().__init__()
        c = config
        self.config = config
        self.hop_length = features.hop_length
        channels = [c.upsample_initial_channel // 2**i for i in range(len(c.upsample_rates) + 1)]
        self.conv_pre = weight_norm(same_conv(features.n_mels, channels[0], 7))
        self.ups = nn.ModuleList(
            weight_norm(upsampling(channels[i], channels[i + 1], k, rate))
            for i, (rate, k) in enumerate(zip(c.upsample_rates, c.upsample_kernel_sizes, strict=True))
        )
        block = AMPBlock1 if c.resblock == 1 else AMPBlock2
        self.resblocks = nn.ModuleList(
            nn.ModuleList(
                block(width, k, dilations, c)
                for k, dilations in zip(c.resblock_kernel_sizes, c.resblock_dilation_sizes, strict=True)
            )
            for width in channels[1:]
        )
        self.activation_post = _activation(channels[-1], c)
        self.conv_post = weight_norm(nn.Conv1d(channels[-1], 1, 7, padding=3, bias=c.use_bias_at_final))

    def forward(self, x: Tensor, label: Tensor | None = None, first_frame: int | Tensor = 0) -> Tensor:
        x = self.conv_pre(x)
        for upsample, blocks in zip(self.ups, self.resblocks, strict=True):
            x = upsample(x)
            x = torch.stack([block(x) for block in blocks]).mean(0)
        x = self.conv_post(self.activation_post(x))
        return torch.tanh(x) if self.config.use_tanh_at_final else x.clamp(-1, 1)

    def generate(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor, None]:
        return self(x, label), None

    @property
    def context_frames(self) -> tuple[int, int]:
        """Frames before and after a frame that its samples depend on."""
        field = _through_activation(ReceptiveField.of_frame(self.hop_length).through(self.conv_post))
        for upsample, blocks in zip(reversed(self.ups), reversed(self.resblocks), strict=True):
            field = field.union(*(block.reads(field) for block in blocks)).through(upsample)
        return field.through(self.conv_pre).context_frames


class AMPBlock1(nn.Module):
    """Anti-aliased multi-periodicity block: pairs of a dilated and a plain convolution with a residual each."""

    def __init__(self, channels: int, kernel_size: int, dilations: list[int], config: BigVGANConfig):
        super().__init__()
        self.convs1 = nn.ModuleList(weight_norm(same_conv(channels, channels, kernel_size, d)) for d in dilations)
        self.convs2 = nn.ModuleList(weight_norm(same_conv(channels, channels, kernel_size)) for _ in dilations)
        self.activations = nn.ModuleList(_activation(channels, config) for _ in range(2 * len(dilations)))

    def forward(self, x: Tensor) -> Tensor:
        pairs = zip(self.convs1, self.convs2, self.activations[::2], self.activations[1::2], strict=True)
        for conv1, conv2, act1, act2 in pairs:
            x = x + conv2(act2(conv1(act1(x))))
        return x

    def reads(self, field: ReceptiveField) -> ReceptiveField:
        for conv in (*self.convs1, *self.convs2):
            field = _through_activation(field.through(conv))
        return field


class AMPBlock2(nn.Module):
    """Dilated convolutions with a residual each."""

    def __init__(self, channels: int, kernel_size: int, dilations: list[int], config: BigVGANConfig):
        super().__init__()
        self.convs = nn.ModuleList(weight_norm(same_conv(channels, channels, kernel_size, d)) for d in dilations)
        self.activations = nn.ModuleList(_activation(channels, config) for _ in dilations)

    def forward(self, x: Tensor) -> Tensor:
        for conv, act in zip(self.convs, self.activations, strict=True):
            x = x + conv(act(x))
        return x

    def reads(self, field: ReceptiveField) -> ReceptiveField:
        for conv in self.convs:
            field = _through_activation(field.through(conv))
        return field


def _activation(channels: int, config: BigVGANConfig) -> AntiAliased:
    return AntiAliased(Snake(channels, config.activation == "snakebeta", config.snake_logscale))


def _through_activation(field: ReceptiveField) -> ReceptiveField:
    return field.wider(AntiAliased.REACH, AntiAliased.REACH)
