"""The vocoder task: log-mel to waveform.

Shapes: B batch, T samples, M mel bands, F frames.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from wavegan import metrics
from wavegan.data.segments import Segments
from wavegan.tasks.base import BaseTaskConfig, Pair, Task, Validation


class VocoderConfig(BaseTaskConfig):
    """Log-mel to waveform; ``features`` is the contract that travels with the weights."""

    reads: ClassVar = "mel"
    paired: ClassVar = True

    name: Literal["vocoder"] = "vocoder"

    def faults(self, recipe: Any) -> list[str]:
        faults, features = [], self.features
        if not recipe.objective.reconstructs:
            faults.append("objective.weights: at least one reconstruction term must have a weight above 0")
        if recipe.objective.weights.diversity:
            faults.append("objective.weights.diversity is for generation: a vocoder copies its one target")
        segment_length = recipe.data.segment_length
        if segment_length % features.hop_length:
            faults.append(
                f"data.segment_length {segment_length} must be a multiple of "
                f"task.features.hop_length {features.hop_length}"
            )
        resolutions = [*recipe.objective.mel_resolutions]
        if recipe.objective.weights.spectral_variance:
            resolutions += recipe.objective.variance_resolutions
        longest = max(features.n_fft, *(n_fft for n_fft, _, _ in resolutions))
        if segment_length < longest:
            faults.append(f"data.segment_length {segment_length} is shorter than an n_fft of {longest}")
        if recipe.trainer.adversarial_start < 1 and not recipe.discriminators:
            faults.append("no discriminators: list some, or set trainer.adversarial_start to 1")
        return faults

    def build(self) -> VocoderTask:
        return VocoderTask(self)


class VocoderTask(Task):
    """Copy synthesis: the generator's input is the log-mel of its target."""

    def next_step(self, folder: Path) -> str:
        return f"Listen to it: wavegan vocode IN.wav -o OUT.wav --model {shlex.quote(str(folder))}"

    @torch.no_grad()
    def sample_input(self, waveform: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, 1, T), T a multiple of the hop, -> (B, M, T / hop): the trailing frame of "center" is dropped."""
        return self.log_mel(waveform)[..., : waveform.shape[-1] // self.config.features.hop_length]

    def validate(self, generator: nn.Module, clips: Segments, num_samples: int) -> Validation:
        """Copy synthesis of whole clips; the mean of each metric, and for each speaker where there are several."""
        scores: dict[str, list[float]] = {}
        samples = []
        rate = self.config.features.sample_rate
        shown = {i * len(clips.names) // num_samples for i in range(num_samples)}
        for i, name in enumerate(clips.names):
            real = clips.whole(i)
            fake = self._copy(generator, real, clips.mels[i] if clips.mels else None)
            values = metrics.copy_quality(real, fake, rate)
            values["multi_resolution_stft"] = metrics.multi_resolution_stft(real, fake, rate)
            for metric, value in values.items():
                scores.setdefault(metric, []).append(value)
                if len(set(clips.speakers)) > 1:
                    scores.setdefault(f"{metric}/{clips.speakers[i]}", []).append(value)
            if i in shown:
                samples.append(Pair(name, real, fake))
        return Validation({name: float(torch.tensor(v).nanmean()) for name, v in scores.items()}, samples)

    def _copy(self, generator: nn.Module, real: Tensor, mel: Tensor | None) -> Tensor:
        """The copy (T,) of a whole recording (T,), from its own mel or from a given one (M, F)."""
        hop = self.config.features.hop_length
        frames = len(real) // hop
        if mel is None:
            x = self.sample_input(real[: frames * hop].to(self.device)[None, None])
        else:
            x = mel[None, :, :frames].to(self.device)
        return self.compose(generator(x), x)[0, 0].float().cpu()
