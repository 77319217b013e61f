"""Warnings from the curves of a training: a player that wins, a loss that drifts."""

from __future__ import annotations

MEMORY = 0.9  # decay of the running means per look
PATIENCE = 10  # looks before the first warning, and between two of one kind


class Advice:
    """Call ``look`` with the curves at every log interval; it returns warnings."""

    def __init__(self) -> None:
        self.means: dict[str, float] = {}
        self.lowest: dict[str, float] = {}
        self.looks: dict[str, int] = {}
        self.reported: dict[str, int] = {}

    def look(self, values: dict[str, float]) -> list[str]:
        sentences = []
        for name in ("train/d/accuracy", "train/g/feature_matching"):
            if name not in values:
                continue
            looks = self.looks[name] = self.looks.get(name, 0) + 1
            mean = self.means[name] = MEMORY * self.means.get(name, values[name]) + (1 - MEMORY) * values[name]
            self.lowest[name] = min(self.lowest.get(name, mean), mean) if looks > PATIENCE else mean
            sentence = _verdict(name, mean, self.lowest[name]) if looks > PATIENCE else None
            if sentence and looks - self.reported.get(name, -PATIENCE) >= PATIENCE:
                self.reported[name] = looks
                sentences.append(sentence)
        return sentences


def _verdict(name: str, mean: float, lowest: float) -> str | None:
    if name == "train/d/accuracy" and mean > 0.98:
        return (
            f"The discriminators tell {mean:.0%} of the pairs apart: they win, and the generator learns little. Lower "
            "trainer.discriminator_learning_rate, or raise objective.penalty.weight."
        )
    if name == "train/d/accuracy" and mean < 0.51:
        return (
            f"The discriminators tell only {mean:.0%} of the pairs apart: they guess. Raise "
            "trainer.discriminator_learning_rate, or give them more channels."
        )
    if name == "train/g/feature_matching" and mean > 1.5 * lowest:
        return (
            f"Feature matching has risen from {lowest:.3g} to {mean:.3g}: the generator is falling behind. Lower "
            "trainer.discriminator_learning_rate."
        )
    return None
