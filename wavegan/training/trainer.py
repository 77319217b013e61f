"""The training loop."""

from __future__ import annotations

import copy
import math
import signal
import sys
import time
from functools import partial
from pathlib import Path
from types import MethodType
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from wavegan.checkpoints import native
from wavegan.core.errors import UserError
from wavegan.core.files import digest
from wavegan.core.progress import Bar
from wavegan.data import manifest, memory_map
from wavegan.data.segments import Segments
from wavegan.losses import objective
from wavegan.losses.balancer import Balancer
from wavegan.losses.objective import Objective
from wavegan.models.discriminators import Discriminators
from wavegan.training import distributed, warm_start
from wavegan.training.best_checkpoints import Selection
from wavegan.training.monitor import Advice
from wavegan.training.optimizers import build_optimizers, load_optimizer
from wavegan.training.profiling import Stopwatch
from wavegan.training.recipe import Recipe
from wavegan.training.tracker import Tracker

PROFILED_STEPS = 20


class Draft(NamedTuple):
    """What both players look at: the generator's input and clips, and what the discriminators hear of both."""

    x: Tensor
    label: Tensor | None
    real: Tensor
    fake: Tensor
    spectrum: Tensor | None
    heard: list[Tensor]


class Trainer:
    """Trains one recipe in one run folder; ``resume=True`` goes on from its ``trainer.pt``, bit-exactly."""

    def __init__(self, recipe: Recipe, folder: Path, resume: bool = False):
        if recipe.trainer.precision == "auto":  # what it is here stays with the run, wherever that goes on
            precision = distributed.quickest_precision(recipe.trainer.accelerator)
            trainer = recipe.trainer.model_copy(update={"precision": precision})
            recipe = recipe.model_copy(update={"trainer": trainer})
        c = self.config = recipe.trainer
        self.folder, self.features = folder, recipe.task.features
        self.fabric = distributed.connect(c.accelerator)
        self.device, self.rank, self.world_size = self.fabric.device, self.fabric.global_rank, self.fabric.world_size
        self.autocast = partial(torch.autocast, self.device.type, torch.bfloat16, enabled=c.precision == "bf16-mixed")
        if recipe.data.global_batch_size % (self.world_size * c.accumulate):
            raise UserError(
                f"data.global_batch_size {recipe.data.global_batch_size} can't be shared by {self.world_size} "
                f"processes with {c.accumulate} passes each: take a multiple of {self.world_size * c.accumulate}."
            )
        torch.manual_seed(c.seed)
        train, valid = manifest.read(recipe.data.train), manifest.read(recipe.data.valid)
        self.corpus = digest(recipe.data.train)
        recipe = self.recipe = recipe.model_copy(update={"task": recipe.task.with_vocabulary(train)})
        generator = recipe.generator.build(recipe.task)
        discriminators = Discriminators(recipe.discriminators, recipe.task, separate=recipe.objective.san)
        if not resume:
            warm_start.begin(recipe, generator, discriminators)
        for name in c.frozen:
            warm_start.part(generator, name).requires_grad_(False)
        if not any(p.requires_grad for p in generator.parameters()):
            raise UserError("trainer.frozen leaves nothing of the generator to train.")
        self.task = recipe.task.build().to(self.device)
        self.objective = Objective(recipe.objective, self.features, self.task.paired).to(self.device)
        self.balancer = Balancer(recipe.objective.balancer) if recipe.objective.balancer else None
        self.ema = copy.deepcopy(generator).to(self.device).eval().requires_grad_(False)
        self._plain_generator = generator
        self.generator, self.optimizers_g = self._setup(generator, c.learning_rate, c.muon_learning_rate)
        self.generator.mark_forward_method("generate")
        self.discriminators, self.optimizers_d = None, []
        if recipe.discriminators:
            rate = c.discriminator_learning_rate or c.learning_rate
            self._plain_discriminators = discriminators
            self.discriminators, self.optimizers_d = self._setup(discriminators, rate)
            self.discriminators.mark_forward_method("compare")
        self.step = 0
        self._saved_step = -1
        self.logs: dict[str, Tensor] = {}  # the latest value of each term: players that alternate are both seen
        self.selection = Selection(recipe.selection, folder) if recipe.selection else None
        if resume:
            self._load(native.load_trainer(folder))
        self.segments, self.valid = (
            Segments(part, recipe.data, self.features, c.seed, recipe.task.encode(part), memory_map.find(path))
            for part, path in ((train, recipe.data.train), (valid, recipe.data.valid))
        )
        self.tracker = Tracker(folder, self.step, c.wandb) if self.rank == 0 else None
        self.advice, self.watch = Advice(), Stopwatch(self.device)

    def _setup(self, module: nn.Module, rate: float, muon_rate: float | None = None) -> tuple[Any, list]:
        c = self.config
        trained = [p for p in module.parameters() if p.requires_grad]
        optimizers = build_optimizers(trained, rate, c.betas, c.weight_decay, muon_rate)
        if c.compile:
            for name in {"generate", "compare"} & set(dir(module)):  # what the training step calls
                compiled = torch.compile(getattr(type(module), name))
                setattr(module, name, MethodType(compiled, module))  # a plain function would pass Fabric by
        module, *optimizers = self.fabric.setup(module, *optimizers)
        return module, optimizers

    def train(self) -> int:
        """Run to ``max_steps``, to the end of patience or to an interrupt (SIGINT, SIGTERM), saving on the way.

        Returns:
            0 when the training is complete, else 128 + the signal that stopped it.

        Raises:
            UserError: a loss that isn't finite, or another process that has gone; the last checkpoint stays as it was.
        """
        self._stop_signal = 0
        handlers = {s: signal.signal(s, self._on_signal) for s in (signal.SIGINT, signal.SIGTERM)}
        try:
            with Bar("Step", self.config.max_steps, self.step, quiet=self.rank > 0) as bar:
                return self._loop(bar)
        except RuntimeError as error:
            if self.world_size == 1 or not distributed.lost_peer(error):
                raise
            raise UserError(
                f"Stopped at step {self.step}: another process of this training has gone. "
                f"Go on from the last checkpoint with --resume {self.folder}."
            ) from None
        finally:
            if self.tracker:
                self.tracker.close()
            for number, handler in handlers.items():
                signal.signal(number, handler)

    def _loop(self, bar: Bar) -> int:
        c = self.config
        self._clock, self._clock_step, first = time.monotonic(), self.step, self.step
        if self.step:
            self._catch_up()
        exhausted = self.selection is not None and self.selection.exhausted()
        while self.step < c.max_steps and not exhausted and not self._stopping():
            self._set_learning_rate()
            self.logs |= self.train_step()
            self.step += 1
            last = self.step == c.max_steps
            if self.step == first + PROFILED_STEPS and self.tracker:
                print(self.watch.report(), file=sys.stderr)
            if self.step % c.log_interval == 0 or last:
                bar.update(self.step, self._log())
            if self.step % c.checkpoint_interval == 0 or last:
                self.save()  # before the validation: nothing is lost if that fails
            if self._validation_due():
                self.validate()
                exhausted = self.selection is not None and self.selection.exhausted()
        if exhausted and self.step < c.max_steps and self.rank == 0:
            best = self.selection.best()[0]
            print(f"No better {self.selection.config.metric} since step {best}: stopped.", file=sys.stderr)
        if self._saved_step != self.step:
            self.save()
        return 128 + self._stop_signal if self._stop_signal else 0

    def _validation_due(self) -> bool:
        return self.step % self.config.valid_interval == 0 or self.step == self.config.max_steps

    def _stopping(self) -> bool:
        """Whether a signal came; all processes stop after the same step."""
        if self.world_size > 1:
            signals = self.fabric.all_reduce(torch.tensor(self._stop_signal, device=self.device), reduce_op="max")
            self._stop_signal = int(signals)
        return bool(self._stop_signal)

    def train_step(self) -> dict[str, Tensor]:
        """One batch for the players whose turn it is. Returns the named loss terms."""
        passes, logs = self.config.accumulate, {}
        self._plain_generator.refining = self.step >= self.config.refinement_step
        players = self.players()
        shared = self._draft(0, with_gradient="g" in players) if passes == 1 else None
        for player in players:
            module, optimizers, make_terms = {
                "d": (self.discriminators, self.optimizers_d, self._discriminator_terms),
                "g": (self.generator, self.optimizers_g, self._generator_terms),
            }[player]
            if player == "g" and self.discriminators is not None:
                self.discriminators.requires_grad_(False)
            module.zero_grad(set_to_none=True)
            sums: dict[str, Tensor] = {}
            for k in range(passes):
                draft = shared or self._draft(k, with_gradient=player == "g")
                with self.fabric.no_backward_sync(module, enabled=k < passes - 1):
                    terms, total = make_terms(draft)
                    self._check_loss(player, terms, total)
                    with self.watch("backward"):
                        self.fabric.backward(total / passes)
                sums = {name: sums.get(name, 0) + term.detach() / passes for name, term in terms.items()}
            with self.watch("updates"):
                self._update(player, module, optimizers)
            if player == "g":
                if self.discriminators is not None:
                    self.discriminators.requires_grad_(True)
                self._update_ema()
            logs |= {f"train/{player}/{name}": term for name, term in sums.items()}
        return logs

    @property
    def adversarial(self) -> bool:
        return self.discriminators is not None and self.step >= self.config.adversarial_step

    def players(self) -> list[str]:
        """Whose turn it is: discriminators "d", then generator "g"."""
        c = self.config
        if not self.adversarial:
            return ["g"]
        if self.step < c.frozen_steps:
            return ["d"]
        if c.critic_steps:
            return ["d"] if self.step % (c.critic_steps + 1) < c.critic_steps else ["g"]
        return ["d", "g"]

    def _draft(self, k: int, with_gradient: bool) -> Draft:
        """The generator's clips for part k of this process's share of the batch."""
        c, part = self.config, self.rank * self.config.accumulate + k
        with self.watch("data"):
            batch = self.segments.batch(self.step, part, self.world_size * c.accumulate)
            real, label, mel = (None if one is None else one.to(self.device) for one in batch)
        # Whatever is drawn below depends on (seed, step, part) alone: resuming needs no random state.
        torch.manual_seed((c.seed * 1_000_003 + self.step + part * 0x9E3779B97F4A7C15) % 2**63)
        with self.watch("generator"):
            x = self.task.sample_input(real, label) if mel is None else mel
            with torch.set_grad_enabled(with_gradient):
                with self.autocast():
                    fake, spectrum = self.generator.generate(x, label)
                fake = self.task.compose(fake, x)
            heard = [self.task.target(real), fake]
            if self.recipe.augment and self.adversarial:
                heard = self.task.augment(self.recipe.augment, heard)
        return Draft(x, label, real, fake, spectrum, heard)

    def _discriminator_terms(self, draft: Draft) -> tuple[dict[str, Tensor], Tensor]:
        c, (real, fake) = self.config, draft.heard
        with self.watch("discriminators"), self.autocast():
            real_out, fake_out = self.discriminators.compare(real, fake.detach(), draft.label)
        with self.watch("losses"):
            terms = self.objective.discriminator(real_out, fake_out)
            turns = self.step - self.step // (c.critic_steps + 1) if c.critic_steps else self.step  # of discriminators
            terms |= self.objective.penalty(turns, self.discriminators, real, fake.detach(), draft.label)
            total = self.objective.discriminator_total(terms)
            return terms | objective.margins(real_out, fake_out), total

    def _generator_terms(self, draft: Draft) -> tuple[dict[str, Tensor], Tensor]:
        real_out = fake_out = None
        if self.adversarial:
            with self.watch("discriminators"), self.autocast():
                # Not through DistributedDataParallel, which would wait for gradients of the frozen discriminators.
                real_out, fake_out = self._plain_discriminators.compare(*draft.heard, draft.label, learning=False)
        with self.watch("losses"):
            terms = self.objective.generator(draft.real, draft.fake, draft.spectrum, real_out, fake_out)
            if "diversity" in self.objective.weights:
                generator, x, label = self.generator, draft.x, draft.label
                with self.autocast():
                    terms["diversity"] = self.task.diversity(self.objective, generator, x, draft.fake, label)
            if self.balancer is None:
                return terms, self.objective.total(terms)
            outputs = [draft.fake] if draft.spectrum is None else [draft.fake, draft.spectrum]
            weights = self.objective.scaled_weights(terms)
            return terms, self.balancer.total(terms, weights, outputs, self.fabric.all_reduce)

    def _check_loss(self, player: str, terms: dict[str, Tensor], total: Tensor) -> None:
        if not bool(torch.isfinite(total)):
            bad = [f"train/{player}/{name}" for name, term in terms.items() if not bool(torch.isfinite(term))]
            self._diverged(f"the loss {', '.join(bad)} is not finite" if bad else "a balanced gradient is not finite")

    def _update(self, player: str, module: Any, optimizers: list) -> None:
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
        data = self.recipe.data
        seconds = speed * data.global_batch_size * data.segment_length / self.features.sample_rate
        values = {name: float(term) for name, term in self.logs.items()}
        values |= {"train/learning_rate": self.optimizers_g[0].param_groups[0]["lr"]}
        if self.tracker:
            self.tracker.log(self.step, values | {"train/steps_per_second": speed})
            for sentence in self.advice.look(values):
                print(f"Step {self.step}: {sentence}", file=sys.stderr)
        return f"({speed:.2f} steps/s, {seconds:.0f} s of audio a second)"

    def _catch_up(self) -> None:
        """What the step that a resumed run begins at still lacks: its validation, or the selection by that."""
        means = self.fabric.broadcast(self.tracker and self.tracker.validated)
        if means is None:
            if self._validation_due():
                self.validate()
        elif self.selection and self.step not in self.selection.scores and self.selection.metric in means:
            self._select(means)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """The task's validation of the averaged weights, by the first process; logs and returns its metrics."""
        means: dict[str, float] = {}
        if self.tracker:
            scores = self.task.validate(self.ema, self.valid, self.tracker, self.step, self.config.num_samples)
            means = {f"valid/{name}": score for name, score in scores.items()}
            self.tracker.log(self.step, means)
        if self.selection:
            self._select(means)
        self.fabric.barrier()
        return means

    def _select(self, means: dict[str, float]) -> None:
        """Keep this model if it is one of the best; every process knows the score."""
        means = self.fabric.broadcast(means)
        if self.selection.metric not in means:
            known = ", ".join(name.removeprefix("valid/") for name in means)
            raise UserError(
                f"selection.metric '{self.selection.config.metric}' is not measured here; there are: {known}."
            )
        folder = self.selection.add(self.step, means[self.selection.metric])
        if folder and self.tracker:
            native.save_generator(folder, self.ema, self._contents())
        if self._saved_step != self.step:
            self.save()  # a resumed run knows the scores; of a checkpoint of this step, it reads them in the log

    def save(self) -> None:
        """Write the checkpoint: ``trainer.pt`` for resuming, ``config.json`` and ``generator.safetensors`` to play."""
        self._saved_step = self.step
        if self.rank > 0:
            return
        state = {
            "step": self.step,
            "corpus": self.corpus,
            "logs": self.logs,
            "generator": self.generator.state_dict(),
            "ema": self.ema.state_dict(),
        }
        state["optimizers_g"] = [optimizer.state_dict() for optimizer in self.optimizers_g]
        if self.discriminators is not None:
            state["discriminators"] = self.discriminators.state_dict()
            state["optimizers_d"] = [optimizer.state_dict() for optimizer in self.optimizers_d]
        if self.selection:
            state["scores"] = self.selection.scores
        if self.balancer:
            state["balancer"] = self.balancer.averages
        native.save_generator(self.folder, self.ema, self._contents())
        native.save_trainer(self.folder, state)  # last: a folder with it is complete

    def _contents(self) -> native.CheckpointConfig:
        return native.CheckpointConfig.of_today(
            step=self.step,
            name=self.recipe.name,
            task=self.recipe.task,
            generator=self.recipe.generator,
            recipe=self.recipe.model_dump(mode="json", exclude_none=True),
        )

    def _load(self, state: dict[str, Any]) -> None:
        if state.get("corpus", self.corpus) != self.corpus:
            raise UserError(
                f"{self.recipe.data.train} lists other recordings than when {self.folder} began: going on would be "
                f"another run. Begin a new one, or --finetune {self.folder}."
            )
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
            if self.selection:
                self.selection.scores = dict(state.get("scores", {}))
            if self.balancer:
                self.balancer.averages = dict(state["balancer"])
        except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{self.folder / native.TRAINER} does not fit the recipe: {reason}") from None

    def _on_signal(self, number: int, frame: Any) -> None:
        if self._stop_signal:  # the second time: at once, with what was saved
            raise KeyboardInterrupt
        self._stop_signal = number
