"""The generation task: noise, and labels, to waveform.

Shapes: B batch, N clips, T samples, M mel bands, F frames, Z latent, V conditions.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from pydantic import Field, field_validator
from torch import Tensor, nn

from wavegan.audio.log_mel import LogMelConfig
from wavegan.core.errors import UserError
from wavegan.core.sequences import spread
from wavegan.data.manifest import Utterance
from wavegan.data.segments import Segments
from wavegan.tasks.base import BaseTaskConfig, Clips, Condition, Grid, Task, Validation


class GenerationConfig(BaseTaskConfig):
    """Noise, and labels, to waveform.

    ``length``: samples of every clip. ``conditions``: the columns of the manifest that the generator is given, each
    with its vocabulary; an empty one is filled from the training manifest when a run starts. {} is unconditional.
    ``latent``: N(0, 1), or uniform in [-1, 1] as in WaveGAN.
    """

    reads: ClassVar = "latent"
    paired: ClassVar = False

    name: Literal["generation"] = "generation"
    length: int = Field(16384, ge=64, le=2**24)
    conditions: dict[Condition, list[str]] = {"label": []}
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
    def _distinct(cls, conditions: dict[Condition, list[str]]) -> dict[Condition, list[str]]:
        for name, words in conditions.items():
            if len(set(words)) < len(words):
                raise ValueError(f"{name}: a word appears twice")
        return conditions

    @property
    def vocabularies(self) -> dict[Condition, list[str]]:
        return self.conditions

    @property
    def clip_length(self) -> int:
        return self.length

    def with_vocabulary(self, utterances: Sequence[Utterance]) -> GenerationConfig:
        """A copy whose empty vocabularies are filled with the sorted values of the utterances.

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
        """Positions of ``values`` in a vocabulary, (N,) int64.

        Raises:
            UserError: a value outside the vocabulary; names those that are in it.
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

    def faults(self, recipe: Any) -> list[str]:
        faults, objective = [], recipe.objective
        if recipe.data.segment_length != self.length:
            faults.append(f"data.segment_length {recipe.data.segment_length} must be task.length {self.length}")
        if not recipe.discriminators or recipe.trainer.adversarial_start > 0:
            faults.append("generation needs discriminators, and trainer.adversarial_start 0: they are its only loss")
        if unusable := objective.changed_terms_of_pairs():
            faults.append(f"objective.weights: generation copies nothing and has no {', '.join(unusable)} term")
        if not objective.weights.adversarial:
            faults.append("objective.weights.adversarial must be above 0: generation has no other loss")
        if objective.balancer:
            faults.append("objective.balancer balances against reconstruction terms, which generation lacks")
        return faults

    def build(self) -> GenerationTask:
        return GenerationTask(self)


class GenerationTask(Task):
    """Noise to waveform: a fake clip shares nothing with the real clip beside it but their labels."""

    TAKES = 8  # of each label, in validation
    MAX_GROUPS = 64
    COLLAPSED = 0.3  # diversity, as a share of that of recordings

    def next_step(self, folder: Path) -> str:
        words = self.config.conditions.get("label", ["3"])[:3]
        return f"Listen to it: wavegan generate {shlex.join(words)} -o OUT.wav --model {shlex.quote(str(folder))}"

    def sample_input(self, waveform: Tensor, label: Tensor | None = None) -> Tensor:
        """(B, 1, T) -> latents (B, Z), from torch's global random state."""
        return self.config.draw(len(waveform), device=waveform.device)

    def extra_terms(
        self, objective: Any, generator: Any, x: Tensor, fake: Tensor, label: Tensor | None
    ) -> dict[str, Tensor]:
        """The diversity term of clips ``fake``, made from latents ``x``, against other takes of their labels."""
        if "diversity" not in objective.weights:
            return {}
        other = self.config.draw(len(x), device=x.device)
        mels = [self.mel(clips) for clips in (fake, generator.generate(other, label)[0])]
        return {"diversity": objective.diversity(x, other, *mels)}

    def mel(self, clips: Tensor) -> Tensor:
        """Clips as the task makes them -> log-mels (N, M, F)."""
        return self.log_mel(clips)[..., : self.config.length // self.config.features.hop_length]

    def audible(self, name: str, clips: Tensor) -> list[Clips]:
        """Generated clips to listen to."""
        return [Clips(name, clips)]

    def validate(self, generator: nn.Module, clips: Segments, num_samples: int) -> Validation:
        """Diversity of the takes of one label, relative to recordings; a grid of takes at fixed latents.

        Diversity is the mean distance of two takes with the same labels, as a share of that of two recordings; 1 is
        as diverse as recordings, 0 is mode collapse.
        """
        groups = _groups(clips)
        pairs = {label: members for label, members in groups.items() if len(members) > 1}
        chosen = spread(list(pairs) or list(groups), self.MAX_GROUPS)
        z = self.config.draw(self.TAKES, torch.Generator().manual_seed(0))
        takes = {label: self._takes(generator, z, label) for label in chosen}
        shown = {self._name(label): takes[label] for label in spread(chosen, 10)}
        samples = [Grid({name: self.mel(fakes.to(self.device)).cpu() for name, fakes in shown.items()})]
        for name, fakes in shown.items():
            samples += self.audible(name, fakes[:num_samples])
        if not pairs:
            return Validation({}, samples)
        recordings = torch.stack([clips.clip(i) for members in pairs.values() for i in members[:2]])
        mels = self.mel(self.target(recordings.to(self.device)))
        diversity = self._diversity(takes, (mels[0::2] - mels[1::2]).abs().mean())
        least = min(diversity, key=lambda word: diversity[word])
        scores = {"diversity": sum(diversity.values()) / len(diversity), "diversity_least": diversity[least]}
        return Validation(scores, samples, self._warnings(self._name(least), diversity[least]))

    def _diversity(self, takes: dict[tuple[int, ...], Tensor], scale: Tensor) -> dict[tuple[int, ...], float]:
        """Diversity by word, averaged over speakers, who differ in how much they vary."""
        by_word: dict[tuple[int, ...], list[float]] = {}
        for label, clips in takes.items():
            mels = self.mel(clips.to(self.device)).flatten(1)
            distance = torch.pdist(mels, p=1).mean() / mels.shape[1]
            by_word.setdefault(label[:1], []).append(float(distance / scale))
        return {word: sum(values) / len(values) for word, values in by_word.items()}

    def _warnings(self, name: str, diversity: float) -> list[str]:
        if diversity >= self.COLLAPSED:
            return []
        return [
            f"takes of '{name}' differ only {diversity:.2f} times as much as recordings do. If that keeps falling, the "
            "generator is collapsing: lower trainer.learning_rate, or raise objective.penalty.weight."
        ]

    def _takes(self, generator: nn.Module, z: Tensor, label: tuple[int, ...]) -> Tensor:
        labels = torch.tensor(label, device=self.device).expand(len(z), -1) if label else None
        return generator(z.to(self.device), labels).float().cpu()

    def _name(self, label: tuple[int, ...]) -> str:
        return " ".join(words[i] for i, words in zip(label, self.config.conditions.values(), strict=False)) or "all"


def _groups(clips: Segments) -> dict[tuple[int, ...], list[int]]:
    """Indices of the clips with each combination of labels."""
    count = len(clips.names)
    labels = [()] * count if clips.labels is None else [tuple(row) for row in clips.labels.tolist()]
    return {label: [i for i in range(count) if labels[i] == label] for label in sorted(set(labels))}
