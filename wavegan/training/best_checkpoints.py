"""Keep the best checkpoints by a validation metric; early stopping."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

from pydantic import Field

from wavegan.core.config import Config
from wavegan.core.errors import UserError

LOWER_IS_BETTER = ("mel_l1", "multi_resolution_stft")


class SelectionConfig(Config):
    """``metric``: of the validation, without "valid/". The ``keep`` best models are in RUN/best/step-N, ready to play.
    ``patience``: number of validations without improvement after which the training stops; null: never.
    """

    metric: str = "mel_l1"
    keep: int = Field(1, ge=1)
    patience: int | None = Field(None, ge=1)


class Selection:
    """``scores``: {step: score} of each validation so far, which a resumed run needs."""

    def __init__(self, config: SelectionConfig, folder: Path, scores: dict[int, float] | None = None):
        self.config, self.folder = config, folder / "best"
        self.scores = dict(scores or {})

    @property
    def metric(self) -> str:
        """Name of the metric's curve."""
        return f"valid/{self.config.metric}"

    def best(self) -> list[int]:
        """Steps, the best first; of equal scores, the earlier one."""
        sign = 1 if self.config.metric.split("/")[0] in LOWER_IS_BETTER else -1
        return sorted(self.scores, key=lambda step: (sign * self.scores[step], step))

    def choose(self, step: int, means: dict[str, float]) -> Path | None:
        """Record the chosen metric of a validation; returns the folder to write this model to if it is one of the best.

        Raises:
            UserError: the validation has no such metric.
        """
        if self.metric not in means:
            known = ", ".join(name.removeprefix("valid/") for name in means)
            raise UserError(f"selection.metric '{self.config.metric}' is not measured here; there are: {known}.")
        return self.add(step, means[self.metric])

    def add(self, step: int, score: float) -> Path | None:
        """Record a score; returns the folder to write this model to if it is one of the best."""
        if math.isnan(score):
            return None
        self.scores[step] = float(f"{score:.6g}")  # as the log has it, where a resumed run may read it
        return self.folder / _name(step) if step in self.best()[: self.config.keep] else None

    def prune(self) -> None:
        """Delete the models that are no longer among the best."""
        kept = {_name(step) for step in self.best()[: self.config.keep]}
        for path in self.folder.glob("step-*"):
            if path.name not in kept:
                shutil.rmtree(path, ignore_errors=True)

    def exhausted(self) -> bool:
        """Return True if ``patience`` validations have passed since the best one."""
        if self.config.patience is None or not self.scores:
            return False
        later = [step for step in self.scores if step > self.best()[0]]
        return len(later) >= self.config.patience


def _name(step: int) -> str:
    return f"step-{step:08d}"
