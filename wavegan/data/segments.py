"""Batches of random segments, stateless: step N of a run is the same batch at any time and in any process."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from wavegan import audio
from wavegan.audio import mel_checks, mel_files
from wavegan.audio.log_mel import LogMelConfig
from wavegan.core.config import Config
from wavegan.core.errors import UserError
from wavegan.data.manifest import Utterance
from wavegan.data.memory_map import to_samples


class Batch(NamedTuple):
    """``waveform`` (B, 1, T) float32; ``label`` (B, V) int64, a column per condition; ``mel`` (B, M, F)."""

    waveform: Tensor
    label: Tensor | None
    mel: Tensor | None = None


class DataConfig(Config):
    """Manifests and how segments are cut from them. ``global_batch_size``: segments per step over all processes.
    ``gain_db``: range of a random gain in decibels.

    ``crop``: "random" cuts anywhere, with clips drawn in proportion to their length; "start" takes clips, drawn
    uniformly, from their first sample.
    """

    train: Path
    valid: Path
    segment_length: int = Field(8192, ge=1)
    crop: Literal["random", "start"] = "random"
    global_batch_size: int = Field(16, ge=1)
    gain_db: tuple[float, float] = (0.0, 0.0)

    @field_validator("gain_db")
    @classmethod
    def _check(cls, gain_db: tuple[float, float]) -> tuple[float, float]:
        if gain_db[0] > gain_db[1]:
            raise ValueError("should be [lowest, highest]")
        return gain_db


class Segments:
    """A corpus in memory as 16-bit samples, and random segments of it. ``labels``: (N, V) int64, or None.
    ``samples``: memory-mapped samples of all utterances in order, if there are any (``memory_map``).

    If the manifest has mels, segments begin at their frames.

    Raises:
        UserError: one report of all recordings that are missing, unreadable, silent, shorter than n_fft, or different
            from their manifest, and of all mels that don't fit their recording.
    """

    FADE_SECONDS = 0.01  # at the end of clips shorter than a segment, so that models don't learn a click

    def __init__(
        self,
        utterances: Sequence[Utterance],
        config: DataConfig,
        features: LogMelConfig,
        seed: int,
        labels: Tensor | None = None,
        samples: Tensor | None = None,
    ):
        self.config, self.seed, self.labels = config, seed, labels
        self.names = [utterance.id for utterance in utterances]
        self.fade_length = round(self.FADE_SECONDS * features.sample_rate)
        self.speakers = [utterance.speaker for utterance in utterances]
        self.waveforms, self.mels, faults = [], [], []
        self.hop_length = features.hop_length
        if any(utterance.mel for utterance in utterances) and config.gain_db != (0, 0):
            raise UserError("data.gain_db must be [0, 0] if the manifest has mels: their level is fixed.")
        mapped = [None] * len(utterances) if samples is None else samples.split([u.num_samples for u in utterances])
        for utterance, piece in zip(utterances, mapped, strict=True):
            try:
                self.waveforms.append(_load(utterance, features, piece))
                if utterance.mel:
                    self.mels.append(_load_mel(utterance, features))
            except UserError as error:
                faults.append(str(error))
        if not faults and self.mels and len(self.mels) < len(utterances):
            without = next(utterance.id for utterance in utterances if not utterance.mel)
            faults.append(f"'{without}' has no mel, other utterances do: give all of them one, or none.")
        if faults:
            shown = "\n  ".join(faults[:20] + ([f"and {len(faults) - 20} more"] if len(faults) > 20 else []))
            raise UserError(f"{len(faults)} of {len(utterances)} recordings can't be used:\n  {shown}")
        # Clips are drawn in proportion to their length, so that each second of the corpus is used equally often.
        lengths = np.array([len(w) if config.crop == "random" else 1 for w in self.waveforms], dtype=np.float64)
        self.cumulative = np.cumsum(lengths / lengths.sum())

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Batch:
        """The batch of a step, or one of its equal parts, for a process or an accumulated pass."""
        size = self.config.global_batch_size // parts
        places, segments = zip(*(self.segment(step, part * size + i) for i in range(size)), strict=True)
        indices = [index for index, _ in places]
        mels = torch.stack([self.mel(*place) for place in places]) if self.mels else None
        return Batch(torch.stack(segments), None if self.labels is None else self.labels[indices], mels)

    def segment(self, step: int, i: int) -> tuple[tuple[int, int], Tensor]:
        """Segment i of a step: (utterance, first sample) and waveform (1, T), a function of (seed, step, i)."""
        random = np.random.default_rng((self.seed, step, i))
        index = min(int(np.searchsorted(self.cumulative, random.random(), side="right")), len(self.waveforms) - 1)
        last = max(len(self.waveforms[index]) - self.config.segment_length, 0)
        start = int(random.integers(last + 1)) if self.config.crop == "random" else 0
        start -= start % self.hop_length if self.mels else 0
        gain = 10 ** (random.uniform(*self.config.gain_db) / 20)
        return (index, start), (self.clip(index, start) * gain).clamp(-1, 1)

    def mel(self, index: int, start: int) -> Tensor:
        """Mel (M, F) of a segment of an utterance; its last frame is repeated after the end."""
        frames = torch.arange(self.config.segment_length // self.hop_length) + start // self.hop_length
        return self.mels[index][:, frames.clamp(max=self.mels[index].shape[1] - 1)]

    def whole(self, index: int) -> Tensor:
        """Waveform (T,) of a whole utterance, in [-1, 1)."""
        return self.waveforms[index].float() / 32768

    def clip(self, index: int, start: int = 0) -> Tensor:
        """Segment (1, T) of an utterance, padded with zeros after its end."""
        piece = self.waveforms[index][start : start + self.config.segment_length].float() / 32768
        segment = torch.zeros(1, self.config.segment_length)
        segment[0, : len(piece)] = piece
        if self.config.crop == "start" and self.fade_length <= len(piece):
            segment[0, len(piece) - self.fade_length : len(piece)] *= torch.linspace(1, 0, self.fade_length)
        return segment


def _load(utterance: Utterance, features: LogMelConfig, mapped: Tensor | None) -> Tensor:
    """16-bit samples of a recording, from its file unless they are memory-mapped."""
    if utterance.sample_rate != features.sample_rate:
        raise UserError(
            f"{utterance.path} has {utterance.sample_rate} Hz, the recipe expects {features.sample_rate} Hz. "
            "Prepare the corpus again at the recipe's sample rate."
        )
    samples = _read(utterance) if mapped is None else mapped
    if len(samples) < features.n_fft:
        raise UserError(
            f"{utterance.path} has {len(samples)} samples, less than n_fft = {features.n_fft}. Leave it out."
        )
    return samples


def _read(utterance: Utterance) -> Tensor:
    waveform, rate = audio.read(utterance.path)
    if rate != utterance.sample_rate or len(waveform) != utterance.num_samples:
        raise UserError(
            f"{utterance.path} has {len(waveform)} samples at {rate} Hz, its manifest has {utterance.num_samples} "
            f"at {utterance.sample_rate} Hz. Prepare the corpus again."
        )
    samples = to_samples(waveform)
    if not bool(samples.any()):
        raise UserError(f"{utterance.path} is silent. Leave it out.")
    return samples


def _load_mel(utterance: Utterance, features: LogMelConfig) -> Tensor:
    """Mel (M, F) of an utterance, checked against the contract and the length of its recording."""
    mel, contract = mel_files.load_mel(utterance.mel)
    if contract is not None:
        mel_checks.refuse_difference(features, contract)
    mel = mel_checks.check_mel(mel, features, str(utterance.mel), known=contract is not None)[0]
    frames = utterance.num_samples // features.hop_length
    if mel.shape[1] not in (frames, frames + 1):
        expected = utterance.num_samples / features.hop_length
        raise UserError(
            f"{utterance.mel} has {mel.shape[1]} frames, but {utterance.path} lasts {expected:.1f}: not aligned. "
            "Predict it by teacher forcing, with the durations of the recording."
        )
    return mel
