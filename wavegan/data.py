"""Batches of segments, drawn statelessly: step N of a run is the same batch whenever and wherever it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from wavegan import audio
from wavegan.config import Config
from wavegan.dsp import LogMelConfig
from wavegan.errors import UserError
from wavegan.manifest import Utterance


class Batch(NamedTuple):
    """``waveform`` (B, 1, T) float32; ``label`` (B,) int64 or None."""

    waveform: Tensor
    label: Tensor | None


class DataConfig(Config):
    """Manifests and how segments are cut from them. ``gain_db``: range of a random gain in decibels."""

    train: Path
    valid: Path
    segment_length: int = Field(8192, ge=1)
    batch_size: int = Field(16, ge=1)
    gain_db: tuple[float, float] = (0.0, 0.0)

    @field_validator("gain_db")
    @classmethod
    def _check(cls, gain_db: tuple[float, float]) -> tuple[float, float]:
        if gain_db[0] > gain_db[1]:
            raise ValueError("should be [lowest, highest]")
        return gain_db


class Segments:
    """A corpus in memory as 16-bit samples, and random segments of it.

    Raises:
        UserError: one report of all recordings that are missing, unreadable, silent, shorter than n_fft, or not what
            their manifest says.
    """

    def __init__(self, utterances: Sequence[Utterance], config: DataConfig, features: LogMelConfig, seed: int):
        self.config, self.seed = config, seed
        self.waveforms, faults = [], []
        for utterance in utterances:
            try:
                self.waveforms.append(_load(utterance, features))
            except UserError as error:
                faults.append(str(error))
        if faults:
            shown = "\n  ".join(faults[:20] + ([f"and {len(faults) - 20} more"] if len(faults) > 20 else []))
            raise UserError(
                f"{len(faults)} of {len(utterances)} recordings can't be used; nothing was trained:\n  {shown}"
            )
        lengths = np.array([len(w) for w in self.waveforms], dtype=np.float64)
        # A clip is as likely as it is long: each second of the corpus is heard equally often.
        self.cumulative = np.cumsum(lengths / lengths.sum())

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """The batch of a step; on rank r of w processes, its r-th share."""
        size = self.config.batch_size
        own = range(rank * size // world_size, (rank + 1) * size // world_size)
        return Batch(torch.stack([self.segment(step, i) for i in own]), None)

    def segment(self, step: int, i: int) -> Tensor:
        """Segment i of a step, (1, T): utterance, place and gain depend on (seed, step, i) alone."""
        random = np.random.default_rng((self.seed, step, i))
        index = min(int(np.searchsorted(self.cumulative, random.random(), side="right")), len(self.waveforms) - 1)
        waveform, length = self.waveforms[index], self.config.segment_length
        start = int(random.integers(max(len(waveform) - length, 0) + 1))
        gain = 10 ** (random.uniform(*self.config.gain_db) / 20) / 32768
        segment = torch.zeros(1, length)
        piece = waveform[start : start + length]
        segment[0, : len(piece)] = (piece.float() * gain).clamp(-1, 1)
        return segment


def _load(utterance: Utterance, features: LogMelConfig) -> Tensor:
    """16-bit samples of one recording."""
    if utterance.sample_rate != features.sample_rate:
        raise UserError(
            f"{utterance.path} is at {utterance.sample_rate} Hz, the recipe wants {features.sample_rate} Hz. "
            "Prepare the corpus again at the recipe's sample rate."
        )
    waveform, rate = audio.read(utterance.path)
    if rate != utterance.sample_rate or len(waveform) != utterance.num_samples:
        raise UserError(
            f"{utterance.path} has {len(waveform)} samples at {rate} Hz, its manifest says {utterance.num_samples} "
            f"at {utterance.sample_rate} Hz. Prepare the corpus again."
        )
    if len(waveform) < features.n_fft:
        raise UserError(
            f"{utterance.path} has {len(waveform)} samples, less than n_fft = {features.n_fft}. Leave it out."
        )
    samples = (waveform * 32768).round().clamp(-32768, 32767).to(torch.int16)
    if not bool(samples.any()):
        raise UserError(f"{utterance.path} is silent. Leave it out.")
    return samples
