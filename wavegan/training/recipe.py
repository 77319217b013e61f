"""Recipe: a whole experiment as one object, and every check that needs more than one of its sections."""

from __future__ import annotations

import math
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, model_validator

from wavegan.checkpoints import native
from wavegan.core import config
from wavegan.core.config import Config
from wavegan.data.augment import AugmentConfig
from wavegan.data.segments import DataConfig
from wavegan.losses.objective import ObjectiveConfig
from wavegan.models.discriminators import DiscriminatorConfig
from wavegan.models.generators import GeneratorConfig
from wavegan.tasks import TaskConfig
from wavegan.training.best_checkpoints import SelectionConfig

Beta = Annotated[float, Field(ge=0, lt=1)]


class TrainerConfig(Config):
    """Length, rates and intervals of a training. Intervals count steps; a step is one batch.

    ``adversarial_start``: share of ``max_steps`` trained on reconstruction alone, before the discriminators join;
    changing ``max_steps`` of a resumed run moves it, and the schedule. ``critic_steps``: from then on, number of
    batches that train the discriminators before one trains the generator; 0 trains both on every batch.
    ``muon_learning_rate``: train the generator's matrices with Muon at this rate, the rest with AdamW.
    ``final_learning_rate``: end of the cosine, as a share of the peak. ``finetune``: checkpoint with the generator's
    initial weights; ``initial_weights``: the same for parts of it, such as {vocoder: runs/vocoder};
    ``initial_discriminators``: run whose discriminators initialise the first ones, or a published do_* file, whose
    mpd and msd initialise 'period' and 'scale'. ``frozen``: parts of the generator that are not trained;
    ``frozen_steps``: number of first steps in which only discriminators are trained.
    ``accumulate``: passes whose gradients are summed to one step, where the batch doesn't fit into memory.
    ``precision``: of the networks; auto is bf16-mixed where the device multiplies in bfloat16, decided when a run
    begins. ``compile``: by torch.compile; measure before (recipes/bench_training.py). ``wandb``: also log to this
    project at Weights & Biases.
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

    def learning_rate_factor(self, step: int) -> float:
        """Linear warm-up, then a cosine from 1 to ``final_learning_rate``."""
        warm = min(1.0, (step + 1) / self.warmup_steps) if self.warmup_steps else 1.0
        cosine = 0.5 * (1 + math.cos(math.pi * step / self.max_steps))
        return warm * (self.final_learning_rate + (1 - self.final_learning_rate) * cosine)


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

    _folder: Path | None = PrivateAttr(None)

    @property
    def folder(self) -> Path | None:
        """The folder of the recipe's file, beside which its relative paths are looked for first."""
        return self._folder

    def with_sections(self, **changes: dict[str, Any]) -> Recipe:
        """A copy in which fields of sections are replaced: ``with_sections(trainer={"max_steps": 5})``."""
        sections = {name: getattr(self, name).model_copy(update=fields) for name, fields in changes.items()}
        return self.model_copy(update=sections)

    @model_validator(mode="before")
    @classmethod
    def _upgrade(cls, data: Any) -> Any:
        return native.upgrade_recipe(data) if isinstance(data, dict) else data

    @model_validator(mode="after")
    def _check(self) -> Recipe:
        if problem := self.generator.check(self.task):
            raise ValueError(problem)
        faults = self.task.faults(self)
        if self.objective.san and self.task.vocabularies:
            faults.append(
                "objective.san is for tasks without labels: a discriminator that also judges labels has no single "
                "direction; leave it out"
            )
        if faults:
            raise ValueError("\n  ".join(faults))
        return self


def load_recipe(path: Path | str, overrides: Iterable[str] = ()) -> Recipe:
    """Read a recipe and apply dotted overrides (``["trainer.max_steps=1000"]``).

    Raises:
        UserError: the file is missing, or anything in it is wrong; reports all faults at once.
    """
    recipe = config.parse(Recipe, config.override(config.read_yaml(path), overrides), str(path))
    recipe._folder = Path(path).parent
    return recipe
