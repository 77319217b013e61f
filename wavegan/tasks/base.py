"""The contract of a task: what a generator reads, what it is trained towards, how it is validated.

A task is a configuration, ``BaseTaskConfig``, which recipes and checkpoints name, and a module, ``Task``, which the
trainer calls. Shapes: B batch, T samples, M mel bands, F frames, V conditions.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

import torch
from torch import Tensor, nn

from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.core.config import Config
from wavegan.data.augment import AugmentConfig, augment
from wavegan.data.manifest import Utterance
from wavegan.data.segments import Segments

Condition = Literal["label", "speaker"]


class BaseTaskConfig(Config):
    """Configuration of a task.

    ``reads``: the generator's input; ``makes``: its output. ``paired``: real and fake are the same utterance, so that
    reconstruction losses and paired metrics make sense. ``features``: the mel contract that travels with the weights.
    """

    reads: ClassVar[Literal["mel", "latent", "waveform"]]
    makes: ClassVar[Literal["waveform", "mel"]] = "waveform"
    paired: ClassVar[bool]

    name: str
    features: LogMelConfig

    @property
    def vocabularies(self) -> dict[Condition, list[str]]:
        """The values of each condition that the generator is given; {} for an unconditional task."""
        return {}

    @property
    def label_sizes(self) -> tuple[int, ...]:
        return tuple(len(values) for values in self.vocabularies.values())

    @property
    def clip_length(self) -> int | None:
        """Samples of every clip; None where the length follows from the input."""
        return None

    def with_vocabulary(self, utterances: Sequence[Utterance]) -> BaseTaskConfig:
        """A copy whose empty vocabularies are filled from the training utterances."""
        return self

    def encode(self, utterances: Sequence[Utterance]) -> Tensor | None:
        """Labels of utterances, (N, V) int64, or None."""
        return None

    def faults(self, recipe: Any) -> list[str]:
        """Reasons why a recipe can't train this task, one sentence each; [] if it can."""
        return []

    def build(self) -> Task:
        raise NotImplementedError


class Pair(NamedTuple):
    """A validation clip: a recording and its copy, (T,) each."""

    name: str
    real: Tensor
    fake: Tensor


class Clips(NamedTuple):
    """Generated clips (N, 1, T) of one label."""

    name: str
    waveforms: Tensor


class Grid(NamedTuple):
    """Log-mels (N, M, F) of each row, shown as one picture."""

    rows: dict[str, Tensor]


class Validation(NamedTuple):
    """Result of a validation: the mean of each metric, samples for the run folder, and warnings for the user."""

    scores: dict[str, float]
    samples: list[Pair | Clips | Grid]
    warnings: list[str] = []


class Task(nn.Module):
    """The side of a task that runs in training. ``log_mel`` holds the device."""

    def __init__(self, config: BaseTaskConfig):
        super().__init__()
        self.config = config
        self.log_mel = LogMel(config.features)

    @property
    def device(self) -> torch.device:
        return self.log_mel.window.device

    def next_step(self, folder: Path) -> str:
        """The command that plays a trained model."""
        raise NotImplementedError

    def sample_input(self, waveform: Tensor, label: Tensor | None = None) -> Tensor:
        """The generator's input for real clips (B, 1, T) and labels (B, V)."""
        raise NotImplementedError

    def target(self, waveform: Tensor) -> Tensor:
        """Real clips as the discriminators see them."""
        return waveform

    def compose(self, fake: Tensor, x: Tensor) -> Tensor:
        """The finished output from the generator's output and its input; inpainting keeps the known part here."""
        return fake

    def augment(self, config: AugmentConfig, clips: list[Tensor]) -> list[Tensor]:
        """Real and fake clips, augmented alike in distribution."""
        return augment(config, clips, self.config.features.sample_rate)

    def extra_terms(self, objective: Any, generator: Any, x: Tensor, fake: Tensor, label: Tensor | None) -> dict:
        """Loss terms of the generator that only this task has: {name: scalar}, weighted by ``objective.weights``."""
        return {}

    def validate(self, generator: nn.Module, clips: Segments, num_samples: int) -> Validation:
        """Score ``generator`` on the validation clips; keep ``num_samples`` of them to listen to."""
        raise NotImplementedError
