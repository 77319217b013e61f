"""Generators. The union below is the registry: a new generator is one file and one line here.

The contract: ``config.build(task)`` gives a module with
  ``forward(x, label=None) -> (B, 1, T)``, from a latent (B, Z) and labels (B, V), T = task.length; a vocoder has
  ``forward(x, label=None, first_frame=0)``, from a log-mel (B, M, F) of any F >= 1, T = F * hop_length exactly.
  ``first_frame``, an integer or a tensor (B,) of them, says where x begins in the whole mel: a generator that reads
  noise draws that of a sample by the sample's index in the whole, so that windows of a long mel fit together; the
  others ignore it. In training mode it draws from torch's global random state;
  ``noise(first_frame, num_frames) -> (1, T)``, only where the generator reads noise: what it draws outside training;
  its ``forward`` takes other noise (B, 1, T) as ``noise``;
  ``generate(x, label=None)``, the same waveform and the complex spectrum (B, K, F) it was made from, on the grid
  of the features, or None for generators in the time domain: losses can reach it before the inverse STFT;
  ``context_frames``, (left, right): the hop_length samples of frame f depend on frames f - left to f + right of x
  and on no others, whatever pads the ends; None for latents. Streams and long mels go by windows of that context:
  it should be as tight as ``receptive_field.py`` computes it. Causal: right is what the inverse STFT overlaps.
``config.check(task)`` says why a generator can't do a task, or None.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wavegan.models.generators.bigvgan import BigVGAN, BigVGANConfig
from wavegan.models.generators.hifigan import HiFiGAN, HiFiGANConfig
from wavegan.models.generators.latent import LatentConfig, LatentGenerator
from wavegan.models.generators.melgan import MelGAN, MelGANConfig
from wavegan.models.generators.parallel_wavegan import ParallelWaveGAN, ParallelWaveGANConfig
from wavegan.models.generators.spectral import SpectralConfig, SpectralGenerator
from wavegan.models.generators.wavegan import WaveGAN, WaveGANConfig

GeneratorConfig = Annotated[
    BigVGANConfig
    | HiFiGANConfig
    | LatentConfig
    | MelGANConfig
    | ParallelWaveGANConfig
    | SpectralConfig
    | WaveGANConfig,
    Field(discriminator="name"),
]

__all__ = [
    "BigVGAN",
    "BigVGANConfig",
    "GeneratorConfig",
    "HiFiGAN",
    "HiFiGANConfig",
    "LatentConfig",
    "LatentGenerator",
    "MelGAN",
    "MelGANConfig",
    "ParallelWaveGAN",
    "ParallelWaveGANConfig",
    "SpectralConfig",
    "SpectralGenerator",
    "WaveGAN",
    "WaveGANConfig",
]
