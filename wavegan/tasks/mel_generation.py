"""The first stage of generation: noise, and labels, to log-mel frames.

It needs no vocoder and trains three times as fast; its trunk initialises a model of the generation task.
Shapes: B batch, N clips, T samples, M mel bands, F frames.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

from torch import Tensor

from wavegan.data.augment import AugmentConfig, augment
from wavegan.tasks.base import Clips
from wavegan.tasks.generation import GenerationConfig, GenerationTask


class MelGenerationConfig(GenerationConfig):
    """Noise, and labels, to log-mels; fields as in ``GenerationConfig``."""

    makes: ClassVar = "mel"

    name: Literal["mel_generation"] = "mel_generation"

    def faults(self, recipe: Any) -> list[str]:
        features = self.features
        resolution = (features.n_fft, features.hop_length, features.n_mels)
        faults = super().faults(recipe)
        if any(d.name != "frames" or set(d.resolutions) != {resolution} for d in recipe.discriminators):
            faults.append(
                f"task mel_generation makes mels: discriminators can only be frames with resolutions "
                f"[{list(resolution)}]"
            )
        return faults

    def build(self) -> MelGenerationTask:
        return MelGenerationTask(self)


class MelGenerationTask(GenerationTask):
    """Noise to log-mel frames."""

    def next_step(self, folder: Path) -> str:
        return f"This is a first stage; the next one starts with trainer.initial_weights={{trunk: {folder}}}."

    def target(self, waveform: Tensor) -> Tensor:
        """Real clips (B, 1, T) as log-mels (B, M, F)."""
        return super().mel(waveform)

    def augment(self, config: AugmentConfig, clips: list[Tensor]) -> list[Tensor]:
        features = self.config.features
        return augment(config, clips, features.sample_rate / features.hop_length, features.log_floor)

    def mel(self, clips: Tensor) -> Tensor:
        return clips

    def audible(self, name: str, clips: Tensor) -> list[Clips]:
        return []
