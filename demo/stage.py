"""Shared by all tabs: loaded models, limits per visitor, and sounds, pictures and errors in Gradio's form."""

from __future__ import annotations

import functools
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import cache
import gradio as gr
import numpy as np
import torch
from gate import Budget, visitor_of
from PIL import Image

from wavegan import Synthesizer, UserError, audio, list_pretrained
from wavegan.inference.checks import refuse_first_stage

# A model uses every core: few run at once, and a long recording doesn't delay a digit.
SHORT = {"concurrency_id": "short", "concurrency_limit": 2}
LONG = {"concurrency_id": "long", "concurrency_limit": 1}


@dataclass(frozen=True)
class Limits:
    """``seconds`` and ``megabytes`` per upload, ``requests`` per visitor and minute."""

    seconds: float = 60
    megabytes: float = 20
    requests: int = 240


@dataclass
class Stage:
    """``models`` by name, ``runs``: the folder of training runs. The only data kept about a visitor is the address, for
    a minute, to count requests.
    """

    models: dict[str, Synthesizer]
    runs: Path
    limits: Limits = Limits()
    behind_proxy: bool = False
    budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.budget = Budget(self.limits.requests)

    def names(self, reads: str) -> list[str]:
        """The models that read "mel" or "latent"."""
        return [name for name, model in self.models.items() if model.config.task.reads == reads]

    def endpoint(self, function: Callable) -> Callable:
        """Wrap a ``function`` for visitors; one of its arguments is the ``gr.Request``, which is counted.

        The page shows the message of a UserError; for any other error a general one, with the traceback in the log.
        """

        @functools.wraps(function)
        def answer(*arguments):  # noqa: ANN002, ANN202
            try:
                self.charge(next(a for a in arguments if isinstance(a, gr.Request)), 1)
                return function(*arguments)
            except UserError as error:
                raise notice(str(error)) from None
            except gr.Error:
                raise
            except Exception:
                traceback.print_exc()
                raise notice("This did not work with these values. Try others, or reload the page.") from None

        return answer

    def charge(self, request: gr.Request, cost: float) -> None:
        """Count a request of a visitor; raises a UserError beyond the limit per minute."""
        if not self.budget.spend(visitor_of(request, self.behind_proxy), cost):
            raise UserError(f"At most {self.limits.requests} requests a minute are accepted. Wait a little.")

    def recording(self, path: str | None, sample_rate: int) -> torch.Tensor:
        """Decode an upload within the limits; errors show its name, not its path on the server."""
        if not path:
            raise UserError("No recording yet: upload or record a sentence, or take an example.")
        try:
            size = Path(path).stat().st_size / 1e6
            if size > self.limits.megabytes:
                raise UserError(f"{path} has {size:.0f} MB; at most {self.limits.megabytes:g} MB are accepted.")
            return audio.read(path, sample_rate, max_seconds=self.limits.seconds)[0]
        except UserError as error:
            raise UserError(named_plainly(str(error), path)) from None


def notice(message: str) -> gr.Error:
    return gr.Error(message, title="That doesn't work", print_exception=False)


def named_plainly(message: str, path: str | Path) -> str:
    """Shorten the path of a file in a message to its name."""
    return message.replace(str(path), Path(path).name)


def load(checkpoints: Sequence[Path]) -> dict[str, Synthesizer]:
    """Load the embedded models and the given checkpoint folders, which are named after their folders.

    Raises:
        UserError: a folder without a readable model, or a first stage, which makes mels only.
    """
    models = {name: Synthesizer.from_pretrained(name) for name in list_pretrained()}
    for folder in checkpoints:
        model = Synthesizer.from_pretrained(folder)
        refuse_first_stage(model.config)
        name, number = folder.resolve().name, 2
        while name in models:
            name, number = f"{folder.resolve().name} ({number})", number + 1
        models[name] = model
    return models


def sound(waveform: np.ndarray | torch.Tensor, sample_rate: int) -> str:
    """Write a waveform (T,) to a file, as Gradio would scale it to full volume and turn NaN into silence.

    Raises:
        UserError: samples that aren't finite.
    """
    if not np.isfinite(np.asarray(waveform)).all():
        raise UserError("The model made samples that are not finite. Its weights are damaged; choose another model.")
    path = cache.fresh("audio.wav")
    audio.write(path, waveform, sample_rate)
    return str(path)


def picture(image: Image.Image) -> str:
    """Write an image to a file."""
    path = cache.fresh("image.png")
    image.save(path)
    return str(path)
