"""Generators. The union below is the registry: a new generator is one file and one line here.

The contract: ``config.build(features)`` gives a module with
  ``forward(x, label=None) -> (B, 1, T)``, T = frames * hop_length exactly;
  ``generate(x, label=None)``, the same waveform and the complex spectrum (B, K, F) it was made from, on the grid
  of the features, or None for generators in the time domain: losses can reach it before the inverse STFT;
  ``context_frames``, the receptive field on each side.
``config.check(features)`` says why a generator can't be built on these features, or None.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wavegan.generators.hifigan import HiFiGAN, HiFiGANConfig
from wavegan.generators.spectral import SpectralConfig, SpectralGenerator

GeneratorConfig = Annotated[HiFiGANConfig | SpectralConfig, Field(discriminator="name")]

__all__ = ["GeneratorConfig", "HiFiGAN", "HiFiGANConfig", "SpectralConfig", "SpectralGenerator"]
