"""Muon: momentum, orthogonalised by Newton-Schulz, for the matrices of a network (Jordan 2024; Liu 2025, 2502.16982).

A ConvNeXt generator is nearly all Linear layers; on it Muon needs far fewer steps than AdamW (recipes/README.md).
Computed in float32: many processors emulate bfloat16.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor

# Jordan's quintic: singular values between 0 and 1 all end near 1 after five rounds.
COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalise(matrices: Tensor, rounds: int = 5) -> Tensor:
    """(N, rows, columns) -> approximately orthogonal matrices: singular values near 1."""
    tall = matrices.shape[-2] > matrices.shape[-1]
    x = matrices.mT if tall else matrices
    x = x / (x.norm(dim=(-2, -1), keepdim=True) + 1e-7)
    a, b, c = COEFFICIENTS
    for _ in range(rounds):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x.mT if tall else x


class Muon(torch.optim.Optimizer):
    """Muon for parameters with two dimensions; give the others to AdamW."""

    def __init__(self, params: Iterable[Tensor], lr: float = 0.02, momentum: float = 0.95, weight_decay: float = 0.0):
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay})
        if any(p.dim() != 2 for group in self.param_groups for p in group["params"]):
            raise ValueError("Muon is for matrices only")

    @torch.no_grad()
    def step(self, closure: Callable[[], Any] | None = None) -> None:
        for group in self.param_groups:
            by_shape: dict[torch.Size, list[Tensor]] = {}
            for p in group["params"]:
                if p.grad is not None:
                    by_shape.setdefault(p.shape, []).append(p)
            for shape, params in by_shape.items():  # equal shapes in one batched product
                scale = max(1.0, shape[0] / shape[1]) ** 0.5
                updates = orthogonalise(torch.stack([self._momentum(p, group["momentum"]) for p in params]))
                torch._foreach_mul_(params, 1 - group["lr"] * group["weight_decay"])
                torch._foreach_add_(params, list(updates), alpha=-group["lr"] * scale)

    def _momentum(self, p: Tensor, momentum: float) -> Tensor:
        """Nesterov momentum of the gradient."""
        state = self.state[p]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(p)
        state["momentum"].lerp_(p.grad, 1 - momentum)
        return p.grad.lerp(state["momentum"], momentum)


def build_optimizers(
    params: Iterable[Tensor],
    learning_rate: float,
    betas: tuple[float, float],
    weight_decay: float,
    muon_learning_rate: float | None = None,
) -> list[torch.optim.Optimizer]:
    """AdamW for all parameters; with ``muon_learning_rate``, Muon for the matrices and AdamW for the rest."""
    params = list(params)
    matrices = [p for p in params if p.dim() == 2] if muon_learning_rate else []
    rest = [p for p in params if p.dim() != 2] if muon_learning_rate else params
    optimizers: list[torch.optim.Optimizer] = []
    if rest:
        optimizers.append(torch.optim.AdamW(rest, learning_rate, betas, weight_decay=weight_decay, fused=True))
    if matrices:
        optimizers.append(Muon(matrices, muon_learning_rate, weight_decay=weight_decay))
    for optimizer in optimizers:
        for group in optimizer.param_groups:
            group["peak_lr"] = group["lr"]  # the schedule multiplies it by a factor
    return optimizers


def load_optimizer(optimizer: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Load an optimizer's state, but keep the recipe's rates, betas and decay, which an override may have changed."""
    settings = [{k: v for k, v in group.items() if k != "params"} for group in optimizer.param_groups]
    optimizer.load_state_dict(saved)
    for group, values in zip(optimizer.param_groups, settings, strict=True):
        group.update(values)
