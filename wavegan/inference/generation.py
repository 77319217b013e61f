"""The player of the generation task: clips and spoken numbers from noise, labels and seeds.

Shapes: N clips, Z latent, V conditions, T samples.
"""

from __future__ import annotations

import numbers
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from wavegan.audio.mel_files import as_tensor
from wavegan.core.errors import UserError
from wavegan.core.text import DIGITS
from wavegan.inference.checks import check_count, check_names, check_range, check_seed, is_whole
from wavegan.inference.inputs import Array
from wavegan.inference.synthesizer import Synthesizer


class ClipGenerator(Synthesizer):
    """A model that turns noise into clips of one length."""

    refusal = "speaks out of noise and can't copy speech; use vocoder-16k"

    def latent(self, count: int, seed: int = 0) -> Tensor:
        """``count`` latents (count, Z), the same for the same seed on every machine.

        Raises:
            UserError: a seed outside 0 to 2**32 - 1.
        """
        return self.config.task.draw(check_count("count", count), torch.Generator().manual_seed(check_seed(seed)))

    def speaker(self, seed: int = 0) -> str | None:
        """The speaker that a seed draws for a single clip or number; None for a model without speakers."""
        return next(iter(self._speakers(None, 1, seed)), None)

    def generate(
        self,
        labels: Sequence[str] | int,
        *,
        speaker: str | Sequence[str] | None = None,
        seed: int = 0,
        truncation: float = 1.0,
        z: Array | None = None,
    ) -> np.ndarray:
        """Generate one clip per label.

        Args:
            labels: from the model's vocabulary, ``self.config.task.conditions["label"]``; for an unconditional model,
                how many clips.
            speaker: one for all, or one for each; None draws one for each by the seed.
            seed: which latents are drawn.
            truncation: factor of the latents: 1 is full variety, 0 the most typical take.
            z: latents (N, Z) to use instead of drawn ones, such as those of ``latent`` or between two of them.

        Returns:
            float32 waveforms (N, T) in [-1, 1] at ``self.sample_rate``.

        Raises:
            UserError: a label or speaker outside the model's vocabulary (lists it), or an option out of range.
        """
        task = self.config.task
        words = None if is_whole(labels) else check_names("labels", labels)
        count = int(labels) if words is None else len(words)
        if count < 1:
            raise UserError("Nothing to generate: give at least one label.")
        check_range("truncation", truncation, 1)
        drawn = self.latent(count, seed)
        z = drawn if z is None else as_tensor(z, "z")
        if z.shape != drawn.shape or z.is_complex() or not bool(torch.isfinite(z).all()):
            raise UserError(f"z should be finite, of shape {tuple(drawn.shape)}, got {tuple(z.shape)}.")
        columns = {"label": words, "speaker": self._speakers(speaker, count, seed)}
        if (words is None) == ("label" in task.vocabularies):
            raise UserError("This model needs labels." if words is None else "This model has no labels.")
        label = [task.index(name, columns[name]) for name in task.vocabularies]
        return self._clips(truncation * z.float(), torch.stack(label, 1) if label else None)

    def digits(
        self,
        digits: str | int | Sequence[int | str],
        *,
        speaker: str | None = None,
        seed: int = 0,
        truncation: float = 1.0,
        gap: float = 0.1,
        z: Array | None = None,
    ) -> np.ndarray:
        """Speak a number digit by digit in one voice: "8675309", [8, 6, 7], ...

        Args:
            gap: seconds of silence between digits; the other options are those of ``generate``.

        Returns:
            float32 waveform (T,).

        Raises:
            UserError: something that isn't a digit, nothing at all, or as ``generate``.
        """
        items = _digits(digits)
        check_range("gap", gap, 10, " seconds")
        words = self.config.task.vocabularies.get("label", [])
        labels = [item if item in words else DIGITS[int(item)] for item in items]
        speaker = self.speaker(seed) if speaker is None else speaker  # one voice for the whole number
        clips = self.generate(labels, speaker=speaker, seed=seed, truncation=truncation, z=z)
        silence = np.zeros(round(gap * self.sample_rate), np.float32)
        pieces = [piece for clip in clips for piece in (_trim(clip), silence)]
        return np.concatenate(pieces[:-1])

    def _speakers(self, speaker: str | Sequence[str] | None, count: int, seed: int) -> Sequence[str]:
        """Names of the speakers of ``count`` clips; [] for a model without speakers."""
        known = self.config.task.vocabularies.get("speaker", [])
        if not known:
            if speaker is not None:
                raise UserError("This model has no speakers; leave the speaker out.")
            return []
        if speaker is None:
            random = np.random.default_rng(check_seed(seed))
            return [known[i] for i in random.integers(len(known), size=count)]
        speakers = [speaker] * count if isinstance(speaker, str) else check_names("speaker", speaker)
        if len(speakers) != count:
            raise UserError(f"{len(speakers)} speakers for {count} labels; give one, or one for each.")
        return speakers

    @torch.inference_mode()
    def _clips(self, z: Tensor, label: Tensor | None, batch_size: int = 64) -> np.ndarray:
        """Latents (N, Z) and labels (N, V) -> waveforms (N, T); those beyond full scale are turned down."""
        labels = [None] * len(z) if label is None else label.to(self.device).split(batch_size)
        parts = zip(z.to(self.device).split(batch_size), labels, strict=False)
        clips = torch.cat([self.generator(x, y)[:, 0].float().cpu() for x, y in parts])
        return (clips / clips.abs().amax(1, keepdim=True).clamp(min=1.0)).numpy()


def _digits(digits: object) -> list[str]:
    """The digits of a number, a string or a list, one string each; raises a UserError for anything else."""
    try:
        items = list(str(digits)) if isinstance(digits, (str, numbers.Integral)) else [str(d) for d in digits]
    except (TypeError, ValueError):  # not a sequence; an integer of thousands of digits
        raise UserError("digits should be a number such as 8675309, its digits as a string, or a list.") from None
    items = [item for item in items if not item.isspace()]
    if not items:
        raise UserError("No digits given; write a number such as 8675309.")
    if strange := [item for item in items if item not in tuple("0123456789")]:
        raise UserError(f"'{strange[0]}' is not a digit; write a number such as 8675309.")
    return items


def _trim(clip: np.ndarray, decibels: float = 40.0) -> np.ndarray:
    """The clip (T,) without leading and trailing samples that are ``decibels`` below its peak."""
    loud = np.flatnonzero(np.abs(clip) > np.abs(clip).max() * 10 ** (-decibels / 20))
    return clip[loud[0] : loud[-1] + 1] if len(loud) else clip
