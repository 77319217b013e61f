"""Tasks: the only place where vocoder, generation and the others differ.

A task config says what the generator is given and which labels there are; its module makes the generator's input from
a batch, and validates. Shapes: B batch, T samples, M mel bands, F frames, Z latent, V conditions.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.core.config import Config
from wavegan.core.errors import UserError
from wavegan.core.sequences import spread
from wavegan.data.augment import AugmentConfig, augment
from wavegan.data.manifest import Utterance
from wavegan.losses import diversity as losses
from wavegan.tasks.base import Condition

if TYPE_CHECKING:
    from wavegan.data.segments import Segments
    from wavegan.losses.objective import Objective
    from wavegan.training.tracker import Tracker


class GenerationConfig(Config):
    """Noise, and labels, to waveform.

    ``length``: samples of every clip. ``conditions``: which columns of the manifest the generator is told, each with
    its vocabulary; an empty one is filled from the training manifest when a run starts. {} is unconditional.
    ``output``: "mel" makes log-mels only, a first stage that needs no vocoder yet and trains three times as fast.
    ``latent``: N(0, 1), or uniform in [-1, 1] as WaveGAN's.
    """

    name: Literal["generation"] = "generation"
    features: LogMelConfig
    length: int = Field(16384, ge=64, le=2**24)
    conditions: dict[Condition, list[str]] = {"label": []}
    output: Literal["waveform", "mel"] = "waveform"
    latent_dim: int = Field(64, ge=1)
    latent: Literal["normal", "uniform"] = "normal"

    @field_validator("features")
    @classmethod
    def _plain(cls, features: LogMelConfig) -> LogMelConfig:
        if features.mean is not None or (features.log, features.power) != ("ln", 1):
            raise ValueError("generation works on natural logarithms of magnitudes, without mean and std")
        return features

    @field_validator("conditions")
    @classmethod
    def _check(cls, conditions: dict[Condition, list[str]]) -> dict[Condition, list[str]]:
        for name, words in conditions.items():
            if len(set(words)) < len(words):
                raise ValueError(f"{name}: a word appears twice")
        return conditions

    @property
    def label_sizes(self) -> tuple[int, ...]:
        return tuple(len(words) for words in self.conditions.values())

    def with_vocabulary(self, utterances: Sequence[Utterance]) -> GenerationConfig:
        """A copy whose empty vocabularies hold the sorted values of the utterances.

        Raises:
            UserError: an utterance lacks the column.
        """
        filled = {}
        for name, words in self.conditions.items():
            if missing := [u.id for u in utterances if getattr(u, name) is None]:
                raise UserError(
                    f"{len(missing)} utterances have no {name} ('{missing[0]}', ...), but task.conditions asks for it. "
                    f"Prepare the corpus with {name}s, or leave it out of task.conditions."
                )
            filled[name] = words or sorted({getattr(u, name) for u in utterances})
        return self.model_copy(update={"conditions": filled})

    def encode(self, utterances: Sequence[Utterance]) -> Tensor | None:
        """Labels of utterances as (N, V) int64.

        Raises:
            UserError: a value outside the vocabulary.
        """
        if not self.conditions:
            return None
        return torch.stack([self.index(name, [getattr(u, name) for u in utterances]) for name in self.conditions], 1)

    def index(self, condition: Condition, values: Sequence[Any]) -> Tensor:
        """Places of ``values`` in a vocabulary, (N,) int64.

        Raises:
            UserError: one isn't there; says which there are.
        """
        words = self.conditions[condition]
        for value in values:
            if value not in words:
                raise UserError(f"No such {condition}: '{value}'. There are: {', '.join(words)}.")
        return torch.tensor([words.index(value) for value in values], dtype=torch.int64)

    def draw(self, count: int, random: torch.Generator | None = None, device: torch.device | None = None) -> Tensor:
        """Latents (count, Z)."""
        if self.latent == "normal":
            return torch.randn(count, self.latent_dim, generator=random, device=device)
        return torch.rand(count, self.latent_dim, generator=random, device=device) * 2 - 1

    def build(self) -> Generation:
        return Generation(self)


class Generation(nn.Module):
    """Noise to waveform: nothing ties a fake to the real clip beside it, but their labels."""

    paired = False
    TAKES = 8  # of each label, in validation
    MOST_GROUPS = 64
    COLLAPSED = 0.3  # diversity, as a share of that of recordings

    def __init__(self, config: GenerationConfig):
        super().__init__()
        self.config = config
        self.log_mel = LogMel(config.features)

    def next_step(self, folder: Path) -> str:
        """What to do with a trained model."""
        if self.config.output == "mel":
            return f"A first stage: it begins the next as trainer.initial_weights={{trunk: {folder}}}."
        words = self.config.conditions.get("label", ["3"])[:3]
        return f"Hear it: wavegan generate {shlex.join(words)} -o OUT.wav --model {shlex.quote(str(folder))}"

    def sample_input(self, waveform: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, 1, T) -> latents (B, Z), from torch's global random state."""
        return self.config.draw(len(waveform), device=waveform.device)

    def target(self, waveform: Tensor) -> Tensor:
        """What the discriminators hear of a recording (B, 1, T): itself, or its log-mel (B, M, F)."""
        return waveform if self.config.output == "waveform" else self._mel(waveform)

    def compose(self, fake: Tensor, x: Tensor) -> Tensor:
        return fake

    def augment(self, config: AugmentConfig, clips: list[Tensor]) -> list[Tensor]:
        features = self.config.features
        if self.config.output == "waveform":
            return augment(config, clips, features.sample_rate)
        return augment(config, clips, features.sample_rate / features.hop_length, features.log_floor)

    def diversity(self, objective: Objective, generator: nn.Module, x: Tensor, fake: Tensor, label: Tensor) -> Tensor:
        """The diversity term of clips ``fake``, made from latents ``x``, beside other takes of their labels."""
        other = self.config.draw(len(x), device=x.device)
        mels = [self._mel(clips) for clips in (fake, generator.generate(other, label)[0])]
        return losses.diversity(x, other, *mels, objective.config.diversity_limit)

    def _mel(self, clips: Tensor) -> Tensor:
        """Clips as the task makes them, (B, 1, T) or (B, M, F), as log-mels (B, M, F)."""
        if clips.shape[1] > 1:
            return clips
        return self.log_mel(clips)[..., : self.config.length // self.config.features.hop_length]

    def validate(
        self, generator: nn.Module, clips: Segments, tracker: Tracker, step: int, num_samples: int
    ) -> dict[str, float]:
        """How unlike the takes of one label are, beside recordings of it; a grid of takes at fixed latents.

        Diversity is the mean distance of two takes with the same labels, as a share of that of two recordings; 1 is
        as diverse as recordings, 0 is mode collapse.
        """
        real = torch.stack([clips.clip(i) for i in range(len(clips.names))])
        labels = [()] * len(real) if clips.labels is None else [tuple(row) for row in clips.labels.tolist()]
        groups = {label: [i for i, own in enumerate(labels) if own == label] for label in sorted(set(labels))}
        groups = {label: members for label, members in groups.items() if len(members) > 1}
        chosen = spread(list(groups) or sorted(set(labels)), self.MOST_GROUPS)
        random, device = torch.Generator().manual_seed(0), self.log_mel.window.device
        z = self.config.draw(self.TAKES, random)
        takes = {label: self._takes(generator, z, label) for label in chosen}
        shown = {self._name(label): takes[label] for label in spread(chosen, 10)}
        tracker.grid(step, {name: self._mel(clips.to(device)).cpu() for name, clips in shown.items()})
        if self.config.output == "waveform":
            for name, clips in shown.items():
                tracker.clips(step, name, clips[:num_samples], self.config.features.sample_rate)
        if not groups:
            return {}
        pairs = self._mel(real[[i for members in groups.values() for i in members[:2]]].to(device))
        scale = (pairs[0::2] - pairs[1::2]).abs().mean()
        by_word: dict[tuple[int, ...], list[float]] = {}  # speakers differ in how much they vary: judge their mean
        for label in chosen:
            mels = self._mel(takes[label].to(device)).flatten(1)
            distance = torch.pdist(mels, p=1).mean() / mels.shape[1]
            by_word.setdefault(label[:1], []).append(float(distance / scale))
        diversity = {word: sum(values) / len(values) for word, values in by_word.items()}
        least = min(diversity, key=lambda word: diversity[word])
        if diversity[least] < self.COLLAPSED:
            print(
                f"Step {step}: takes of '{self._name(least)}' differ only {diversity[least]:.2f} times as much as "
                "recordings do. If that goes on falling, the generator collapses: lower trainer.learning_rate, or "
                "raise objective.penalty.weight.",
                file=sys.stderr,
            )
        return {"diversity": sum(diversity.values()) / len(diversity), "diversity_least": diversity[least]}

    def _takes(self, generator: nn.Module, z: Tensor, label: tuple[int, ...]) -> Tensor:
        device = self.log_mel.window.device
        labels = torch.tensor(label, device=device).expand(len(z), -1) if label else None
        return generator(z.to(device), labels).float().cpu()

    def _name(self, label: tuple[int, ...]) -> str:
        return " ".join(words[i] for i, words in zip(label, self.config.conditions.values(), strict=False)) or "all"
