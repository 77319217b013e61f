"""Recipe: a whole experiment as one object, and every check that needs more than one of its sections."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, model_validator

from wavegan.core import config
from wavegan.core.config import Config
from wavegan.data.augment import AugmentConfig
from wavegan.data.segments import DataConfig
from wavegan.losses.objective import RECONSTRUCTION, ObjectiveConfig, Weights
from wavegan.models.discriminators import DiscriminatorConfig
from wavegan.models.generators import GeneratorConfig
from wavegan.tasks import TaskConfig
from wavegan.training.best_checkpoints import SelectionConfig

Beta = Annotated[float, Field(ge=0, lt=1)]


class TrainerConfig(Config):
    """How long, how fast, how often. Intervals count steps; a step is one batch.

    ``adversarial_start``: the share of ``max_steps`` trained on reconstruction alone, before the discriminators
    join; changing ``max_steps`` of a resumed run moves it, and the schedule. ``refinement_start``: the same for the
    generator's refinements, which help once its phases are nearly right. ``critic_steps``: from then on, so many
    batches train the discriminators and then one the generator; 0 trains both on every batch.
    ``muon_learning_rate``: train the generator's matrices with Muon at this rate, the rest with AdamW.
    ``final_learning_rate``: where the cosine ends, as a share of the peak. ``finetune``: checkpoint that the generator
    begins as; ``initial_weights``: the same for parts of it, such as {vocoder: runs/vocoder};
    ``initial_discriminators``: run whose discriminators the first ones begin as, or a published do_* file, whose
    mpd and msd 'period' and 'scale' begin as. ``frozen``: parts of the generator that are not trained;
    ``frozen_steps``: all of it, for so many first steps in which only discriminators learn.
    ``accumulate``: passes whose gradients are summed to one step, where the batch doesn't fit into memory.
    ``precision``: of the networks; auto is bf16-mixed where the device multiplies in bfloat16, decided when a run
    begins. ``compile``: by torch.compile; measure before (recipes/bench_training.py). ``wandb``: project at
    Weights & Biases to log to as well.
    """

    max_steps: int = Field(ge=1)
    seed: int = Field(0, ge=0)
    learning_rate: float = Field(2e-4, gt=0)
    muon_learning_rate: float | None = Field(None, gt=0)
    discriminator_learning_rate: float | None = Field(None, gt=0)
    betas: tuple[Beta, Beta] = (0.8, 0.99)
    weight_decay: float = Field(0.01, ge=0)
    warmup_steps: int = Field(0, ge=0)
    final_learning_rate: float = Field(0.05, ge=0, le=1)
    clip_norm: float = Field(10.0, gt=0)
    ema: float = Field(0.999, ge=0, lt=1)
    adversarial_start: float = Field(0.0, ge=0, le=1)
    refinement_start: float = Field(0.0, ge=0, le=1)
    critic_steps: int = Field(0, ge=0)
    finetune: Path | None = None
    initial_weights: dict[str, Path] = {}
    initial_discriminators: Path | None = None
    frozen: list[str] = []
    frozen_steps: int = Field(0, ge=0)
    accumulate: int = Field(1, ge=1)
    compile: bool = False
    log_interval: int = Field(50, ge=1)
    valid_interval: int = Field(500, ge=1)
    checkpoint_interval: int = Field(500, ge=1)
    num_samples: int = Field(2, ge=0)
    wandb: str | None = None
    accelerator: Literal["auto", "cpu", "gpu", "mps"] = "auto"
    precision: Literal["32-true", "bf16-mixed", "auto"] = "32-true"

    @property
    def adversarial_step(self) -> int:
        """First step with discriminators."""
        return round(self.adversarial_start * self.max_steps)

    @property
    def refinement_step(self) -> int:
        """First step with refinements."""
        return round(self.refinement_start * self.max_steps)


class Recipe(Config):
    """Task, generator, discriminators, objective, data and trainer of one experiment."""

    name: str = Field(pattern=r"^[\w.-]+$")
    task: TaskConfig
    generator: GeneratorConfig
    discriminators: list[DiscriminatorConfig] = []
    objective: ObjectiveConfig = ObjectiveConfig()
    augment: AugmentConfig | None = None
    data: DataConfig
    trainer: TrainerConfig
    selection: SelectionConfig | None = None

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        features = self.task.features
        if problem := self.generator.check(self.task):
            raise ValueError(problem)
        if self.objective.san and self.task.conditions:
            raise ValueError(
                "objective.san is for tasks without labels: where discriminators judge labels too, they have no one "
                "direction; leave it out"
            )
        if self.trainer.refinement_start and not getattr(self.generator, "refinements", 0):
            raise ValueError("trainer.refinement_start is for generators with refinements: set it to 0")
        if self.task.name == "generation":
            self._check_generation()
            return self
        if not any(getattr(self.objective.weights, name) for name in RECONSTRUCTION):
            raise ValueError("objective.weights: at least one reconstruction term must have a weight above 0")
        if self.objective.weights.diversity:
            raise ValueError("objective.weights.diversity is for generation: a vocoder copies its one target")
        if self.data.segment_length % features.hop_length:
            raise ValueError(
                f"data.segment_length {self.data.segment_length} must be a multiple of "
                f"task.features.hop_length {features.hop_length}"
            )
        longest = max(features.n_fft, *(n_fft for n_fft, _, _ in self.objective.mel_resolutions))
        if self.data.segment_length < longest:
            raise ValueError(f"data.segment_length {self.data.segment_length} is shorter than an n_fft of {longest}")
        if self.trainer.adversarial_start < 1 and not self.discriminators:
            raise ValueError("no discriminators: list some, or set trainer.adversarial_start to 1")
        return self

    def _check_generation(self) -> None:
        if self.data.segment_length != self.task.length:
            raise ValueError(f"data.segment_length {self.data.segment_length} must be task.length {self.task.length}")
        if not self.discriminators or self.trainer.adversarial_start > 0:
            raise ValueError("generation needs discriminators, and trainer.adversarial_start 0: they are its only loss")
        if self.task.output == "mel":
            f = self.task.features
            wanted = (f.n_fft, f.hop_length, f.n_mels)
            if any(d.name != "frames" or set(d.resolutions) != {wanted} for d in self.discriminators):
                raise ValueError(
                    f"task.output is mel: discriminators can only be frames with resolutions [{list(wanted)}]"
                )
        weights, usual, own = self.objective.weights, Weights(), (*RECONSTRUCTION, "feature_matching")
        if asked := [name for name, w in weights if w > 0 and name in own and w != getattr(usual, name)]:
            raise ValueError(f"objective.weights: generation copies nothing and has no {', '.join(asked)} term")
        if not weights.adversarial:
            raise ValueError("objective.weights.adversarial must be above 0: generation has no other loss")
        if self.objective.balancer:
            raise ValueError("objective.balancer balances a game with reconstruction, which generation hasn't")


def load_recipe(path: Path | str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe and apply dotted overrides (``["trainer.max_steps=1000"]``).

    Raises:
        UserError: the file is missing, or anything in it is wrong; all faults at once.
    """
    return config.parse(Recipe, config.override(config.read_yaml(path), overrides), str(path))
