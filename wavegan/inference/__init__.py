"""Playing trained models: one player per task. A new one is a file and a line in ``PLAYERS``."""

from __future__ import annotations

from wavegan.core.errors import UserError
from wavegan.core.registry import package_of
from wavegan.inference.generation import ClipGenerator
from wavegan.inference.synthesizer import Synthesizer
from wavegan.inference.vocoder import Vocoder

PLAYERS: dict[str, type[Synthesizer]] = {"vocoder": Vocoder, "generation": ClipGenerator}
Synthesizer.players = PLAYERS


def add_player(task_name: str, player: type[Synthesizer]) -> None:
    """Register the player of another package's task; adding it again replaces it.

    Raises:
        UserError: another package plays this task.
    """
    other = PLAYERS.get(task_name)
    if other is not None and package_of(other) != package_of(player):
        raise UserError(
            f"{other.__module__} already plays the task '{task_name}': rename the one of {player.__module__}."
        )
    PLAYERS[task_name] = player
