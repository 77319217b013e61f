"""Generators. The union below is the registry: a new generator is one file and one line here.

The contract: ``config.build(task)`` gives a module with
  ``forward(x, label=None) -> (B, 1, T)``, from what the task feeds: a log-mel (B, M, F), T = frames * hop_length
  exactly; or a latent (B, Z) and labels (B, V), T = task.length;
  ``generate(x, label=None)``, the same waveform and the complex spectrum (B, K, F) it was made from, on the grid
  of the features, or None for generators in the time domain: losses can reach it before the inverse STFT;
  ``context_frames``, the receptive field on each side, None for latents.
``config.check(task)`` says why a generator can't do a task, or None.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wavegan.generators.hifigan import HiFiGAN, HiFiGANConfig
from wavegan.generators.latent import LatentConfig, LatentGenerator
from wavegan.generators.spectral import SpectralConfig, SpectralGenerator
from wavegan.generators.wavegan import WaveGAN, WaveGANConfig

GeneratorConfig = Annotated[HiFiGANConfig | LatentConfig | SpectralConfig | WaveGANConfig, Field(discriminator="name")]

__all__ = [
    "GeneratorConfig",
    "HiFiGAN",
    "HiFiGANConfig",
    "LatentConfig",
    "LatentGenerator",
    "SpectralConfig",
    "SpectralGenerator",
    "WaveGAN",
    "WaveGANConfig",
]
