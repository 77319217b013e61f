"""The vocoder task: log-mel to waveform.

Shapes: B batch, T samples, M mel bands, F frames.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from torch import Tensor, nn

from wavegan import metrics
from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.core.config import Config
from wavegan.data.augment import AugmentConfig, augment
from wavegan.data.manifest import Utterance
from wavegan.tasks.base import Condition

if TYPE_CHECKING:
    from wavegan.data.segments import Segments
    from wavegan.training.tracker import Tracker


class VocoderConfig(Config):
    """Log-mel to waveform; ``features`` is the contract that travels with the weights."""

    name: Literal["vocoder"] = "vocoder"
    features: LogMelConfig

    @property
    def conditions(self) -> dict[Condition, list[str]]:
        return {}

    @property
    def label_sizes(self) -> tuple[int, ...]:
        return ()

    def with_vocabulary(self, utterances: Sequence[Utterance]) -> VocoderConfig:
        return self

    def encode(self, utterances: Sequence[Utterance]) -> Tensor | None:
        return None

    def build(self) -> Vocoder:
        return Vocoder(self)


class Vocoder(nn.Module):
    """Copy-synthesis: the generator's input is the log-mel of its target."""

    paired = True  # real and fake are the same utterance: reconstruction losses make sense

    def __init__(self, config: VocoderConfig):
        super().__init__()
        self.log_mel = LogMel(config.features)

    def next_step(self, folder: Path) -> str:
        """What to do with a trained model."""
        return f"Hear it: wavegan vocode IN.wav -o OUT.wav --model {shlex.quote(str(folder))}"

    @torch.no_grad()
    def sample_input(self, waveform: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, 1, T), T a multiple of the hop, -> (B, M, T / hop): the trailing frame of "center" is dropped."""
        return self.log_mel(waveform)[..., : waveform.shape[-1] // self.log_mel.config.hop_length]

    def target(self, waveform: Tensor) -> Tensor:
        """What the discriminators hear of a recording."""
        return waveform

    def compose(self, fake: Tensor, x: Tensor) -> Tensor:
        return fake

    def augment(self, config: AugmentConfig, clips: list[Tensor]) -> list[Tensor]:
        return augment(config, clips, self.log_mel.config.sample_rate)

    def validate(
        self, generator: nn.Module, clips: Segments, tracker: Tracker, step: int, num_samples: int
    ) -> dict[str, float]:
        """Copy-synthesis of whole clips; the mean of each metric, and for each speaker where there are several.
        ``num_samples`` copies are kept to listen to.
        """
        scores: dict[str, list[float]] = {}
        hop, rate = self.log_mel.config.hop_length, self.log_mel.config.sample_rate
        device = self.log_mel.window.device
        shown = {i * len(clips.names) // num_samples for i in range(num_samples)}
        for i, (name, samples) in enumerate(zip(clips.names, clips.waveforms, strict=True)):
            real = samples.float() / 32768
            whole = len(real) // hop
            x = self.sample_input(real[: whole * hop].to(device)[None, None])
            x = clips.mels[i][None, :, :whole].to(device) if clips.mels else x
            fake = self.compose(generator(x), x)[0, 0].float().cpu()
            measured = metrics.copy_quality(real, fake, rate)
            measured["multi_resolution_stft"] = metrics.multi_resolution_stft(real, fake, rate)
            for metric, score in measured.items():
                scores.setdefault(metric, []).append(score)
                if len(set(clips.speakers)) > 1:
                    scores.setdefault(f"{metric}/{clips.speakers[i]}", []).append(score)
            if i in shown:
                tracker.sample(step, name, real, fake, rate)
        return {name: float(torch.tensor(v).nanmean()) for name, v in scores.items()}
