"""Generators; a new one is one file and one line here. ``base.py`` has the contract."""

from __future__ import annotations

from typing import Annotated

from wavegan.core.registry import Registry
from wavegan.models.generators.base import BaseGeneratorConfig
from wavegan.models.generators.bigvgan import BigVGANConfig
from wavegan.models.generators.hifigan import HiFiGANConfig
from wavegan.models.generators.latent import LatentConfig
from wavegan.models.generators.melgan import MelGANConfig
from wavegan.models.generators.parallel_wavegan import ParallelWaveGANConfig
from wavegan.models.generators.spectral import SpectralConfig
from wavegan.models.generators.wavegan import WaveGANConfig

BUILT_IN = (
    BigVGANConfig,
    HiFiGANConfig,
    LatentConfig,
    MelGANConfig,
    ParallelWaveGANConfig,
    SpectralConfig,
    WaveGANConfig,
)
GENERATORS = Registry("generator", BaseGeneratorConfig, BUILT_IN)
GeneratorConfig = Annotated[BaseGeneratorConfig, GENERATORS]
