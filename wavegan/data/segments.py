"""Batches of segments, drawn statelessly: step N of a run is the same batch whenever and wherever it is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import torch
from pydantic import Field, field_validator
from torch import Tensor

from wavegan import audio
from wavegan.audio import mel_files
from wavegan.audio.log_mel import LogMelConfig
from wavegan.core.config import Config
from wavegan.core.errors import UserError
from wavegan.data.manifest import Utterance
from wavegan.data.memory_map import to_samples


class Batch(NamedTuple):
    """``waveform`` (B, 1, T) float32; ``label`` (B, V) int64, one column a condition, or None; ``mel`` (B, M, F), where
    the manifest gives mels.
    """

    waveform: Tensor
    label: Tensor | None
    mel: Tensor | None = None


class DataConfig(Config):
    """Manifests and how segments are cut from them. ``global_batch_size``: segments a step, of all processes together.
    ``gain_db``: range of a random gain in decibels.

    ``crop``: "random" takes any place of a clip, clips as often as they are long; "start" takes whole clips from
    their first sample, each as often.
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
    ``samples``: those of all utterances, one after the other, where they are mapped (wavegan/mapped.py).

    Where the manifest gives mels, segments begin on their frames.

    Raises:
        UserError: one report of all recordings that are missing, unreadable, silent, shorter than n_fft, or not what
            their manifest says, and of all mels that aren't those of their recording.
    """

    FADE_SECONDS = 0.01  # where a clip ends before its segment does, so that no click has to be learned

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
            raise UserError("data.gain_db must be [0, 0] where the manifest gives mels: they have the level they have.")
        mapped = [None] * len(utterances) if samples is None else samples.split([u.num_samples for u in utterances])
        for utterance, own in zip(utterances, mapped, strict=True):
            try:
                self.waveforms.append(_load(utterance, features, own))
                if utterance.mel:
                    self.mels.append(_load_mel(utterance, features))
            except UserError as error:
                faults.append(str(error))
        if not faults and self.mels and len(self.mels) < len(utterances):
            without = next(utterance.id for utterance in utterances if not utterance.mel)
            faults.append(f"'{without}' has no mel, others have: give all utterances one, or none.")
        if faults:
            shown = "\n  ".join(faults[:20] + ([f"and {len(faults) - 20} more"] if len(faults) > 20 else []))
            raise UserError(f"{len(faults)} of {len(utterances)} recordings can't be used:\n  {shown}")
        # A clip is as likely as it is long: each second of the corpus is heard equally often.
        lengths = np.array([len(w) if config.crop == "random" else 1 for w in self.waveforms], dtype=np.float64)
        self.cumulative = np.cumsum(lengths / lengths.sum())

    def batch(self, step: int, part: int = 0, parts: int = 1) -> Batch:
        """The batch of a step, or one of its equal parts: of a process, or of one of its accumulated passes."""
        size = self.config.global_batch_size // parts
        own = range(part * size, (part + 1) * size)
        places, segments = zip(*(self.segment(step, i) for i in own), strict=True)
        indices = [index for index, _ in places]
        mels = torch.stack([self.mel(*place) for place in places]) if self.mels else None
        return Batch(torch.stack(segments), None if self.labels is None else self.labels[indices], mels)

    def segment(self, step: int, i: int) -> tuple[tuple[int, int], Tensor]:
        """Segment i of a step: (utterance, first sample) and samples (1, T); they depend on (seed, step, i) alone."""
        random = np.random.default_rng((self.seed, step, i))
        index = min(int(np.searchsorted(self.cumulative, random.random(), side="right")), len(self.waveforms) - 1)
        last = max(len(self.waveforms[index]) - self.config.segment_length, 0)
        start = int(random.integers(last + 1)) if self.config.crop == "random" else 0
        start -= start % self.hop_length if self.mels else 0
        gain = 10 ** (random.uniform(*self.config.gain_db) / 20)
        return (index, start), (self.clip(index, start) * gain).clamp(-1, 1)

    def mel(self, index: int, start: int) -> Tensor:
        """The frames (M, F) of a segment of an utterance; after its end, the last one again."""
        frames = torch.arange(self.config.segment_length // self.hop_length) + start // self.hop_length
        return self.mels[index][:, frames.clamp(max=self.mels[index].shape[1] - 1)]

    def clip(self, index: int, start: int = 0) -> Tensor:
        """One segment of an utterance, (1, T), zeros after its end."""
        piece = self.waveforms[index][start : start + self.config.segment_length].float() / 32768
        segment = torch.zeros(1, self.config.segment_length)
        segment[0, : len(piece)] = piece
        if self.config.crop == "start" and self.fade_length <= len(piece):
            segment[0, len(piece) - self.fade_length : len(piece)] *= torch.linspace(1, 0, self.fade_length)
        return segment


def _load(utterance: Utterance, features: LogMelConfig, mapped: Tensor | None) -> Tensor:
    """16-bit samples of one recording: read, or those that are mapped."""
    if utterance.sample_rate != features.sample_rate:
        raise UserError(
            f"{utterance.path} is at {utterance.sample_rate} Hz, the recipe wants {features.sample_rate} Hz. "
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
            f"{utterance.path} has {len(waveform)} samples at {rate} Hz, its manifest says {utterance.num_samples} "
            f"at {utterance.sample_rate} Hz. Prepare the corpus again."
        )
    samples = to_samples(waveform)
    if not bool(samples.any()):
        raise UserError(f"{utterance.path} is silent. Leave it out.")
    return samples


def _load_mel(utterance: Utterance, features: LogMelConfig) -> Tensor:
    """The mel (M, F) that a manifest gives, checked against the contract and the length of its recording."""
    mel, found = mel_files.load_mel(utterance.mel)
    if found is not None:
        mel_files.refuse_difference(features, found)
    mel = mel_files.check_mel(mel, features, str(utterance.mel), known=found is not None)[0]
    frames = utterance.num_samples // features.hop_length
    if mel.shape[1] not in (frames, frames + 1):
        expected = utterance.num_samples / features.hop_length
        raise UserError(
            f"{utterance.mel} has {mel.shape[1]} frames, but {utterance.path} lasts {expected:.1f}: not aligned. "
            "Make it by forced alignment (teacher forcing), with the recording's own durations."
        )
    return mel
