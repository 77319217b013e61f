"""What the curves of a training say, in plain words: who wins, what drifts; and where time and memory go."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

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


class Stopwatch:
    """Where the time of the first steps goes: ``with watch("data"): ...``; afterwards it costs nothing."""

    def __init__(self, device: torch.device):
        self.device, self.running = device, True
        self.seconds: dict[str, float] = {}

    @contextmanager
    def __call__(self, part: str) -> Iterator[None]:
        if not self.running:
            yield
            return
        start = self._now()
        yield
        self.seconds[part] = self.seconds.get(part, 0.0) + self._now() - start

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()

    def report(self) -> str:
        """Shares in words, with a hint where the data is the bound; stops the watch."""
        self.running = False
        total = max(sum(self.seconds.values()), 1e-9)
        shares = {part: spent / total for part, spent in self.seconds.items()}
        text = "Time goes to " + ", ".join(f"{part} {share:.0%}" for part, share in shares.items()) + "."
        if shares.get("data", 0) > 0.25:
            text += " The data is the bound: a shorter data.segment_length, or more batches from fewer long files."
        return text


def peak_memory(device: torch.device) -> int:
    """Bytes at most so far: on a GPU what PyTorch allocated there, else all resident memory of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.is_file() and (found := re.search(r"VmHWM:\s+(\d+)", status.read_text())):
        return 1024 * int(found[1])
    import resource  # which Windows hasn't; on Linux a process inherits what the one that started it had

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
