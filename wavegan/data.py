"""Batches of segments, drawn statelessly: step N of a run is the same batch whenever and wherever it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from pydantic import Field
from torch import Tensor

from wavegan import audio
from wavegan.config import Config
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


class Segments:
    """A corpus in memory as 16-bit samples, and random segments of it."""

    def __init__(self, utterances: Sequence[Utterance], config: DataConfig, sample_rate: int, seed: int):
        self.config, self.seed = config, seed
        self.waveforms = [_load(utterance, sample_rate) for utterance in utterances]
        lengths = np.array([len(w) for w in self.waveforms], dtype=np.float64)
        # A clip is as likely as it is long: each second of the corpus is heard equally often.
        self.cumulative = np.cumsum(lengths / lengths.sum())
        self.seconds = lengths.sum() / sample_rate

    def batch(self, step: int, rank: int = 0, world_size: int = 1) -> Batch:
        """The batch of a step; on rank r of w processes, its r-th share."""
        size = self.config.batch_size
        own = range(rank * size // world_size, (rank + 1) * size // world_size)
        return Batch(torch.stack([self.segment(step, i) for i in own]), None)

    def segment(self, step: int, i: int) -> Tensor:
        """Segment i of a step, (1, T): utterance, place and gain depend on (seed, step, i) alone."""
        random = np.random.default_rng((self.seed, step, i))
        index = min(
            int(np.searchsorted(self.cumulative, random.random(), side="right")),
            len(self.waveforms) - 1,
        )
        waveform, length = self.waveforms[index], self.config.segment_length
        start = int(random.integers(max(len(waveform) - length, 0) + 1))
        gain = 10 ** (random.uniform(*self.config.gain_db) / 20) / 32768
        segment = torch.zeros(1, length)
        piece = waveform[start : start + length]
        segment[0, : len(piece)] = (piece.float() * gain).clamp(-1, 1)
        return segment


def _load(utterance: Utterance, sample_rate: int) -> Tensor:
    """16-bit samples of one recording."""
    if utterance.sample_rate != sample_rate:
        raise UserError(
            f"{utterance.path} is at {utterance.sample_rate} Hz, the recipe wants {sample_rate} Hz. "
            "Prepare the corpus again at the recipe's sample rate."
        )
    waveform, rate = audio.read(utterance.path)
    if rate != sample_rate or len(waveform) != utterance.num_samples:
        raise UserError(
            f"{utterance.path} has {len(waveform)} samples at {rate} Hz, its manifest says {utterance.num_samples} "
            f"at {utterance.sample_rate} Hz. Prepare the corpus again."
        )
    return (waveform * 32768).round().clamp(-32768, 32767).to(torch.int16)
