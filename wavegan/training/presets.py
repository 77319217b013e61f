"""Vocoder recipes for any sample rate; the only place where settings are derived from the rate.

``hifigan_v1`` is HiFi-GAN V1 with its published discriminators and balance (Kong 2020, arXiv 2010.05646);
``spectral_small`` is prompts/quarter_hour trained for longer, for a CPU; ``spectral_large`` has the size of
Vocos (Siuzdak 2024, arXiv 2306.00814), for a GPU.
"""

from __future__ import annotations

from typing import Any

import yaml

from wavegan.core import config
from wavegan.core.errors import UserError
from wavegan.training.recipe import Recipe

MIN_RATE, MAX_RATE = 8000, 96000
FRAME_SECONDS = 0.012  # a hop is the largest power of two that lasts at most this: 256 at 22.05 and 24 kHz
N_MELS = {44100: 128, 24000: 100, 12000: 80, 0: 64}  # by lowest rate
UPSAMPLE_RATES = {64: [4, 4, 2, 2], 128: [8, 4, 2, 2], 256: [8, 8, 2, 2], 512: [8, 8, 4, 2], 1024: [8, 8, 4, 4]}
SEGMENT_SECONDS = 0.34  # at least: 8,192 samples at 22.05 and 24 kHz, as published
HIGH_RATE = 40000  # from here on, windows of discriminators and losses are twice as long in samples
PERIODS = [2, 3, 5, 7, 11]
HIGH_PERIODS = [3, 5, 7, 11, 17, 23, 37]  # for 44.1 kHz, from github.com/jik876/hifi-gan, issue 7
REFINEMENTS = {"refinements": 4, "refinement_start": 0.6}  # measured in recipes/prompts/ablation.yaml
LIGHT_CHANNELS = [16, 32, 64, 128, 128]
MEL_RESOLUTIONS = [[256, 64, 40], [512, 128, 80], [1024, 256, 80], [2048, 512, 160]]
LOW_MEL_RESOLUTIONS = [[128, 32, 20], [256, 64, 40], [512, 128, 80], [1024, 256, 80]]


def features(sample_rate: int) -> dict[str, Any]:
    """The log-mel of all families at a rate: a window of four hops, the whole band.

    Raises:
        UserError: a rate below 8 or above 96 kHz.
    """
    if not MIN_RATE <= sample_rate <= MAX_RATE:
        raise UserError(f"Recipes exist for sample rates from {MIN_RATE} to {MAX_RATE} Hz, got {sample_rate}.")
    hop_length = _power_of_two(FRAME_SECONDS * sample_rate)
    n_mels = next(bands for least, bands in N_MELS.items() if sample_rate >= least)
    return {"sample_rate": sample_rate, "n_fft": 4 * hop_length, "hop_length": hop_length, "n_mels": n_mels}


def segment_length(sample_rate: int) -> int:
    """Samples of a training segment: the smallest power of two of sufficient duration."""
    return 2 * _power_of_two(SEGMENT_SECONDS * sample_rate - 1)


def _power_of_two(most: float) -> int:
    return 2 ** (int(most).bit_length() - 1)


def hifigan_v1(sample_rate: int) -> dict[str, Any]:
    mel = features(sample_rate) | {"padding": "same"}
    if sample_rate == 22050:
        mel |= {"fmax": 8000, "epsilon": 1e-9}  # the published contract, which acoustic models use
    rates = UPSAMPLE_RATES[mel["hop_length"]]
    periods = HIGH_PERIODS if sample_rate >= HIGH_RATE else PERIODS
    discriminators = len(periods) + 3
    maps = 5 * len(periods) + 7 * 3  # hidden layers of each period and of the three scales
    generator = {"name": "hifigan", "upsample_rates": rates, "upsample_kernel_sizes": [2 * rate for rate in rates]}
    return {
        "task": {"name": "vocoder", "features": mel},
        "generator": generator,
        "discriminators": [{"name": "period", "periods": periods}, {"name": "scale"}],
        # Means here, published as sums over discriminators and feature maps: the weights compensate.
        "objective": {
            "adversarial": "least_squares",
            "weights": {"adversarial": discriminators, "feature_matching": 2 * maps, "mel": 45},
        },
        "data": {"segment_length": segment_length(sample_rate), "global_batch_size": 16},
        "trainer": {
            "max_steps": 500000,
            "learning_rate": 2e-4,
            "betas": [0.8, 0.99],
            "precision": "auto",
            "valid_interval": 5000,
            "checkpoint_interval": 2000,
        },
    }


def spectral_small(sample_rate: int) -> dict[str, Any]:
    mel = features(sample_rate)
    n_fft, hop = mel["n_fft"], mel["hop_length"]
    resolutions = [[n_fft, hop, n_fft], [n_fft // 2, hop // 2, n_fft // 2]]
    return {
        "task": {"name": "vocoder", "features": mel},
        "generator": {"name": "spectral", "dim": 192, "num_blocks": 6} | REFINEMENTS,
        "discriminators": [
            {"name": "period", "periods": [2, 3, 5], "channels": LIGHT_CHANNELS},
            {"name": "resolution", "resolutions": resolutions, "channels": 16, "input": "complex"},
        ],
        "objective": _spectral_objective(sample_rate),
        "data": {"segment_length": segment_length(sample_rate), "global_batch_size": 16, "gain_db": [-6, 3]},
        "trainer": {
            "max_steps": 11000,
            "learning_rate": 2e-3,
            "muon_learning_rate": 0.05,
            "discriminator_learning_rate": 8e-4,
            "betas": [0.8, 0.95],
            "warmup_steps": 200,
            "adversarial_start": 0.8,
            "critic_steps": 1,
        },
    }


def spectral_large(sample_rate: int) -> dict[str, Any]:
    mel = features(sample_rate)
    n_fft, hop = 2 * mel["n_fft"], 2 * mel["hop_length"]
    resolutions = [[n_fft >> i, hop >> i, n_fft >> i] for i in range(3)]
    periods = HIGH_PERIODS if sample_rate >= HIGH_RATE else PERIODS
    return {
        "task": {"name": "vocoder", "features": mel},
        "generator": {"name": "spectral", "dim": 512, "num_blocks": 8} | REFINEMENTS,
        "discriminators": [
            {"name": "period", "periods": periods, "channels": [16, 64, 256, 512, 512]},
            {"name": "resolution", "resolutions": resolutions, "channels": 32, "input": "complex"},
        ],
        "objective": _spectral_objective(sample_rate),
        "data": {"segment_length": 2 * segment_length(sample_rate), "global_batch_size": 32, "gain_db": [-6, 3]},
        "trainer": {
            "max_steps": 200000,
            "learning_rate": 5e-4,
            "betas": [0.8, 0.9],
            "warmup_steps": 1000,
            "adversarial_start": 0.2,
            "precision": "auto",
            "valid_interval": 5000,
            "checkpoint_interval": 2000,
        },
    }


def _spectral_objective(sample_rate: int) -> dict[str, Any]:
    names = ("mel", "multi_resolution_mel", "log_amplitude", "phase", "complex_stft", "feature_matching")
    objective = {"adversarial": "hinge", "weights": dict(zip(names, (0, 7.5, 5, 10, 10, 2), strict=True))}
    if sample_rate < 12000:
        objective["mel_resolutions"] = LOW_MEL_RESOLUTIONS
    elif sample_rate >= HIGH_RATE:
        objective["mel_resolutions"] = [[2 * n_fft, 2 * hop, n_mels] for n_fft, hop, n_mels in MEL_RESOLUTIONS]
    return objective | {"reconstruction_scale": 0.5}


FAMILIES = {
    "hifigan_v1": (hifigan_v1, "HiFi-GAN V1 as published, for a GPU"),
    "spectral_small": (spectral_small, "a small spectral vocoder, for a CPU"),
    "spectral_large": (spectral_large, "a spectral vocoder of the size of Vocos, for a GPU"),
}


def recipe_text(family: str, corpus: str, sample_rate: int) -> str:
    """The YAML text of a family's recipe for a corpus, with the manifests in data/CORPUS.

    Raises:
        UserError: a rate without settings.
    """
    make, description = FAMILIES[family]
    recipe = {"name": f"{corpus}-{family.replace('_', '-')}"} | make(sample_rate)
    manifests = {part: f"data/{corpus}/{part}.jsonl" for part in ("train", "valid")}
    recipe["data"] = manifests | recipe["data"]
    config.parse(Recipe, recipe, f"{family} for {corpus}")
    head = f"# {corpus} at {sample_rate / 1000:g} kHz: {description}. Settings by rate: wavegan/training/presets.py.\n"
    return head + "".join(_lines(recipe))


def _lines(recipe: dict[str, Any]) -> list[str]:
    """One line per setting; mappings and lists inside a section are written inline."""
    lines = []
    for key, value in recipe.items():
        if isinstance(value, dict):
            lines += [f"{key}:\n", *(f"  {name}: {_flow(inner)}\n" for name, inner in value.items())]
        elif isinstance(value, list):
            lines += [f"{key}:\n", *(f"  - {_flow(inner)}\n" for inner in value)]
        else:
            lines.append(f"{key}: {_flow(value)}\n")
    return lines


def _flow(value: Any) -> str:
    if isinstance(value, float) and value < 1e-2:
        mantissa, exponent = f"{value:.0e}".split("e")
        return f"{mantissa}e{int(exponent)}"  # 2e-4, which PyYAML writes as 0.0002
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_flow(inner)}" for key, inner in value.items()) + "}"
    return yaml.safe_dump(value, default_flow_style=True, width=1000).removesuffix("\n").removesuffix("\n...")
