"""A vocoder at work: mels and recordings of any length, as streams, in batches, in constant memory.

Shapes: B batch, M mel bands, F frames, T = F * hop_length samples.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.audio.chunked import ChunkedFunction
from wavegan.audio.log_mel import LogMel
from wavegan.models.generators.hifigan_cpu import quickest

CHUNK = 4096  # frames at once where nobody waits for the first: little context is computed twice


class Vocoder:
    """A generator that reads mels, its ``LogMel``, and the device that they are on."""

    def __init__(self, generator: nn.Module, log_mel: LogMel, device: torch.device):
        self.log_mel, self.device = log_mel, device
        self.features = log_mel.config
        self.left, self.right = generator.context_frames
        self.play = quickest(generator, device)

    @property
    def look_ahead_seconds(self) -> float:
        """How much of the mel after a frame its samples wait for."""
        return self.right * self.features.hop_length / self.features.sample_rate

    @property
    def delay_seconds(self) -> float:
        """How far the copy of a recording that comes in small pieces lags behind it: one frame, its mel, look-ahead."""
        frames = 1 + self.log_mel.context_frames[1] + self.right
        return frames * self.features.hop_length / self.features.sample_rate

    @torch.inference_mode()
    def run(self, mel: Tensor, first_frame: int | Tensor = 0) -> Tensor:
        """(B, M, F) -> (B, T) at once; ``first_frame`` is where the mel begins in the whole."""
        return self.play(mel.to(self.device), first_frame=first_frame)[:, 0].float().cpu()

    @torch.inference_mode()
    def analyse(self, waveform: Tensor, first_frame: int = 0) -> Tensor:
        """(B, T) -> (B, M, F) at once."""
        return self.log_mel(waveform.to(self.device)).cpu()

    def stream(self, mels: Iterable[Tensor], least: int = 1) -> Iterator[Tensor]:
        """Pieces (B, M, any F) -> waveforms (B, ...), each as soon as its look-ahead is there.

        Joined, they are what ``run`` makes of the whole. ``least`` is how many frames are worth running for.
        """
        hop = self.features.hop_length
        context = (self.left, self.right)
        return ChunkedFunction(self.run, context, gain=hop, least=least, most=max(least, CHUNK)).over(mels)

    def mels(self, waveforms: Iterable[Tensor], least: int = 1) -> Iterator[Tensor]:
        """Pieces (B, any T) -> log-mels (B, M, ...) that join to that of the whole."""
        context, hop = self.log_mel.context_frames, self.features.hop_length
        return ChunkedFunction(self.analyse, context, unit=hop, least=least, most=max(least, CHUNK)).over(waveforms)

    def copy(self, waveforms: Iterable[Tensor], least: int = 1) -> Iterator[Tensor]:
        """Pieces (B, any T) of a recording -> its mel -> speech (B, ...), as long as the recording."""
        taken = given = 0

        def whole_frames() -> Iterator[Tensor]:
            nonlocal taken
            for waveform in waveforms:
                taken += waveform.shape[-1]
                yield waveform
            if taken and self.features.padding == "same":  # floor(T / hop) frames would lose the end
                yield waveform.new_zeros(len(waveform), -taken % self.features.hop_length)

        # Frames come one by one at little cost; only for the generator is it worth to wait for several.
        mels = self.mels(whole_frames(), CHUNK if least >= CHUNK else 1)
        for speech in self.stream(mels, least):
            speech = speech[:, : taken - given]  # only the last can be too long: the others lag behind
            given += speech.shape[-1]
            yield speech

    def whole_mel(self, waveforms: Iterable[Tensor]) -> tuple[Tensor, int]:
        """What ``copy`` speaks from, (B, M, F), and the length of the recording."""
        waveform = torch.cat(list(waveforms), dim=-1)
        length = waveform.shape[-1]
        if self.features.padding == "same":
            waveform = F.pad(waveform, (0, -length % self.features.hop_length))
        return torch.cat(list(self.mels([waveform], CHUNK)), dim=-1), length

    def batch(self, mels: Sequence[Tensor], batch_size: int) -> list[Tensor]:
        """Mels (M, F) of any lengths -> waveforms (T,): what each gives alone.

        Padding would change the end of all but the longest. Instead, windows of one length are cut out of all of
        them, the last of each flush with its end; mels too short for one go with others of their own length.
        """
        hop, width = self.features.hop_length, self.left + self.right + max(4 * (self.left + self.right), 64)
        waveforms = [mel.new_empty(mel.shape[-1] * hop) for mel in mels]
        groups = defaultdict(list)
        for index, mel in enumerate(mels):
            for window in _windows(mel.shape[-1], width, self.left, self.right):
                groups[window.stop - window.start].append((index, window))
        for jobs in groups.values():
            for first in range(0, len(jobs), batch_size):
                part = jobs[first : first + batch_size]
                stacked = torch.stack([mels[index][:, w.start : w.stop] for index, w in part])
                made = self.run(stacked, torch.tensor([w.start for _, w in part]))
                for (index, w), waveform in zip(part, made, strict=True):
                    kept = waveform[(w.keep_from - w.start) * hop : (w.keep_to - w.start) * hop]
                    waveforms[index][w.keep_from * hop : w.keep_to * hop] = kept
        return waveforms


class _Window(NamedTuple):
    """Frames to run, and those of them whose samples are kept."""

    start: int
    stop: int
    keep_from: int
    keep_to: int


def _windows(frames: int, width: int, left: int, right: int) -> Iterator[_Window]:
    """Windows of ``width`` frames over a mel, each sample kept once; one shorter window over a shorter mel."""
    done = 0
    while max(done - left, 0) + width < frames:
        start = max(done - left, 0)
        yield _Window(start, start + width, done, start + width - right)
        done = start + width - right
    yield _Window(max(frames - width, 0), frames, done, frames)
