"""Train a recipe in a run folder."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from wavegan.checkpoints import native
from wavegan.core.errors import UserError
from wavegan.core.files import digest
from wavegan.core.progress import Bar, remark
from wavegan.data import memory_map
from wavegan.data.manifest import Utterance
from wavegan.data.segments import Segments
from wavegan.training import distributed, state
from wavegan.training.best_checkpoints import Selection
from wavegan.training.changes import resumed_recipe
from wavegan.training.game import Game, NotFinite
from wavegan.training.monitor import Advice
from wavegan.training.recipe import Recipe, load_recipe
from wavegan.training.resolve import resolve
from wavegan.training.run_folder import RunFolder
from wavegan.training.stop_signals import StopSignals

PROFILED_STEPS = 20


class Step(NamedTuple):
    """A finished step: its number, from 1, and the latest value of each loss term, scalar tensors."""

    number: int
    terms: dict[str, Tensor]


class Trainer:
    """Trains one recipe in one run folder.

    >>> trainer = Trainer(load_recipe("recipe.yaml"), "runs/mine")
    >>> trainer.train()

    Args:
        recipe: a ``Recipe``, or the path of its file.
        folder: the run folder. It must not hold a run yet, unless ``resume``.
        resume: continue from the folder's ``trainer.pt``, bit-exactly. ``Trainer.resume`` takes the recipe from the
            folder, too.

    Raises:
        UserError: faults in the recipe or its manifests, a folder that holds a run, or a checkpoint that doesn't fit.
    """

    def __init__(self, recipe: Recipe | Path | str, folder: Path | str, resume: bool = False):
        self.folder = Path(folder)
        self.run = RunFolder(self.folder, fresh=not resume)
        recipe = recipe if isinstance(recipe, Recipe) else load_recipe(recipe)
        self.recipe, train, valid = resolve(recipe, self.folder)
        c = self.config = self.recipe.trainer
        self.features = self.recipe.task.features
        self.processes = distributed.connect(c.accelerator)
        self.device, self.rank = self.processes.device, self.processes.rank
        distributed.check_batch(self.recipe.data.global_batch_size, self.processes.world_size, c.accumulate)
        self.game = Game(self.recipe, self.processes, fresh=not resume)
        self.generator, self.discriminators, self.ema = self.game.generator, self.game.discriminators, self.game.ema
        self.task, self.objective = self.game.task, self.game.objective
        self.step, self.saved_step = 0, -1
        self.logs: dict[str, Tensor] = {}  # the latest value of each term, so that alternating players both appear
        self.selection = Selection(self.recipe.selection, self.folder) if self.recipe.selection else None
        if not resume and self.rank == 0:
            native.check_saveable(self.ema, state.contents(self))
        self.corpus = digest(self.recipe.data.train)
        self.segments = self._segments(train, self.recipe.data.train)
        self.recordings = state.identity(train, self.segments)
        if resume:
            state.restore(self, native.load_trainer(self.folder))
        self.valid = self._segments(valid, self.recipe.data.valid)
        self.advice = Advice()
        self.status, self._stop, self._inside_step = 0, False, False

    @classmethod
    def resume(cls, folder: Path | str, overrides: Iterable[str] = ()) -> Trainer:
        """Continue the run in ``folder``, with ``overrides`` such as "trainer.max_steps=1000" that don't make it
        another run.

        Raises:
            UserError: the folder holds no run, its checkpoint is damaged, or an override would make it another run.
        """
        return cls(resumed_recipe(Path(folder), overrides), folder, resume=True)

    def _segments(self, utterances: list[Utterance], path: Path) -> Segments:
        labels, samples = self.recipe.task.encode(utterances), memory_map.find(path)
        return Segments(utterances, self.recipe.data, self.features, self.config.seed, labels, samples)

    def train(self, callback: Callable[[Step], Any] | None = None) -> int:
        """Train to ``max_steps``, to the end of patience or to an interrupt (SIGINT, SIGTERM), saving regularly.

        ``callback`` is called after every step. In a thread or a notebook no signal handlers are installed; ``stop``
        ends the training after the current step.

        Returns:
            0 when the training is complete or stopped by ``stop``, else 128 + the signal that stopped it.

        Raises:
            UserError: a loss that isn't finite, another process that has gone, or a folder that another process trains
                in; the last checkpoint is unchanged.
        """
        with closing(self.steps()) as steps:  # a callback that raises must not keep the folder locked
            for step in steps:
                if callback is not None:
                    callback(step)
        return self.status

    def steps(self) -> Iterator[Step]:
        """Train as ``train`` does, as an iterator over steps. Leaving the loop early saves, as an interrupt does."""
        if self._inside_step:
            raise UserError(f"Interrupted within a step: continue with Trainer.resume('{self.folder}').")
        self.status = 0
        with ExitStack() as stack:
            signals = stack.enter_context(StopSignals())
            self._open(stack)
            bar = stack.enter_context(Bar("Step", self.config.max_steps, self.step, quiet=self.rank > 0))
            try:
                yield from self._loop(bar, signals)
            except GeneratorExit:
                self._save_unsaved()
                raise
            except NotFinite as error:
                raise UserError(self._diverged(str(error))) from None
            except RuntimeError as error:
                if self.processes.world_size == 1 or not distributed.lost_peer(error):
                    raise
                raise UserError(
                    f"Stopped at step {self.step}: another process of this training has gone. "
                    f"Continue from the last checkpoint with --resume {self.folder}."
                ) from None

    def stop(self) -> None:
        """End the training after the current step; may be called from another thread."""
        self._stop = True

    def _open(self, stack: ExitStack) -> None:
        """Open the run folder in the first process; a refusal ends all processes."""
        refusal = None
        if self.rank == 0:
            try:
                self.run.open(stack, self.step, self.config.wandb)
            except UserError as error:
                refusal = str(error)
        if refusal := self.processes.broadcast(refusal):
            raise UserError(refusal) if self.rank == 0 else SystemExit(2)

    def _loop(self, bar: Bar, signals: StopSignals) -> Iterator[Step]:
        c = self.config
        self._clock, self._clock_step, first = time.monotonic(), self.step, self.step
        if self.step:
            self._catch_up()
        while self.step < c.max_steps and not self._exhausted() and not self._stopping(signals):
            self._set_learning_rate()
            self._inside_step = True
            self.logs |= self.train_step()
            self._inside_step = False
            self.step += 1
            last = self.step == c.max_steps
            if self.step == first + PROFILED_STEPS and self.run.tracker:
                remark(self.game.watch.report())
            if self.step % c.log_interval == 0 or last:
                bar.update(self.step, self._log())
            if self.step % c.checkpoint_interval == 0 or last:
                self.save()  # before the validation: nothing is lost if that fails
            if self._validation_due():
                self.validate()
            yield Step(self.step, self.logs)
        if self._exhausted() and self.step < c.max_steps and self.rank == 0:
            best = self.selection.best()[0]
            remark(f"No better {self.selection.config.metric} since step {best}: stopped.")
        self._save_unsaved()
        self._stop = False
        self.status = 128 + signals.number if signals.number else 0

    def train_step(self) -> dict[str, Tensor]:
        """Train on one batch. Returns the named loss terms of the players updated."""
        return self.game.update(self.step, self.segments)

    def _exhausted(self) -> bool:
        return self.selection is not None and self.selection.exhausted()

    def _validation_due(self) -> bool:
        return self.step % self.config.valid_interval == 0 or self.step == self.config.max_steps

    def _stopping(self, signals: StopSignals) -> bool:
        """Return True if a stop was requested; all processes stop after the same step."""
        number, stop = self.processes.maximum(signals.number, self._stop)
        if number:  # one that arrives meanwhile is kept, for all processes to see after the next step
            signals.number = number
        self._stop = self._stop or stop
        return bool(number or stop)

    def _diverged(self, reason: str) -> str:
        kept = f"The last checkpoint in {self.folder} is unchanged" if self.saved_step >= 0 else "Nothing is saved yet"
        return (
            f"Stopped at step {self.step}: {reason}. {kept}; "
            "try a lower trainer.learning_rate, or look for broken recordings."
        )

    def _set_learning_rate(self) -> None:
        factor = self.config.learning_rate_factor(self.step)
        for player in self.game.players.values():
            player.set_learning_rate(factor)

    def _log(self) -> str:
        """Write the curves; returns the note of the progress bar."""
        now = time.monotonic()
        speed = (self.step - self._clock_step) / max(now - self._clock, 1e-9)
        self._clock, self._clock_step = now, self.step
        data = self.recipe.data
        seconds = speed * data.global_batch_size * data.segment_length / self.features.sample_rate
        values = {name: float(term) for name, term in self.logs.items()}
        values["train/learning_rate"] = self.game.players["g"].learning_rate
        if self.run.tracker:
            self.run.tracker.log(self.step, values | {"train/steps_per_second": speed})
            for sentence in self.advice.look(values):
                remark(f"Step {self.step}: {sentence}")
        return f"({speed:.2f} steps/s, {seconds:.0f} s of audio a second)"

    def _catch_up(self) -> None:
        """Do what the step that a resumed run begins at still lacks: its validation, or the selection by that."""
        means = self.processes.broadcast(self.run.tracker and self.run.tracker.validated)
        if means is None:
            if self._validation_due():
                self.validate()
        elif self.selection and self.step not in self.selection.scores and self.selection.metric in means:
            self._select(means)

    @torch.no_grad()
    def validate(self) -> dict[str, float]:
        """Validate the averaged weights, in the first process; returns the metrics, and logs them during training."""
        means: dict[str, float] = {}
        if self.rank == 0:
            scores, samples, warnings = self.task.validate(self.ema, self.valid, self.config.num_samples)
            means = {f"valid/{name}": score for name, score in scores.items()}
            for sentence in warnings:
                remark(f"Step {self.step}: {sentence}")
        if self.run.tracker:
            self.run.tracker.write(self.step, samples, self.features.sample_rate)
            self.run.tracker.log(self.step, means)
        if self.selection:
            self._select(means)
        self.processes.barrier()
        return means

    def _select(self, means: dict[str, float]) -> None:
        """Keep this model if it is one of the best; every process knows the score."""
        means = self.processes.broadcast(means)
        folder = self.selection.choose(self.step, means)
        if folder and self.rank == 0:
            native.save_generator(folder, self.ema, state.contents(self))
            self.selection.prune()
        self._save_unsaved()  # a resumed run then knows the scores; of a step that is saved, it reads them in the log

    def _save_unsaved(self) -> None:
        if self.saved_step != self.step:
            self.save()

    def save(self) -> None:
        """Write the checkpoint: ``trainer.pt`` for resuming, ``config.json`` and ``generator.safetensors`` to play.

        Call it between steps.

        Raises:
            UserError: another process trains in the folder, or has trained in it.
        """
        if self.rank == 0:
            with self.run.writing():
                native.save_generator(self.folder, self.ema, state.contents(self))
                native.save_trainer(self.folder, state.collect(self))  # last: a folder with it is complete
        self.saved_step = self.step
