"""The game of a GAN: generator and discriminators, their losses, and one update of both."""

from __future__ import annotations

import copy
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from wavegan.core.errors import UserError
from wavegan.data.segments import Segments
from wavegan.losses.balancer import Balancer
from wavegan.losses.objective import Objective, margins
from wavegan.models.discriminators import Discriminators
from wavegan.training import warm_start
from wavegan.training.distributed import Processes
from wavegan.training.player import Player
from wavegan.training.profiling import Stopwatch
from wavegan.training.recipe import Recipe


class ForwardPass(NamedTuple):
    """One forward pass of the generator, shared by both updates; ``judged``: the clips that discriminators see."""

    x: Tensor
    label: Tensor | None
    real: Tensor
    fake: Tensor
    spectrum: Tensor | None
    judged: list[Tensor]


class NotFinite(UserError):
    """A loss or gradient that is NaN or infinite; the message names it."""


class Game:
    """Players "g" and, unless the recipe lists no discriminators, "d"; ``ema``: the generator's averaged weights."""

    def __init__(self, recipe: Recipe, processes: Processes, fresh: bool):
        c = self.config = recipe.trainer
        self.recipe, self.processes, self.device = recipe, processes, processes.device
        self.autocast = partial(torch.autocast, self.device.type, torch.bfloat16, enabled=c.precision == "bf16-mixed")
        torch.manual_seed(c.seed)
        generator = recipe.generator.build(recipe.task)
        discriminators = Discriminators(recipe.discriminators, recipe.task, separate=recipe.objective.san)
        if fresh:
            warm_start.begin(recipe, generator, discriminators)
        warm_start.freeze(generator, c.frozen)
        self.task = recipe.task.build().to(self.device)
        self.objective = Objective(recipe.objective, recipe.task.features, recipe.task.paired).to(self.device)
        self.balancer = Balancer(recipe.objective.balancer) if recipe.objective.balancer else None
        self.ema = copy.deepcopy(generator).to(self.device).eval().requires_grad_(False)
        g = Player(generator, "generate", c, processes, c.learning_rate, c.muon_learning_rate)
        self.players, self.generator, self.discriminators = {"g": g}, g.module, None
        if recipe.discriminators:
            rate = c.discriminator_learning_rate or c.learning_rate
            self.players["d"] = Player(discriminators, "compare", c, processes, rate)
            self.discriminators = self.players["d"].module
        self.watch = Stopwatch(self.device)

    def adversarial(self, step: int) -> bool:
        """Return True once the discriminators have joined."""
        return self.discriminators is not None and step >= self.config.adversarial_step

    def updated_players(self, step: int) -> list[str]:
        """Players updated at a step: "d" before "g"."""
        c = self.config
        if not self.adversarial(step):
            return ["g"]
        if step < c.frozen_steps:
            return ["d"]
        if c.critic_steps:
            return ["d"] if step % (c.critic_steps + 1) < c.critic_steps else ["g"]
        return ["d", "g"]

    def update(self, step: int, segments: Segments) -> dict[str, Tensor]:
        """Train on the batch of a step. Returns the named loss terms of the players updated.

        Raises:
            NotFinite: a loss or a gradient.
        """
        names = self.updated_players(step)
        self.players["g"].plain.at(step, self.config.max_steps)
        passes = self.config.accumulate
        shared = self._forward(step, 0, segments, "g" in names) if passes == 1 else None
        logs: dict[str, Tensor] = {}
        for name in names:
            if self.discriminators is not None:
                self.discriminators.requires_grad_(name == "d")
            self.players[name].zero_grad()
            for k in range(passes):
                forward = shared or self._forward(step, k, segments, name == "g")
                with self.processes.no_sync(self.players[name].module, enabled=k < passes - 1):
                    terms = self._backward(name, step, forward)
                for term, value in terms.items():
                    key = f"train/{name}/{term}"
                    logs[key] = logs.get(key, 0) + value.detach() / passes
            with self.watch("updates"):
                if not self.players[name].update():
                    raise NotFinite(f"the gradient of train/{name} is not finite")
            if name == "g":
                self._update_ema(step)
        if self.discriminators is not None:
            self.discriminators.requires_grad_(True)
        return logs

    def _forward(self, step: int, k: int, segments: Segments, with_gradient: bool) -> ForwardPass:
        """The generator's forward pass on part k of this process's share of the batch."""
        c, part = self.config, self.processes.rank * self.config.accumulate + k
        with self.watch("data"):
            batch = segments.batch(step, part, self.processes.world_size * c.accumulate)
            real, label, mel = (None if tensor is None else tensor.to(self.device) for tensor in batch)
        # Whatever is drawn below depends on (seed, step, part) alone: resuming needs no random state.
        torch.manual_seed((c.seed * 1_000_003 + step + part * 0x9E3779B97F4A7C15) % 2**63)
        with self.watch("generator"):
            x = self.task.sample_input(real, label) if mel is None else mel
            with torch.set_grad_enabled(with_gradient):
                with self.autocast():
                    fake, spectrum = self.generator.generate(x, label)
                fake = self.task.compose(fake, x)
            judged = [self.task.target(real), fake]
            if self.recipe.augment and self.adversarial(step):
                judged = self.task.augment(self.recipe.augment, judged)
        return ForwardPass(x, label, real, fake, spectrum, judged)

    def _backward(self, name: str, step: int, forward: ForwardPass) -> dict[str, Tensor]:
        """Gradients of one player; returns its loss terms."""
        make_terms = {"d": self._discriminator_terms, "g": self._generator_terms}[name]
        terms, total = make_terms(step, forward)
        if not bool(torch.isfinite(total)):
            bad = [f"train/{name}/{term}" for term, value in terms.items() if not bool(torch.isfinite(value))]
            raise NotFinite(f"the loss {', '.join(bad)} is not finite" if bad else "a balanced gradient is not finite")
        with self.watch("backward"):
            self.processes.backward(total / self.config.accumulate)
        return terms

    def _discriminator_terms(self, step: int, forward: ForwardPass) -> tuple[dict[str, Tensor], Tensor]:
        c, (real, fake) = self.config, forward.judged
        with self.watch("discriminators"), self.autocast():
            real_out, fake_out = self.discriminators.compare(real, fake.detach(), forward.label)
        with self.watch("losses"):
            terms = self.objective.discriminator(real_out, fake_out)
            updates = step - step // (c.critic_steps + 1) if c.critic_steps else step
            terms |= self.objective.penalty(updates, self.discriminators, real, fake.detach(), forward.label)
            total = self.objective.discriminator_total(terms)
            return terms | margins(real_out, fake_out), total

    def _generator_terms(self, step: int, forward: ForwardPass) -> tuple[dict[str, Tensor], Tensor]:
        real_out = fake_out = None
        x, label, real, fake, spectrum, judged = forward
        if self.adversarial(step):
            with self.watch("discriminators"), self.autocast():
                # Not through DistributedDataParallel, which would wait for gradients of the frozen discriminators.
                real_out, fake_out = self.players["d"].plain.compare(*judged, label, learning=False)
        with self.watch("losses"):
            terms = self.objective.generator(real, fake, spectrum, real_out, fake_out)
            with self.autocast():
                terms |= self.task.extra_terms(self.objective, self.generator, x, fake, label)
            if self.balancer is None:
                return terms, self.objective.total(terms)
            outputs = [fake] if spectrum is None else [fake, spectrum]
            weights = self.objective.scaled_weights(terms)
            return terms, self.balancer.total(terms, weights, outputs, self.processes.mean)

    @torch.no_grad()
    def _update_ema(self, step: int) -> None:
        """Exponential moving average of the weights, with a warm-up so that the first ones are forgotten; buffers, such
        as the statistics of batch norm, are copied.
        """
        decay = min(self.config.ema, (1 + step) / (10 + step))
        raw = [p.detach() for p in self.players["g"].plain.parameters()]
        torch._foreach_lerp_(list(self.ema.parameters()), raw, 1 - decay)
        for average, current in zip(self.ema.buffers(), self.players["g"].plain.buffers(), strict=True):
            average.copy_(current)
