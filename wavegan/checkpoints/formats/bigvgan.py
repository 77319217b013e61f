"""BigVGAN, versions 1 and 2, as NVIDIA/BigVGAN publishes it (Lee 2023, arXiv 2206.04658)."""

from __future__ import annotations

from typing import Literal

from wavegan.checkpoints.formats.hifigan import HiFiGANSettings, generator_fields, log_mel, nest
from wavegan.checkpoints.formats.source import Imported, Source
from wavegan.checkpoints.formats.weights import renamed
from wavegan.models.generators import BigVGANConfig
from wavegan.models.layers import AntiAliased, half_band
from wavegan.tasks.vocoder import VocoderConfig


class BigVGANSettings(HiFiGANSettings):
    """The generator's part of config.json; the defaults are those of the published code, for version 1."""

    activation: Literal["snake", "snakebeta"]
    snake_logscale: bool
    use_tanh_at_final: bool = True
    use_bias_at_final: bool = True


def recognises(source: Source) -> bool:
    return "activation_post.act.alpha" in source.tensors


def read(source: Source) -> Imported:
    settings, features = source.parse(BigVGANSettings), log_mel(source)
    filters = [name for name in source.tensors if name.endswith((".upsample.filter", ".downsample.lowpass.filter"))]
    for name in filters:
        source.same_table(name, half_band(AntiAliased.TAPS))
    tensors = {name: tensor for name, tensor in source.folded.items() if name not in filters}
    fields = generator_fields(source, settings, tensors, features.n_mels, ups="ups.{}.0.weight")
    source.agree("activation", settings.activation, "snakebeta" if "activation_post.act.beta" in tensors else "snake")
    source.agree("use_bias_at_final", settings.use_bias_at_final, "conv_post.bias" in tensors)
    for name in ("activation", "snake_logscale", "use_tanh_at_final", "use_bias_at_final"):
        fields[name] = getattr(settings, name)
    generator = source.parse(BigVGANConfig, fields)
    tensors = renamed(nest(tensors, len(generator.resblock_kernel_sizes)), {r"^ups\.(\d{1,6})\.0\.": r"ups.\1."})
    return Imported(source.name, VocoderConfig(features=features), generator, tensors)
