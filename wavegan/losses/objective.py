"""The objective: weighted loss terms of generator and discriminators, by name.

Shapes: B batch, T samples, K bins, F frames. ``real`` and ``fake`` are waveforms (B, 1, T) or discriminator outputs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, Literal

import torch
from pydantic import ConfigDict, Field, ValidationError, model_validator
from torch import Tensor, nn

from wavegan.audio.log_mel import LogMelConfig, mel_filterbank
from wavegan.core.config import Config
from wavegan.core.registry import load_entry_points
from wavegan.losses.adversarial import ADVERSARIAL, SAN
from wavegan.losses.balancer import BalancerConfig
from wavegan.losses.diversity import diversity
from wavegan.losses.feature_matching import Outputs, feature_matching
from wavegan.losses.penalties import PenaltyConfig
from wavegan.losses.reconstruction import TERMS, Comparison
from wavegan.models.discriminators import Discriminators


@torch.no_grad()
def margins(real: Outputs, fake: Outputs) -> dict[str, Tensor]:
    """``accuracy``: share of pairs whose real clip has the larger logit (0.5: chance); ``margin``: mean difference of
    the logits. Both are means over the ensemble.
    """
    differences = [r.logits - f.logits for r, f in zip(real, fake, strict=True)]
    return {
        "accuracy": torch.stack([(d > 0).float().mean() for d in differences]).mean(),
        "margin": torch.stack([d.mean() for d in differences]).mean(),
    }


class Weights(Config):
    """Weight of each named term in the generator's loss; 0 leaves it out.

    Adversarial and feature-matching terms are means over the ensemble and its maps, so that a weight means the same
    for any set of discriminators. HiFi-GAN sums them: with its 8 discriminators and their 46 hidden maps, its
    balance is here adversarial 8, feature_matching 92 (2 x 46), mel 45. ``diversity`` is for generation. Terms that
    other packages register with ``@term`` are keys, too.
    """

    model_config = ConfigDict(extra="allow")

    adversarial: float = Field(1.0, ge=0)
    diversity: float = Field(0.0, ge=0)
    feature_matching: float = Field(2.0, ge=0)
    mel: float = Field(45.0, ge=0)
    multi_resolution_mel: float = Field(0.0, ge=0)
    log_amplitude: float = Field(0.0, ge=0)
    phase: float = Field(0.0, ge=0)
    complex_stft: float = Field(0.0, ge=0)
    spectral_variance: float = Field(0.0, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _check_names(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        if any(name not in cls.model_fields and name not in TERMS for name in data):
            load_entry_points()
        unknown = [name for name in data if name not in cls.model_fields and name not in TERMS]
        if unknown:
            faults = [{"type": "extra_forbidden", "loc": (name,), "input": data[name]} for name in unknown]
            raise ValidationError.from_exception_data(cls.__name__, faults)
        return data

    @model_validator(mode="after")
    def _check_values(self) -> Weights:
        for name, weight in (self.model_extra or {}).items():
            if isinstance(weight, bool) or not isinstance(weight, (int, float)) or not 0 <= weight < math.inf:
                raise ValueError(f"{name} should be a number from 0 up, got {weight!r}")
        return self


class ObjectiveConfig(Config):
    """Losses of the generator and the discriminators.

    ``san``: train the direction of each discriminator's last layer by a loss of its own (SAN, Takida 2024, arXiv
    2301.12811). ``mel_resolutions``: [n_fft, hop_length, n_mels] for multi_resolution_mel. ``reconstruction_scale``:
    factor on the reconstruction terms once the discriminators have joined. ``penalty``: on the discriminators'
    gradient. ``balancer``: weights then are shares of the gradient at the generator's output. Unpaired tasks have the
    adversarial and diversity terms only; ``diversity_limit``: distance up to which two takes with the same labels are
    pushed apart, in nepers of log-mel per unit of latent distance. ``variance_resolutions``: [n_fft, hop_length,
    bins] for spectral_variance, ``bins`` being odd; ``variance_above``: its lowest frequency in Hz.
    """

    adversarial: Literal["least_squares", "hinge", "relativistic", "wasserstein"] = "least_squares"
    san: bool = False
    penalty: PenaltyConfig | None = None
    balancer: BalancerConfig | None = None
    weights: Weights = Weights()
    mel_resolutions: list[tuple[int, int, int]] = Field(
        [(256, 64, 40), (512, 128, 80), (1024, 256, 80), (2048, 512, 160)], min_length=1
    )
    reconstruction_scale: float = Field(1.0, gt=0)
    diversity_limit: float = Field(0.3, gt=0)
    variance_resolutions: list[tuple[int, int, int]] = Field(
        [(256, 64, 5), (512, 128, 9), (1024, 256, 9)], min_length=1
    )
    variance_above: float = Field(1000.0, ge=0)

    @model_validator(mode="after")
    def _check(self) -> ObjectiveConfig:
        for n_fft, hop_length, n_mels in self.mel_resolutions:
            if not (n_mels >= 1 and 1 <= hop_length <= n_fft):
                raise ValueError(f"mel_resolutions: [{n_fft}, {hop_length}, {n_mels}] should be [n_fft, hop, n_mels]")
        for n_fft, hop_length, bins in self.variance_resolutions:
            if not (bins % 2 and 1 <= bins <= n_fft // 4 and 1 <= hop_length <= n_fft):
                raise ValueError(
                    f"variance_resolutions: [{n_fft}, {hop_length}, {bins}] should be [n_fft, hop, odd bins]"
                )
        if self.san and self.adversarial not in SAN:
            raise ValueError(f"san is defined for adversarial {' and '.join(SAN)}, not {self.adversarial}")
        return self

    @property
    def reconstructs(self) -> bool:
        """True if any reconstruction term has a weight."""
        return any(weight > 0 for name, weight in self.weights if name in TERMS)

    def changed_terms_of_pairs(self) -> list[str]:
        """Terms that compare a copy with its recording and whose weight is neither 0 nor the default."""
        default = Weights()
        pairs = (*TERMS, "feature_matching")
        return [n for n, weight in self.weights if n in pairs and weight > 0 and weight != getattr(default, n, 0)]


class Objective(nn.Module):
    """Named loss terms and their weights for one recipe."""

    def __init__(self, config: ObjectiveConfig, features: LogMelConfig, paired: bool = True):
        super().__init__()
        self.config = config
        self.pair = (SAN if config.san else ADVERSARIAL)[config.adversarial]
        names = {"adversarial", "feature_matching", *TERMS} if paired else {"adversarial", "diversity"}
        self.weights = {name: weight for name, weight in config.weights if weight > 0 and name in names}
        full_band = {"fmin": 0.0, "fmax": None, "mean": None, "std": None}
        self.features = features.model_copy(update=full_band)  # HiFi-GAN too compares up to the Nyquist frequency
        self.resolutions = [(n_fft, hop_length) for n_fft, hop_length, _ in config.mel_resolutions]
        if not paired:
            return  # nothing is reconstructed: no filterbanks
        self.register_buffer("mel_0", mel_filterbank(self.features), persistent=False)
        for i, (n_fft, hop, n_mels) in enumerate(config.mel_resolutions):
            update = {"n_fft": n_fft, "hop_length": hop, "n_mels": n_mels, "win_length": None}
            bank = mel_filterbank(self.features.model_copy(update=update))
            self.register_buffer(f"multi_resolution_mel_{i}", bank, persistent=False)

    def discriminator(self, real: Outputs, fake: Outputs) -> dict[str, Tensor]:
        """The discriminators' terms, averaged over the ensemble.

        SAN's ``direction`` is the generator's loss on real clips minus that on fake ones; Wasserstein's, for hinge.
        """
        losses = [self.pair[0](r.logits.float(), f.logits.float()) for r, f in zip(real, fake, strict=True)]
        terms = {"adversarial": torch.stack(losses).mean()}
        if self.config.san:
            pairs = [(r.direction.float(), f.direction.float()) for r, f in zip(real, fake, strict=True)]
            losses = [self.pair[1](f, r) - self.pair[1](r, f) for r, f in pairs]
            terms["direction"] = torch.stack(losses).mean()
        return terms

    def penalty(
        self, turn: int, discriminators: Discriminators, real: Tensor, fake: Tensor, label: Tensor | None
    ) -> dict[str, Tensor]:
        """The penalty on the discriminators' gradient, on every ``interval``-th of their updates."""
        penalty = self.config.penalty
        if penalty is None or turn % penalty.interval:
            return {}
        return {"penalty": penalty(discriminators, real, fake, label)}

    def discriminator_total(self, terms: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the discriminators' terms; a penalty applied every n-th update counts n times."""
        total = terms["adversarial"]
        if "direction" in terms:
            total = total + terms["direction"]
        if "penalty" in terms:
            total = total + self.config.penalty.weight * self.config.penalty.interval * terms["penalty"]
        return total

    def generator(
        self,
        real: Tensor,
        fake: Tensor,
        spectrum: Tensor | None = None,
        real_out: Outputs | None = None,
        fake_out: Outputs | None = None,
    ) -> dict[str, Tensor]:
        """The generator's unweighted terms; without discriminator outputs, the reconstruction terms only.

        ``spectrum``: the complex spectrum (B, K, F) that a spectral generator made ``fake`` from.
        """
        terms = self.reconstruction(real, fake, spectrum)
        if real_out is None or fake_out is None:
            return terms
        if "adversarial" in self.weights:
            losses = [self.pair[1](r.logits.float(), f.logits.float()) for r, f in zip(real_out, fake_out, strict=True)]
            terms["adversarial"] = torch.stack(losses).mean()
        if "feature_matching" in self.weights:
            terms["feature_matching"] = feature_matching(real_out, fake_out)
        return terms

    def total(self, terms: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the generator's terms."""
        weights = self.scaled_weights(terms)
        return torch.stack([weights[name] * term for name, term in terms.items()]).sum()

    def scaled_weights(self, terms: Iterable[str]) -> dict[str, float]:
        """The weight of each of the generator's current terms."""
        scale = self.config.reconstruction_scale if "adversarial" in terms else 1.0
        return {name: (scale if name in TERMS else 1.0) * self.weights[name] for name in terms}

    @torch.autocast("cpu", enabled=False)
    @torch.autocast("cuda", enabled=False)
    def reconstruction(self, real: Tensor, fake: Tensor, predicted: Tensor | None = None) -> dict[str, Tensor]:
        """The unweighted reconstruction terms; ``predicted`` as in ``Comparison``."""
        names = [name for name in TERMS if name in self.weights]
        if not names:
            return {}
        resolutions = enumerate(self.resolutions)
        banks = {
            "mel": [((self.features.n_fft, self.features.hop_length), self.mel_0)],
            "multi_resolution_mel": [(r, getattr(self, f"multi_resolution_mel_{i}")) for i, r in resolutions],
        }
        waveforms = real.squeeze(1).float(), fake.squeeze(1).float()
        comparison = Comparison(*waveforms, predicted, self.features, self.config, banks)
        return {name: TERMS[name](comparison) for name in names}

    def diversity(self, z: Tensor, other_z: Tensor, mel: Tensor, other_mel: Tensor) -> Tensor:
        """The diversity-sensitive term of two takes of each label, as ``losses.diversity``."""
        return diversity(z, other_z, mel, other_mel, self.config.diversity_limit)
