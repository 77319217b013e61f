"""Gradient balancing: weights set each term's share of the gradient at the generator's output, whatever its scale.

Section 3.4 of EnCodec (Défossez 2022, arXiv 2210.13438). Shapes: B batch, T samples, K bins, F frames.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from pydantic import Field
from torch import Tensor

from wavegan.core.config import Config


class BalancerConfig(Config):
    """Each term's gradient at the generator's output gets the length ``total_norm`` times its share of the weights.

    The length of its raw gradient is a moving average with ``decay`` per pass. Lengths are those of single clips,
    averaged over the batch; EnCodec sums over the batch, so that the learning rate would depend on the batch size.
    """

    decay: float = Field(0.999, ge=0, lt=1)
    total_norm: float = Field(1.0, gt=0)


class Balancer:
    """``averages``: {term: (decayed sum of its lengths, of their weights)}, which a resumed run needs."""

    def __init__(self, config: BalancerConfig):
        self.config = config
        self.averages: dict[str, Tensor] = {}

    def total(
        self,
        terms: dict[str, Tensor],
        weights: dict[str, float],
        outputs: Sequence[Tensor],
        mean: Callable[[Tensor], Tensor],
    ) -> Tensor:
        """A scalar whose gradient is the balanced one.

        ``outputs``: the generator's, batch first: the waveform (B, 1, T) and, for a spectral generator, the complex
        spectrum (B, K, F); their gradients form one vector. ``mean``: over all processes.
        """
        c, whole = self.config, sum(weights[name] for name in terms)
        gradients = {name: _gradient(term, outputs) for name, term in terms.items()}
        lengths = mean(torch.stack([g.norm(dim=1).mean() * len(g) for g in gradients.values()]))
        balanced = torch.zeros_like(next(iter(gradients.values())))
        for (name, gradient), length in zip(gradients.items(), lengths, strict=True):
            past = self.averages.get(name, torch.zeros(2)).to(length.device)
            self.averages[name] = c.decay * past + torch.stack([length, torch.ones_like(length)])
            average = self.averages[name][0] / self.averages[name][1]
            balanced += c.total_norm * weights[name] / whole / (average + 1e-12) * gradient
        return (_flat(outputs) * balanced).sum()


def _gradient(term: Tensor, outputs: Sequence[Tensor]) -> Tensor:
    """Gradient of a term at all outputs, (B, N)."""
    return _flat(torch.autograd.grad(term, outputs, retain_graph=True, allow_unused=True, materialize_grads=True))


def _flat(tensors: Sequence[Tensor]) -> Tensor:
    """Real and imaginary parts of all tensors, concatenated, (B, N)."""
    return torch.cat([(torch.view_as_real(t) if t.is_complex() else t).flatten(1) for t in tensors], dim=1)
