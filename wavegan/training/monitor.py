"""What the curves of a training say, in plain words: who wins, what drifts; and where time and memory go."""

from __future__ import annotations

MEMORY = 0.9  # of the running means, a look
PATIENCE = 10  # looks before the first warning, and between two of one kind


class Advice:
    """``look`` at the curves at every log interval; it returns sentences, each kind of them now and then."""

    def __init__(self) -> None:
        self.means: dict[str, float] = {}
        self.lowest: dict[str, float] = {}
        self.looks: dict[str, int] = {}
        self.said: dict[str, int] = {}

    def look(self, values: dict[str, float]) -> list[str]:
        sentences = []
        for name in ("train/d/accuracy", "train/g/feature_matching"):
            if name not in values:
                continue
            looks = self.looks[name] = self.looks.get(name, 0) + 1
            mean = self.means[name] = MEMORY * self.means.get(name, values[name]) + (1 - MEMORY) * values[name]
            self.lowest[name] = min(self.lowest.get(name, mean), mean) if looks > PATIENCE else mean
            sentence = _verdict(name, mean, self.lowest[name]) if looks > PATIENCE else None
            if sentence and looks - self.said.get(name, -PATIENCE) >= PATIENCE:
                self.said[name] = looks
                sentences.append(sentence)
        return sentences


def _verdict(name: str, mean: float, lowest: float) -> str | None:
    if name == "train/d/accuracy" and mean > 0.98:
        return (
            f"The discriminators tell {mean:.0%} of the pairs apart: they win, and teach the generator little. Lower "
            "trainer.discriminator_learning_rate, or raise objective.penalty.weight."
        )
    if name == "train/d/accuracy" and mean < 0.51:
        return (
            f"The discriminators tell only {mean:.0%} of the pairs apart: they guess. Raise "
            "trainer.discriminator_learning_rate, or give them more channels."
        )
    if name == "train/g/feature_matching" and mean > 1.5 * lowest:
        return (
            f"Feature matching has risen from {lowest:.3g} to {mean:.3g}: the generator falls behind. Lower "
            "trainer.discriminator_learning_rate."
        )
    return None
