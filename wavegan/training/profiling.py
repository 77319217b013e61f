"""Where the time of a training step goes, and peak memory."""

from __future__ import annotations

import re
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch


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
