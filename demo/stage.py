"""What every tab stands on: the loaded models, what a visitor may ask for, sound and errors as Gradio wants them."""

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
from wavegan.inference.generation import refuse_first_stage

# A model takes every core: few at once, and a minute of sound doesn't keep a digit waiting.
SHORT = {"concurrency_id": "short", "concurrency_limit": 2}
LONG = {"concurrency_id": "long", "concurrency_limit": 1}


@dataclass(frozen=True)
class Limits:
    """Of one upload: ``seconds`` and ``megabytes``; of one visitor: ``requests`` in a minute."""

    seconds: float = 60
    megabytes: float = 20
    requests: int = 240


@dataclass
class Stage:
    """``models`` by name, ``runs``: the folder of training runs. Of a visitor nothing is kept but, for a minute, the
    address, to count requests.
    """

    models: dict[str, Synthesizer]
    runs: Path
    limits: Limits = Limits()
    behind_proxy: bool = False
    budget: Budget = field(init=False)

    def __post_init__(self) -> None:
        self.budget = Budget(self.limits.requests)

    def names(self, task: str) -> list[str]:
        """The models of a task."""
        return [name for name, model in self.models.items() if model.config.task.name == task]

    def endpoint(self, function: Callable) -> Callable:
        """What a visitor calls: ``function``, one of whose arguments is the ``gr.Request``. A UserError becomes a
        notice with the sentence of the command line, anything else one sentence, and a traceback in our log.
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
                raise notice("That did not work with these values. Try others, or load the page again.") from None

        return answer

    def charge(self, request: gr.Request, cost: float) -> None:
        """Count a request of a visitor.

        Raises:
            UserError: more than the limit in a minute.
        """
        if not self.budget.spend(visitor_of(request, self.behind_proxy), cost):
            raise UserError(f"At most {self.limits.requests} requests a minute are taken. Wait a little.")

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
            raise UserError(named_plainly(str(error), path)) from None


def notice(sentence: str) -> gr.Error:
    return gr.Error(sentence, title="That doesn't work", print_exception=False)


def named_plainly(sentence: str, path: str | Path) -> str:
    """The sentence with the name of the file only."""
    return sentence.replace(str(path), Path(path).name)


def load(checkpoints: Sequence[Path]) -> dict[str, Synthesizer]:
    """The models in the package and the given checkpoint folders, by the folder's name, each loaded once.

    Raises:
        UserError: a folder that holds no model that can be read, or a first stage, which makes mels only.
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
    """(T,) -> the path of a file: Gradio scales floats to full volume and turns NaN into silence.

    Raises:
        UserError: samples that aren't finite.
    """
    if not np.isfinite(np.asarray(waveform)).all():
        raise UserError("The model gave samples that are not finite. Its weights are damaged; take another model.")
    path = cache.fresh("audio.wav")
    audio.write(path, waveform, sample_rate)
    return str(path)


def picture(image: Image.Image) -> str:
    """The path of a file with this image."""
    path = cache.fresh("image.png")
    image.save(path)
    return str(path)
