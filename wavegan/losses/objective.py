"""Losses: feature matching and the spectral reconstruction terms; Objective weighs them and the game by name.

Shapes: B batch, T samples, K bins, F frames. ``real`` and ``fake`` are waveforms (B, 1, T) or discriminator outputs.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from wavegan.audio.log_mel import LogMelConfig, mel_filterbank
from wavegan.audio.stft import hann_window, stft
from wavegan.core.config import Config
from wavegan.losses.adversarial import ADVERSARIAL, SAN
from wavegan.losses.balancer import BalancerConfig
from wavegan.losses.feature_matching import Outputs, feature_matching
from wavegan.losses.penalties import PenaltyConfig
from wavegan.losses.reconstruction import anti_wrapping_phase, complex_l1, log_amplitude_mse, log_mel_l1, magnitude
from wavegan.models.discriminators import Discriminators


@torch.no_grad()
def margins(real: Outputs, fake: Outputs) -> dict[str, Tensor]:
    """How the game stands: ``accuracy``, the share of pairs in which a discriminator prefers the real one (0.5: it
    guesses), and ``margin``, the mean difference of the logits; means over the ensemble.
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
    balance is here adversarial 8, feature_matching 92 (2 x 46), mel 45. ``diversity`` is for generation.
    """

    adversarial: float = Field(1.0, ge=0)
    diversity: float = Field(0.0, ge=0)
    feature_matching: float = Field(2.0, ge=0)
    mel: float = Field(45.0, ge=0)
    multi_resolution_mel: float = Field(0.0, ge=0)
    log_amplitude: float = Field(0.0, ge=0)
    phase: float = Field(0.0, ge=0)
    complex_stft: float = Field(0.0, ge=0)


RECONSTRUCTION = ("mel", "multi_resolution_mel", "log_amplitude", "phase", "complex_stft")


class ObjectiveConfig(Config):
    """The loss of both players.

    ``san``: the direction of each discriminator's last layer learns by itself, what tells real from fake best (SAN,
    Takida 2024, arXiv 2301.12811). ``mel_resolutions``: [n_fft, hop_length, n_mels] for multi_resolution_mel.
    ``reconstruction_scale``: factor on the reconstruction terms once the discriminators have joined. ``penalty``: on
    the discriminators' gradient. ``balancer``: weights are then shares of the pull at the generator's output. Tasks
    that copy nothing have the adversarial and diversity terms only; ``diversity_limit``: how far apart two takes with
    the same labels are pushed, in nepers of log-mel a unit of latent distance.
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

    @model_validator(mode="after")
    def _check(self) -> ObjectiveConfig:
        for n_fft, hop_length, n_mels in self.mel_resolutions:
            if not (n_mels >= 1 and 1 <= hop_length <= n_fft):
                raise ValueError(f"mel_resolutions: [{n_fft}, {hop_length}, {n_mels}] should be [n_fft, hop, n_mels]")
        if self.san and self.adversarial not in SAN:
            raise ValueError(f"san is defined for adversarial {' and '.join(SAN)}, not {self.adversarial}")
        return self


class Objective(nn.Module):
    """Named loss terms and their weights for one recipe."""

    def __init__(self, config: ObjectiveConfig, features: LogMelConfig, paired: bool = True):
        super().__init__()
        self.config = config
        self.pair = (SAN if config.san else ADVERSARIAL)[config.adversarial]
        names = set(Weights.model_fields) - {"diversity"} if paired else {"adversarial", "diversity"}
        self.weights = {name: w for name, w in config.weights if w > 0 and name in names}
        full_band = {"fmin": 0.0, "fmax": None, "mean": None, "std": None}
        self.features = features.model_copy(update=full_band)  # HiFi-GAN too compares up to the Nyquist frequency
        self.base = (features.n_fft, features.hop_length)
        self.bands: dict[str, list[tuple[int, int]]] = {"mel": [self.base]}
        self.bands["multi_resolution_mel"] = [(n_fft, hop) for n_fft, hop, _ in config.mel_resolutions]
        if not paired:
            return  # nothing is reconstructed: no filterbanks
        self.register_buffer("mel_0", mel_filterbank(self.features), persistent=False)
        for i, (n_fft, hop, n_mels) in enumerate(config.mel_resolutions):
            update = {"n_fft": n_fft, "hop_length": hop, "n_mels": n_mels, "win_length": None}
            bank = mel_filterbank(self.features.model_copy(update=update))
            self.register_buffer(f"multi_resolution_mel_{i}", bank, persistent=False)

    def discriminator(self, real: Outputs, fake: Outputs) -> dict[str, Tensor]:
        """The discriminators' terms, averaged over the ensemble.

        SAN's ``direction`` is the generator's loss on the real less that on the fake: of hinge, Wasserstein's.
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
        """The penalty on the discriminators' gradient, on every ``interval``-th of their turns."""
        penalty = self.config.penalty
        if penalty is None or turn % penalty.interval:
            return {}
        return {"penalty": penalty(discriminators, real, fake, label)}

    def discriminator_total(self, terms: dict[str, Tensor]) -> Tensor:
        """Weighted sum of the discriminators' terms; a penalty that comes every n-th turn counts n times."""
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

        ``spectrum``: the complex spectrum that a spectral generator made ``fake`` from. Log-amplitude and phase
        are then compared on it, not on the re-analysed waveform, as APNet does: their gradient reaches each bin
        directly.
        """
        terms = self.reconstruction(real, fake, spectrum) if self.weights.keys() & set(RECONSTRUCTION) else {}
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
        """The weight of each of the generator's terms that there are now."""
        scale = self.config.reconstruction_scale if "adversarial" in terms else 1.0
        return {name: (scale if name in RECONSTRUCTION else 1.0) * self.weights[name] for name in terms}

    @torch.autocast("cpu", enabled=False)
    @torch.autocast("cuda", enabled=False)
    def reconstruction(self, real: Tensor, fake: Tensor, predicted: Tensor | None = None) -> dict[str, Tensor]:
        real, fake = real.squeeze(1).float(), fake.squeeze(1).float()
        spectra: dict[tuple[int, int], tuple[Tensor, Tensor]] = {}

        def both(resolution: tuple[int, int]) -> tuple[Tensor, Tensor]:
            if resolution not in spectra:
                base = resolution == self.base
                window = hann_window(self.features.window_length if base else resolution[0]).to(fake.device)
                padding = self.features.padding if base else "center"
                with torch.no_grad():
                    target = stft(real, *resolution, window, padding)
                spectra[resolution] = (target, stft(fake, *resolution, window, padding))
            return spectra[resolution]

        terms = {}
        for name in ("mel", "multi_resolution_mel"):
            if name in self.weights:
                distances = []
                for i, resolution in enumerate(self.bands[name]):
                    r, f = (magnitude(s) for s in both(resolution))
                    distances.append(log_mel_l1(r, f, getattr(self, f"{name}_{i}")))
                terms[name] = torch.stack(distances).sum()
        if self.weights.keys() & {"log_amplitude", "phase", "complex_stft"}:
            target, analysed = both(self.base)
            predicted = analysed if predicted is None else predicted
            aligned = target[..., : predicted.shape[-1]]  # "center" has one frame more than the generator made
            if "log_amplitude" in self.weights:
                terms["log_amplitude"] = log_amplitude_mse(magnitude(aligned), magnitude(predicted))
            if "phase" in self.weights:
                terms["phase"] = anti_wrapping_phase(aligned, predicted)
            if "complex_stft" in self.weights:
                terms["complex_stft"] = complex_l1(target, analysed)
        return terms
