"""Vocos on mels, as gemelo-ai/vocos publishes it (Siuzdak 2024, arXiv 2306.00814), and its Lightning checkpoints."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from wavegan.audio.log_mel import LogMelConfig, mel_filterbank
from wavegan.audio.mel_conventions import CONVENTIONS
from wavegan.audio.stft import hann_window
from wavegan.checkpoints.formats.source import Bands, Imported, Settings, Size, Source
from wavegan.checkpoints.formats.weights import numbered, renamed
from wavegan.models.generators import SpectralConfig
from wavegan.tasks.vocoder import VocoderConfig

FFTSize = Annotated[int, Field(ge=64, le=4096)]  # the inverse STFT is a table of its square
HopLength = Annotated[int, Field(ge=16, le=4096)]
FEATURES, BACKBONE = "vocos.feature_extractors.MelSpectrogramFeatures", "vocos.models.VocosBackbone"
HEAD, ENCODEC = "vocos.heads.ISTFTHead", "vocos.feature_extractors.EncodecFeatures"
NAMES = {r"^backbone\.convnext\.": "blocks.", r"^backbone\.final_layer_norm\.": "final_norm.", r"^backbone\.": ""}
TRAINING = ("multiperioddisc.", "multiresddisc.", "melspec_loss.")  # other parts of a Lightning checkpoint


class Part(Settings):
    class_path: str
    init_args: dict[str, Any] = {}


class VocosSettings(Settings):
    """config.yaml; in Lightning's files it is under model.init_args."""

    feature_extractor: Part
    backbone: Part
    head: Part


class FeatureSettings(Settings):
    """Arguments of MelSpectrogramFeatures, with its defaults."""

    sample_rate: int = 24000
    n_fft: FFTSize = 1024
    hop_length: HopLength = 256
    n_mels: Bands = 100
    padding: Literal["center", "same"] = "center"


class BackboneSettings(Settings):
    input_channels: Bands
    dim: Size
    intermediate_dim: Size
    num_layers: Size
    adanorm_num_embeddings: int | None = None


class HeadSettings(Settings):
    dim: Size
    n_fft: FFTSize
    hop_length: HopLength
    padding: Literal["center", "same"] = "same"


def recognises(source: Source) -> bool:
    return "backbone.embed.weight" in source.tensors and "head.out.weight" in source.tensors


def read(source: Source) -> Imported:
    lightning = source.settings.get("model")
    inner = lightning.get("init_args") if isinstance(lightning, dict) else None
    parts = source.parse(VocosSettings, inner)
    _check_classes(source, parts)
    mel = source.parse(FeatureSettings, parts.feature_extractor.init_args)
    backbone = source.parse(BackboneSettings, parts.backbone.init_args)
    head = source.parse(HeadSettings, parts.head.init_args)
    _check_settings(source, mel, backbone, head)
    features = source.parse(LogMelConfig, CONVENTIONS["vocos"] | mel.model_dump())
    generator = source.parse(SpectralConfig, _sizes(source, backbone, mel))
    source.same_table("feature_extractor.mel_spec.mel_scale.fb", mel_filterbank(features))
    source.same_table("feature_extractor.mel_spec.spectrogram.window", hann_window(mel.n_fft))
    source.same_table("head.istft.window", hann_window(mel.n_fft))
    dropped = ("feature_extractor.mel_spec.", "head.istft.", *TRAINING)
    tensors = {name: t.float() for name, t in source.tensors.items() if not name.startswith(dropped)}
    return Imported(source.name, VocoderConfig(features=features), generator, renamed(tensors, NAMES))


def _check_classes(source: Source, parts: VocosSettings) -> None:
    """Class paths are only compared, never imported."""
    if parts.feature_extractor.class_path == ENCODEC:
        raise source.refuse("it decodes EnCodec's tokens, not mels; of Vocos, only the mel models are supported")
    for name, known in (("feature_extractor", FEATURES), ("backbone", BACKBONE), ("head", HEAD)):
        source.require(f"{name}.", getattr(parts, name).model_dump(), {"class_path": known})


def _check_settings(source: Source, mel: FeatureSettings, backbone: BackboneSettings, head: HeadSettings) -> None:
    if (mel.n_fft, mel.hop_length, mel.padding) != (head.n_fft, head.hop_length, head.padding):
        raise source.refuse("its head and its feature_extractor differ in n_fft, hop_length or padding")
    if backbone.adanorm_num_embeddings:
        raise source.refuse("its backbone has adaptive norms, adanorm_num_embeddings; only those without are supported")
    if backbone.intermediate_dim % backbone.dim:
        raise source.refuse(f"intermediate_dim {backbone.intermediate_dim} should be a multiple of dim {backbone.dim}")


def _sizes(source: Source, backbone: BackboneSettings, mel: FeatureSettings) -> dict[str, Any]:
    """The fields of SpectralConfig, from the tensors."""
    dim, bands, kernel_size = source.shape(source.tensors, "backbone.embed.weight", 3)
    source.agree("dim", backbone.dim, dim)
    source.agree("input_channels", backbone.input_channels, bands)
    source.agree("n_mels", mel.n_mels, bands)
    source.agree("num_layers", backbone.num_layers, numbered(source.tensors, "backbone.convnext."))
    width = source.shape(source.tensors, "backbone.convnext.0.pwconv1.weight", 2)[0]
    source.agree("intermediate_dim", backbone.intermediate_dim, width)
    source.agree("n_fft + 2", mel.n_fft + 2, source.shape(source.tensors, "head.out.weight", 2)[0])
    expansion = width // dim
    fields = {"dim": dim, "num_blocks": backbone.num_layers, "expansion": expansion, "kernel_size": kernel_size}
    return fields | {"head": "polar"}
