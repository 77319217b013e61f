"""A generator of clips at work: what labels, speakers, seeds and numbers mean to it.

Shapes: N clips, Z latent, V conditions, T samples.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, nn

from wavegan.audio import mel_files
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError
from wavegan.core.text import DIGITS


class Speaker:
    """A generator of the generation task, and the device that it is on; ``Synthesizer`` documents the methods.

    Raises:
        UserError: the model is a vocoder, or makes mels only.
    """

    def __init__(self, generator: nn.Module, contents: CheckpointConfig, device: torch.device):
        if contents.task.name != "generation":
            raise UserError(
                f"'{contents.name}' reads mels and can't speak out of noise; use digits-8k, or another "
                "model of the generation task."
            )
        refuse_first_stage(contents)
        self.generator, self.task, self.device = generator, contents.task, device

    def latent(self, count: int, seed: int) -> Tensor:
        return self.task.draw(check_count("count", count), torch.Generator().manual_seed(_check_seed(seed)))

    def speaker(self, seed: int) -> str | None:
        return next(iter(self._speakers(None, 1, seed)), None)

    def generate(
        self,
        labels: Sequence[str] | int,
        speaker: str | Sequence[str] | None,
        seed: int,
        truncation: float,
        z: np.ndarray | Tensor | None,
    ) -> np.ndarray:
        task = self.task
        words = None if _is_whole(labels) else _names(labels, "labels")
        count = int(labels) if words is None else len(words)
        if count < 1:
            raise UserError("Nothing to generate: give at least one label.")
        if not _in_range(truncation, 1):
            raise UserError(f"truncation should lie between 0 and 1, got {truncation!r}.")
        drawn = self.latent(count, seed)
        z = drawn if z is None else mel_files.as_tensor(z, "z")
        if z.shape != drawn.shape or z.is_complex() or not bool(torch.isfinite(z).all()):
            raise UserError(f"z should be finite, of shape {tuple(drawn.shape)}, got {tuple(z.shape)}.")
        columns = {"label": words, "speaker": self._speakers(speaker, count, seed)}
        if (words is None) == ("label" in task.conditions):
            raise UserError("This model needs labels." if words is None else "This model has no labels.")
        label = [task.index(name, columns[name]) for name in task.conditions]
        return self._clips(truncation * z.float(), torch.stack(label, 1) if label else None)

    def digits(
        self,
        digits: str | int | Sequence[int | str],
        speaker: str | None,
        seed: int,
        truncation: float,
        gap: float,
        z: np.ndarray | Tensor | None,
    ) -> np.ndarray:
        try:
            items = list(str(digits)) if isinstance(digits, (str, numbers.Integral)) else [str(d) for d in digits]
        except (TypeError, ValueError):  # not a sequence; an integer of thousands of digits
            raise UserError("digits should be a number such as 8675309, its digits as a string, or a list.") from None
        items = [item for item in items if not item.isspace()]
        if not items:
            raise UserError("No digits given; write a number such as 8675309.")
        if strange := [item for item in items if item not in tuple("0123456789")]:
            raise UserError(f"'{strange[0]}' is not a digit; write a number such as 8675309.")
        if not _in_range(gap, 10):
            raise UserError(f"gap should lie between 0 and 10 seconds, got {gap!r}.")
        words = self.task.conditions.get("label", [])
        labels = [item if item in words else DIGITS[int(item)] for item in items]
        speaker = self.speaker(seed) if speaker is None else speaker  # one voice for the whole number
        clips = self.generate(labels, speaker, seed, truncation, z)
        silence = np.zeros(round(gap * self.task.features.sample_rate), np.float32)
        pieces = [piece for clip in clips for piece in (_trim(clip), silence)]
        return np.concatenate(pieces[:-1])

    def _speakers(self, speaker: str | Sequence[str] | None, count: int, seed: int) -> Sequence[str]:
        known = self.task.conditions.get("speaker", [])
        if not known:
            if speaker is not None:
                raise UserError("This model has no speakers; leave the speaker out.")
            return []
        if speaker is None:
            random = np.random.default_rng(_check_seed(seed))
            return [known[i] for i in random.integers(len(known), size=count)]
        speakers = [speaker] * count if isinstance(speaker, str) else _names(speaker, "speaker")
        if len(speakers) != count:
            raise UserError(f"{len(speakers)} speakers for {count} labels; give one, or one for each.")
        return speakers

    @torch.inference_mode()
    def _clips(self, z: Tensor, label: Tensor | None, batch_size: int = 64) -> np.ndarray:
        labels = [None] * len(z) if label is None else label.to(self.device).split(batch_size)
        parts = zip(z.to(self.device).split(batch_size), labels, strict=False)
        clips = torch.cat([self.generator(x, y)[:, 0].float().cpu() for x, y in parts])
        return (clips / clips.abs().amax(1, keepdim=True).clamp(min=1.0)).numpy()  # too loud ones are turned down


def refuse_first_stage(contents: CheckpointConfig) -> None:
    """Of the generation task, a model that makes no sound.

    Raises:
        UserError: it is one.
    """
    if contents.task.name == "generation" and contents.task.output != "waveform":
        raise UserError(f"'{contents.name}' makes mels only: a first stage. Train the recipe's last stage.")


def check_count(name: str, count: object) -> int:
    """``count`` as an int, if it is a whole number from 1 up.

    Raises:
        UserError: it isn't.
    """
    if not _is_whole(count) or count < 1:
        raise UserError(f"{name} should be a whole number from 1 up, got {count!r}.")
    return int(count)


def _is_whole(value: object) -> bool:
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def _names(values: object, what: str) -> list[str]:
    try:
        if not isinstance(values, (str, bytes)):
            return [str(value) for value in values]
    except TypeError:
        pass
    raise UserError(f"{what} should be a list of names, got {values!r}.")


def _check_seed(seed: int) -> int:
    # PyTorch takes larger ones, and drops all but their last 32 bits.
    if not _is_whole(seed) or not 0 <= seed < 2**32:
        raise UserError(f"seed should be a whole number from 0 up to 2 ** 32 - 1, got {seed!r}.")
    return int(seed)


def _in_range(value: float, most: float) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 <= value <= most


def _trim(clip: np.ndarray, decibels: float = 40.0) -> np.ndarray:
    """The clip (T,) without the silence before and after it: what lies that much below its peak."""
    loud = np.flatnonzero(np.abs(clip) > np.abs(clip).max() * 10 ** (-decibels / 20))
    return clip[loud[0] : loud[-1] + 1] if len(loud) else clip
