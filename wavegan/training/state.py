"""The state of a training, as ``trainer.pt`` keeps it: everything that an exact resume needs."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any

from wavegan.checkpoints import native
from wavegan.core.errors import UserError, one_line
from wavegan.core.sequences import spread
from wavegan.data.manifest import Utterance
from wavegan.data.segments import Segments
from wavegan.training.optimizers import load_optimizer
from wavegan.training.resolve import plugins_of

MAX_COMPARED = 64  # recordings whose samples are part of a corpus's identity


def identity(utterances: Sequence[Utterance], segments: Segments) -> str:
    """A digest of the recordings themselves, the same wherever they are: ids, lengths, labels and samples of some."""
    sha = hashlib.sha256()
    for u in utterances:
        sha.update(repr((u.id, u.sample_rate, u.num_samples, u.label, u.speaker)).encode())
    for i in spread(list(range(len(utterances))), MAX_COMPARED):
        sha.update(segments.waveforms[i].numpy().tobytes())
    return sha.hexdigest()


def collect(trainer: Any) -> dict[str, Any]:
    """The state to save."""
    state = {
        "step": trainer.step,
        "corpus": trainer.corpus,
        "recordings": trainer.recordings,
        "logs": trainer.logs,
        "ema": trainer.ema.state_dict(),
    }
    state["generator"], state["optimizers_g"] = trainer.game.players["g"].state()
    if "d" in trainer.game.players:
        state["discriminators"], state["optimizers_d"] = trainer.game.players["d"].state()
    if trainer.selection:
        state["scores"] = trainer.selection.scores
    if trainer.game.balancer:
        state["balancer"] = trainer.game.balancer.averages
    return state


def restore(trainer: Any, state: dict[str, Any]) -> None:
    """Continue from a saved state.

    Raises:
        UserError: the training recordings are others than when the run began, or the state doesn't fit the recipe.
    """
    same = state.get("corpus", trainer.corpus) == trainer.corpus or state.get("recordings") == trainer.recordings
    if not same:
        raise UserError(
            f"{trainer.recipe.data.train} lists other recordings than when {trainer.folder} began: resuming would make "
            f"it another run. Start a new one, or --finetune {trainer.folder}."
        )
    try:
        trainer.ema.load_state_dict(state["ema"])
        for name, part in (("g", "generator"), ("d", "discriminators")):
            if name in trainer.game.players:
                player = trainer.game.players[name]
                player.module.load_state_dict(state[part])
                for optimizer, saved in zip(player.optimizers, state[f"optimizers_{name}"], strict=True):
                    load_optimizer(optimizer, saved)
        trainer.step = trainer.saved_step = int(state["step"])
        trainer.logs = state.get("logs", {})
        if trainer.selection:
            trainer.selection.scores = dict(state.get("scores", {}))
        if trainer.game.balancer:
            trainer.game.balancer.averages = dict(state["balancer"])
    except (KeyError, RuntimeError, ValueError, TypeError, AttributeError) as error:
        raise UserError(f"{trainer.folder / native.TRAINER} does not fit the recipe: {one_line(error)}.") from None


def contents(trainer: Any) -> native.CheckpointConfig:
    """``config.json`` of the current step."""
    return native.CheckpointConfig.of_today(
        step=trainer.step,
        name=trainer.recipe.name,
        task=trainer.recipe.task,
        generator=trainer.recipe.generator,
        plugins=plugins_of(trainer.recipe),
        recipe=trainer.recipe.model_dump(mode="json", exclude_none=True),
    )
