"""One of the two networks that play against each other: its module, its optimizers, its update."""

from __future__ import annotations

from types import MethodType
from typing import Any

import torch
from torch import nn

from wavegan.training.distributed import Processes
from wavegan.training.optimizers import build_optimizers
from wavegan.training.recipe import TrainerConfig


class Player:
    """``plain`` is the network; ``module`` is the same, wrapped for several processes; ``method``: the one method that
    the training step calls.
    """

    def __init__(
        self,
        plain: nn.Module,
        method: str,
        config: TrainerConfig,
        processes: Processes,
        rate: float,
        muon_rate: float | None = None,
    ):
        self.plain, self.clip_norm = plain, config.clip_norm
        trained = [p for p in plain.parameters() if p.requires_grad]
        optimizers = build_optimizers(trained, rate, config.betas, config.weight_decay, muon_rate)
        if config.compile:
            compiled = torch.compile(getattr(type(plain), method))
            setattr(plain, method, MethodType(compiled, plain))  # a plain function would bypass the wrapper
        self.module, self.optimizers = processes.setup(plain, method, optimizers)

    def zero_grad(self) -> None:
        self.module.zero_grad(set_to_none=True)

    def update(self) -> bool:
        """Clip the gradient and step; returns False, and steps not, if the gradient is not finite."""
        norm = torch.nn.utils.clip_grad_norm_(self.module.parameters(), self.clip_norm, foreach=True)
        if not bool(torch.isfinite(norm)):
            return False
        for optimizer in self.optimizers:
            optimizer.step()
        return True

    def state(self) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        """Weights, and the state of each optimizer."""
        return self.module.state_dict(), [optimizer.state_dict() for optimizer in self.optimizers]

    @property
    def learning_rate(self) -> float:
        """Current rate of the first optimizer."""
        return self.optimizers[0].param_groups[0]["lr"]

    def set_learning_rate(self, factor: float) -> None:
        """Set every rate to ``factor`` times its peak."""
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor
