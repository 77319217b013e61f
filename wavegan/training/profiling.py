"""Time of the parts of a training step, and peak memory."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


class Stopwatch:
    """Times the parts of the first steps: ``with watch("data"): ...``; free of cost once stopped."""

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
        """The share of each part, with a hint if data loading dominates; stops the watch."""
        self.running = False
        total = max(sum(self.seconds.values()), 1e-9)
        shares = {part: spent / total for part, spent in self.seconds.items()}
        text = "Time goes to " + ", ".join(f"{part} {share:.0%}" for part, share in shares.items()) + "."
        if shares.get("data", 0) > 0.25:
            text += " Data loading is the bottleneck: use a shorter data.segment_length, or fewer, longer files."
        return text


def peak_memory(device: torch.device) -> int:
    """Peak bytes so far: on a GPU, allocated by PyTorch; else, resident memory of this process."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    status = Path("/proc/self/status")
    if status.is_file() and (found := re.search(r"VmHWM:\s+(\d+)", status.read_text())):
        return 1024 * int(found[1])
    import resource  # which Windows hasn't; on Linux a process inherits what the one that started it had

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
