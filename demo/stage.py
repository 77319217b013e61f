"""What every tab stands on: the loaded models, what a visitor may ask for, sound and errors as Gradio wants them."""

from __future__ import annotations

import functools
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import gradio as gr
import numpy as np
import torch

from wavegan import Synthesizer, UserError, audio, list_pretrained

Sound = tuple[int, np.ndarray]
MODEL_QUEUE = {"concurrency_id": "models", "concurrency_limit": 2}  # of all tabs together: a model takes every core


@dataclass(frozen=True)
class Limits:
    """Of one request: ``seconds`` and ``megabytes`` of sound; of one visitor: ``requests`` in a minute."""

    seconds: float = 60
    megabytes: float = 20
    requests: int = 120


@dataclass
class Stage:
    """``models`` by name, ``runs``: the folder of training runs. Nothing of a visitor is ever kept here."""

    models: dict[str, Synthesizer]
    runs: Path
    limits: Limits = Limits()
    _visits: dict[str, deque[float]] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def names(self, task: str) -> list[str]:
        """The models of a task that end in a waveform."""
        tasks = {name: model.config.task for name, model in self.models.items()}
        return [n for n, t in tasks.items() if t.name == task and getattr(t, "output", "waveform") == "waveform"]

    def endpoint(self, function: Callable) -> Callable:
        """What a visitor calls. The last argument of ``function`` is its ``gr.Request``; a UserError becomes a notice
        with the sentence of the command line, and whoever asks too often is told to wait.
        """

        @functools.wraps(function)
        def answer(*arguments):  # noqa: ANN002, ANN202
            try:
                self._admit(next(a for a in reversed(arguments) if isinstance(a, gr.Request)))
                return function(*arguments)
            except UserError as error:
                raise gr.Error(str(error), title="That doesn't work", print_exception=False) from None

        return answer

    def recording(self, path: str | None, sample_rate: int) -> torch.Tensor:
        """An upload, decoded within the limits; errors name the file as the visitor does, not where it lies here."""
        if not path:
            raise UserError("No recording yet: upload or record a sentence, or take an example.")
        try:
            size = Path(path).stat().st_size / 1e6
            if size > self.limits.megabytes:
                raise UserError(f"{path} has {size:.0f} MB; at most {self.limits.megabytes:g} MB are taken.")
            return audio.read(path, sample_rate, max_seconds=self.limits.seconds)[0]
        except UserError as error:
            raise UserError(str(error).replace(str(path), Path(path).name)) from None

    def _admit(self, request: gr.Request) -> None:
        forwarded = request.headers.get("x-forwarded-for", "")
        visitor = forwarded.split(",")[0].strip() or (request.client.host if request.client else "")
        now = time.monotonic()
        with self._lock:
            recent = {v: times for v, times in self._visits.items() if times[-1] > now - 60}
            times = recent.setdefault(visitor, deque(maxlen=self.limits.requests))
            self._visits = recent
            if len(times) == times.maxlen and times[0] > now - 60:
                raise UserError(f"At most {self.limits.requests} requests a minute are taken. Wait a little.")
            times.append(now)


def load(checkpoints: Sequence[Path]) -> dict[str, Synthesizer]:
    """The models in the package and the given checkpoint folders, each loaded once.

    Raises:
        UserError: a folder that holds no model that can be read.
    """
    models = {name: Synthesizer.from_pretrained(name) for name in list_pretrained()}
    for folder in checkpoints:
        models[str(folder)] = Synthesizer.from_pretrained(folder)
    return models


def sound(waveform: np.ndarray | torch.Tensor, sample_rate: int) -> Sound:
    """(T,) -> (sample rate, int16): Gradio scales floats to full volume and turns NaN into silence.

    Raises:
        UserError: samples that aren't finite.
    """
    samples = np.asarray(waveform, np.float64)
    if not np.isfinite(samples).all():
        raise UserError("The model gave samples that are not finite. Its weights are damaged; take another model.")
    return sample_rate, np.round(np.clip(samples, -1, 1) * 32767).astype(np.int16)
