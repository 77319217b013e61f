"""The training loop. The only Fabric import."""

from __future__ import annotations

import copy
import math
import os
import signal
import time
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from wavegan import checkpoint, manifest
from wavegan.data import Batch, Segments
from wavegan.discriminators import Discriminators
from wavegan.errors import UserError
from wavegan.losses import Objective
from wavegan.optim import build_optimizers, load_optimizer
from wavegan.progress import Bar
from wavegan.recipe import Recipe
from wavegan.tracker import Tracker


class Trainer:
    """Trains one recipe in one run folder; ``resume=True`` goes on from its ``trainer.pt``, bit-exactly."""

    def __init__(self, recipe: Recipe, folder: Path, resume: bool = False):
        c = self.config = recipe.trainer
        self.folder, self.features = folder, recipe.task.features
        if int(os.environ.get("WORLD_SIZE", 1)) > 1:
            raise UserError("Training runs in one process so far: start it without torchrun.")
        try:
            self.fabric = Fabric(accelerator=c.accelerator, devices=1, precision=c.precision)
        except (RuntimeError, ValueError) as error:
            raise UserError(f"trainer.accelerator '{c.accelerator}' can't be used here: {error}") from None
        self.device = self.fabric.device
        torch.manual_seed(c.seed)
        train, valid = manifest.read(recipe.data.train), manifest.read(recipe.data.valid)
        recipe = self.recipe = recipe.model_copy(update={"task": recipe.task.with_vocabulary(train)})
        generator = recipe.generator.build(recipe.task)
        discriminators = Discriminators(recipe.discriminators, recipe.task)
        if not resume:
            self._begin_as(generator, discriminators)
        for name in c.frozen:
            self._part(generator, name).requires_grad_(False)
        if not any(p.requires_grad for p in generator.parameters()):
            raise UserError("trainer.frozen leaves nothing of the generator to train.")
        self.task = recipe.task.build().to(self.device)
        self.objective = Objective(recipe.objective, self.features, self.task.paired).to(self.device)
        self.ema = copy.deepcopy(generator).to(self.device).eval().requires_grad_(False)
        self.generator, self.optimizers_g = self._setup(generator, c.learning_rate, c.muon_learning_rate)
        self.generator.mark_forward_method("generate")
        self.discriminators, self.optimizers_d = None, []
        if recipe.discriminators:
            rate = c.discriminator_learning_rate or c.learning_rate
            self.discriminators, self.optimizers_d = self._setup(discriminators, rate)
            self.discriminators.mark_forward_method("compare")
        self.step = 0
        self._saved_step = -1
        self.logs: dict[str, Tensor] = {}  # the latest value of each term: players that alternate are both seen
        if resume:
            self._load(checkpoint.load_trainer(folder))
        self.segments, self.valid = (
            Segments(part, recipe.data, self.features, c.seed, recipe.task.encode(part)) for part in (train, valid)
        )
        self.tracker = Tracker(folder, self.step)

    def _setup(self, module: nn.Module, rate: float, muon_rate: float | None = None) -> tuple[Any, list]:
        c = self.config
        trained = [p for p in module.parameters() if p.requires_grad]
        optimizers = build_optimizers(trained, rate, c.betas, c.weight_decay, muon_rate)
        module, *optimizers = self.fabric.setup(module, *optimizers)
        return module, optimizers

    def _begin_as(self, generator: nn.Module, discriminators: Discriminators) -> None:
        """Give fresh networks the weights of other runs that they begin with."""
        c, task = self.config, self.recipe.task
        for name, folder in c.initial_weights.items():
            source, contents = checkpoint.load_generator(folder)
            difference = self.features.diff(contents.task.features)
            if contents.task.name == task.name and contents.task.conditions != task.conditions:
                difference |= {"conditions": (task.conditions, contents.task.conditions)}
            if difference:
                shown = "; ".join(f"{k}: recipe {ours}, there {theirs}" for k, (ours, theirs) in difference.items())
                raise UserError(f"{folder} does not fit the recipe: {shown}.")
            part = getattr(source, name, None) or source  # the same part of it, or the whole
            checkpoint.load_tensors(self._part(generator, name), part.state_dict(), folder / checkpoint.GENERATOR)
        if c.initial_discriminators:
            state = checkpoint.load_trainer(c.initial_discriminators).get("discriminators", {})
            own = discriminators.state_dict()
            if not state or any(own.get(name, torch.empty(0)).shape != t.shape for name, t in state.items()):
                raise UserError(
                    f"The discriminators of {c.initial_discriminators} are not the first ones of this recipe. "
                    "List the same ones first, or leave out trainer.initial_discriminators."
                )
            discriminators.load_state_dict(own | state)

    @staticmethod
    def _part(generator: nn.Module, name: str) -> nn.Module:
        parts = {n: part for n, part in generator.named_children() if part is not None}
        if name not in parts:
            known = ", ".join(parts)
            raise UserError(f"The generator has no part '{name}' for trainer.initial_weights or frozen: {known}.")
        return parts[name]

    def train(self) -> int:
        """Run to ``max_steps`` or to an interrupt (SIGINT, SIGTERM), saving on the way.

        Returns:
            0 when the training is complete, else 128 + the signal that stopped it.

        Raises:
            UserError: a loss that isn't finite; the last checkpoint stays as it was.
        """
        c = self.config
        self._stop_signal = 0
        handlers = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            with Bar("Step", c.max_steps, self.step) as bar:
                self._clock, self._clock_step = time.monotonic(), self.step
                while self.step < c.max_steps and not self._stop_signal:
                    self._set_learning_rate()
                    self.logs |= self.train_step(self.segments.batch(self.step))
                    self.step += 1
                    last = self.step == c.max_steps
                    if self.step % c.log_interval == 0 or last:
                        bar.update(self.step, self._log())
                    if self.step % c.checkpoint_interval == 0 or last:
                        self.save()  # before the validation: nothing is lost if that fails
                    if self.step % c.valid_interval == 0 or last:
                        self.validate()
                if self._stop_signal and self._saved_step != self.step:
                    self.save()
        finally:
            self.tracker.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)
        return 128 + self._stop_signal if self._stop_signal else 0

    def train_step(self, batch: Batch) -> dict[str, Tensor]:
        """One batch. Returns the named loss terms."""
        c = self.config
        real, label = (None if part is None else part.to(self.device) for part in batch)
        adversarial = self.step >= c.adversarial_step and self.discriminators is not None
        turn = {"d", "g"}
        if c.critic_steps:
            turn = {"d"} if self.step % (c.critic_steps + 1) < c.critic_steps else {"g"}
        turn = turn if adversarial else {"g"}
        logs: dict[str, Tensor] = {}
        # Whatever is drawn below depends on (seed, step) alone: resuming needs no random state.
        torch.manual_seed((c.seed * 1_000_003 + self.step) % 2**63)

        x = self.task.sample_input(real, label)
        with torch.set_grad_enabled("g" in turn):
            fake, spectrum = self.generator.generate(x, label)
            fake = self.task.compose(fake, x)
        heard = [self.task.target(real), fake]
        if self.recipe.augment and adversarial:
            heard = self.task.augment(self.recipe.augment, heard)

        if "d" in turn:
            real_out, fake_out = self.discriminators.compare(heard[0], heard[1].detach(), label)
            terms = self.objective.discriminator(real_out, fake_out)
            turns = self.step - self.step // (c.critic_steps + 1) if c.critic_steps else self.step  # of discriminators
            terms |= self.objective.penalty(turns, self.discriminators, heard[0], heard[1].detach(), label)
            total = self.objective.discriminator_total(terms)
            self._update("d", self.discriminators, self.optimizers_d, terms, total)
            logs |= {f"train/d/{name}": term.detach() for name, term in terms.items()}
        if "g" in turn:
            real_out = fake_out = None
            if adversarial:
                self.discriminators.requires_grad_(False)
                real_out, fake_out = self.discriminators.compare(*heard, label)
            terms = self.objective.generator(real, fake, spectrum, real_out, fake_out)
            if "diversity" in self.objective.weights:
                terms["diversity"] = self.task.diversity(self.objective, self.generator, x, fake, label)
            self._update("g", self.generator, self.optimizers_g, terms, self.objective.total(terms))
            if adversarial:
                self.discriminators.requires_grad_(True)
            self._update_ema()
            logs |= {f"train/g/{name}": term.detach() for name, term in terms.items()}
        return logs

    def _update(self, player: str, module: Any, optimizers: list, terms: dict[str, Tensor], total: Tensor) -> None:
        if not bool(torch.isfinite(total)):
            bad = [f"train/{player}/{name}" for name, term in terms.items() if not bool(torch.isfinite(term))]
            self._diverged(f"the loss {', '.join(bad)} is not finite")
        module.zero_grad(set_to_none=True)
        self.fabric.backward(total)
        norm = torch.nn.utils.clip_grad_norm_(module.parameters(), self.config.clip_norm, foreach=True)
        if not bool(torch.isfinite(norm)):
            self._diverged(f"the gradient of train/{player} is not finite")
        for optimizer in optimizers:
            optimizer.step()

    def _diverged(self, reason: str) -> None:
        kept = f"The last checkpoint in {self.folder} is untouched" if self._saved_step >= 0 else "Nothing is saved yet"
        raise UserError(
            f"Stopped at step {self.step}: {reason}. {kept}; "
            "try a lower trainer.learning_rate, or look for broken recordings."
        )

    @torch.no_grad()
    def _update_ema(self) -> None:
        """Exponential moving average of the weights, with a warm-up so that the first ones are forgotten."""
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        raw = [p.detach() for p in self.generator.parameters()]
        torch._foreach_lerp_(list(self.ema.parameters()), raw, 1 - decay)

    def _set_learning_rate(self) -> None:
        """Linear warm-up, then a cosine from 1 to ``final_learning_rate``."""
        c = self.config
        warm = min(1.0, (self.step + 1) / c.warmup_steps) if c.warmup_steps else 1.0
        cosine = 0.5 * (1 + math.cos(math.pi * self.step / c.max_steps))
        factor = warm * (c.final_learning_rate + (1 - c.final_learning_rate) * cosine)
        for optimizer in [*self.optimizers_g, *self.optimizers_d]:
            for group in optimizer.param_groups:
                group["lr"] = group["peak_lr"] * factor

    def _log(self) -> str:
        """Write the curves; returns what the progress bar shows."""
        now = time.monotonic()
        speed = (self.step - self._clock_step) / max(now - self._clock, 1e-9)
        self._clock, self._clock_step = now, self.step
        seconds = speed * self.recipe.data.batch_size * self.recipe.data.segment_length / self.features.sample_rate
        values = {name: float(term) for name, term in self.logs.items()}
        values |= {"train/learning_rate": self.optimizers_g[0].param_groups[0]["lr"]}
        self.tracker.log(self.step, values | {"train/steps_per_second": speed})
        return f"({speed:.2f} steps/s, {seconds:.0f} s of audio a second)"

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The task's validation of the averaged weights; logs and returns its metrics."""
        count = self.config.num_samples
        scores = self.task.validate(self.ema, self.valid, self.tracker, self.step, count)
        means = {f"valid/{name}": score for name, score in scores.items()}
        self.tracker.log(self.step, means)
        return means

    def save(self) -> None:
        """Write the checkpoint: ``trainer.pt`` for resuming, ``config.json`` and ``generator.safetensors`` to play."""
        state = {
            "step": self.step,
            "logs": self.logs,
            "generator": self.generator.state_dict(),
            "ema": self.ema.state_dict(),
        }
        state["optimizers_g"] = [optimizer.state_dict() for optimizer in self.optimizers_g]
        if self.discriminators is not None:
            state["discriminators"] = self.discriminators.state_dict()
            state["optimizers_d"] = [optimizer.state_dict() for optimizer in self.optimizers_d]
        contents = checkpoint.CheckpointConfig.of_today(
            step=self.step,
            name=self.recipe.name,
            task=self.recipe.task,
            generator=self.recipe.generator,
            recipe=self.recipe.model_dump(mode="json", exclude_none=True),
        )
        checkpoint.save_generator(self.folder, self.ema, contents)
        checkpoint.save_trainer(self.folder, state)  # last: a folder with it is complete
        self._saved_step = self.step

    def _load(self, state: dict[str, Any]) -> None:
        parts = {"generator": self.generator, "ema": self.ema}
        if self.discriminators is not None:
            parts["discriminators"] = self.discriminators
        try:
            for name, part in parts.items():
                part.load_state_dict(state[name])
            for name, optimizers in (("optimizers_g", self.optimizers_g), ("optimizers_d", self.optimizers_d)):
                for optimizer, saved in zip(optimizers, state.get(name, []), strict=True):
                    load_optimizer(optimizer, saved)
            self.step = self._saved_step = int(state["step"])
            self.logs = state.get("logs", {})
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{self.folder / checkpoint.TRAINER} does not fit the recipe: {reason}") from None

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._stop_signal:  # the second time: at once, with what was saved
            raise KeyboardInterrupt
        self._stop_signal = number
