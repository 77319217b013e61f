"""The player of the vocoder task: mels and recordings of any length, as files, arrays, batches and streams, to speech.

Shapes: B batch, M mel bands, F frames, T = F * hop_length samples.
"""

from __future__ import annotations

import numbers
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from wavegan.audio.chunked import ChunkedFunction
from wavegan.core.errors import UserError
from wavegan.inference.checks import check_count
from wavegan.inference.inputs import Array, Features, Input, Inputs, check_pieces
from wavegan.inference.synthesizer import Synthesizer
from wavegan.models.generators.hifigan_cpu import quickest

CHUNK = 4096  # frames at once where latency doesn't matter: little context is computed twice


class Vocoder(Synthesizer):
    """A model that turns log-mels into speech."""

    refusal = "reads mels and can't speak out of noise; use digits-8k, or another model of the generation task"

    @property
    def look_ahead_seconds(self) -> float:
        """How much of a mel after a frame ``stream`` waits for before it gives that frame's samples."""
        return self.generator.context_frames[1] * self.features.hop_length / self.sample_rate

    @property
    def delay_seconds(self) -> float:
        """How far ``stream_copy`` lags behind a recording that comes in small pieces at the model's rate."""
        frames = 1 + self.log_mel.context_frames[1] + self.generator.context_frames[1]
        return frames * self.features.hop_length / self.sample_rate

    def vocode(
        self,
        source: str | Path | Array | Sequence[str | Path | Array],
        *,
        sample_rate: int | None = None,
        features: Features | None = None,
        convert: bool = False,
        batch_size: int = 1,
    ) -> np.ndarray | list[np.ndarray]:
        """Mel to speech, or a recording to its mel and back to speech.

        Args:
            source: a path (sound file, or .npz / .npy with a mel); an array: waveform (T,), (1, T) or (B, 1, T),
                log-mel (M, F) or (B, M, F); or a list of these, of any lengths.
            sample_rate: of a waveform given as an array, if it isn't the model's; it is resampled.
            features: the contract that a given mel was made with, or the name of its convention ("hifigan", ...). It is
                compared with the model's.
            convert: make a mel of other ``features`` into the model's, where that can be done.
            batch_size: how many of a list to vocode at once; each sounds as it does alone.

        Returns:
            float32 waveform (T,), or (B, T) for a batched array, or a list for a list. A recording keeps its
            length; a mel of F frames gives F * hop_length samples.

        Raises:
            UserError: a file that can't be read, or a mel that doesn't fit the model, with the difference.
        """
        batch_size, inputs = (
            check_count("batch_size", batch_size),
            Inputs(self.features, sample_rate, features, convert),
        )
        if not isinstance(source, (list, tuple)) or any(isinstance(x, (numbers.Number, list, tuple)) for x in source):
            return self._vocode(inputs.open(source))  # lists of numbers are arrays
        opened = map(inputs.open, source)
        return list(map(self._vocode, opened)) if batch_size == 1 else self._vocode_batch(opened, batch_size)

    def stream(
        self, mels: Iterable[Array], *, features: Features | None = None, convert: bool = False, frames: int = 1
    ) -> Iterator[np.ndarray]:
        """Speech from a mel that comes in pieces: each sample as soon as no later frame can change it.

        Joined, the pieces are what ``vocode`` makes of the whole mel. The first comes ``look_ahead_seconds`` after the
        first frame. Every run of the generator computes the context beside the new frames, too.

        Args:
            mels: log-mels (M, any F), one after the other.
            features, convert: as for ``vocode``.
            frames: how many new ones to wait for before the generator runs. More cost less, and the first of them waits
                for (frames - 1) * hop_length samples more.

        Yields:
            float32 waveforms (T,).

        Raises:
            UserError: a piece that isn't such a mel.
        """
        inputs = Inputs(self.features, features=features, convert=convert)
        pieces = inputs.mels(check_pieces(mels, "mels"))
        return (speech[0].numpy() for speech in self._stream(pieces, check_count("frames", frames)))

    def stream_copy(
        self, source: str | Path | Iterable[Array], *, sample_rate: int | None = None, frames: int = 1
    ) -> Iterator[np.ndarray]:
        """A recording to its mel and back to speech, in constant memory, however long.

        Args:
            source: a sound file; or waveforms (T,), one after the other, of any lengths: then speech comes with a delay
                of ``delay_seconds``, and a bit more where it is resampled.
            sample_rate: of the waveforms, if it isn't the model's.
            frames: of such waveforms, as for ``stream``.

        Yields:
            float32 waveforms (T,), together as long as the recording: what ``vocode`` makes of the whole.

        Raises:
            UserError: a file that can't be read, or a piece that isn't a waveform.
        """
        inputs, least = Inputs(self.features, sample_rate), check_count("frames", frames)
        if isinstance(source, (str, Path)):
            if least > 1:
                raise UserError(f"{source} is a file: frames is for input that comes in pieces, leave it out.")
            pieces, least = inputs.file(source), CHUNK
        else:
            pieces = inputs.waveforms(check_pieces(source, "waveforms"))
        return (speech[0].numpy() for speech in self._copy((piece[None] for piece in pieces), least))

    @cached_property
    def _play(self) -> Callable[..., Tensor]:
        return quickest(self.generator, self.device)

    @torch.inference_mode()
    def _speak(self, mel: Tensor, first_frame: int | Tensor = 0) -> Tensor:
        """(B, M, F) -> (B, T) at once; ``first_frame`` is the mel's position in the whole."""
        return self._play(mel.to(self.device), first_frame=first_frame)[:, 0].float().cpu()

    @torch.inference_mode()
    def _analyse(self, waveform: Tensor, first_frame: int = 0) -> Tensor:
        """(B, T) -> (B, M, F) at once."""
        return self.log_mel(waveform.to(self.device)).cpu()

    def _stream(self, mels: Iterable[Tensor], least: int = 1) -> Iterator[Tensor]:
        """Pieces (B, M, any F) -> waveforms (B, ...), each as soon as its look-ahead is there.

        Joined, they are the waveform of the whole. ``least``: new frames to wait for before each run.
        """
        hop, context = self.features.hop_length, self.generator.context_frames
        return ChunkedFunction(self._speak, context, gain=hop, least=least, most=max(least, CHUNK)).over(mels)

    def _mels(self, waveforms: Iterable[Tensor], least: int = 1) -> Iterator[Tensor]:
        """Pieces (B, any T) -> log-mels (B, M, ...); joined, they are that of the whole."""
        hop, context = self.features.hop_length, self.log_mel.context_frames
        return ChunkedFunction(self._analyse, context, unit=hop, least=least, most=max(least, CHUNK)).over(waveforms)

    def _copy(self, waveforms: Iterable[Tensor], least: int = 1) -> Iterator[Tensor]:
        """Pieces (B, any T) of a recording -> its mel -> speech (B, ...), as long as the recording."""
        taken = given = 0

        def whole_frames() -> Iterator[Tensor]:
            nonlocal taken
            for waveform in waveforms:
                taken += waveform.shape[-1]
                yield waveform
            if taken and self.features.padding == "same":  # floor(T / hop) frames would lose the end
                yield waveform.new_zeros(len(waveform), -taken % self.features.hop_length)

        # Analysing single frames is cheap; only the generator is worth running on several at once.
        mels = self._mels(whole_frames(), CHUNK if least >= CHUNK else 1)
        for speech in self._stream(mels, least):
            speech = speech[:, : taken - given]  # only the last can be too long: the others lag behind
            given += speech.shape[-1]
            yield speech

    def _whole(self, item: Input) -> tuple[Tensor, int | None]:
        """The mel (B, M, F), and the length of its recording if it has one."""
        if item.mel is not None:
            return item.mel, None
        waveform = torch.cat(list(item.recording), dim=-1)
        length = waveform.shape[-1]
        if self.features.padding == "same":
            waveform = F.pad(waveform, (0, -length % self.features.hop_length))
        return torch.cat(list(self._mels([waveform], CHUNK)), dim=-1), length

    def _vocode(self, item: Input) -> np.ndarray:
        pieces = self._stream([item.mel], CHUNK) if item.recording is None else self._copy(item.recording, CHUNK)
        waveform = torch.cat(list(pieces), dim=-1)
        return (waveform[0] if item.single else waveform).numpy()

    def _vocode_batch(self, items: Iterable[Input], batch_size: int) -> list[np.ndarray]:
        mels, lengths, shapes = [], [], []
        for item in items:
            mel, length = self._whole(item)
            mels += mel
            lengths += [length] * len(mel)
            shapes.append((len(mel), item.single))
        made = self._batch(mels, batch_size)
        waveforms = iter([waveform[:length].numpy() for waveform, length in zip(made, lengths, strict=True)])
        return [next(waveforms) if single else np.stack([next(waveforms) for _ in range(n)]) for n, single in shapes]

    def _batch(self, mels: Sequence[Tensor], batch_size: int) -> list[Tensor]:
        """Mels (M, F) of any lengths -> waveforms (T,), each as it would be alone.

        Padding would change the end of all but the longest. Instead, windows of one length are cut out of all of
        them, the last of each flush with its end; mels shorter than a window are batched with others of their length.
        """
        (left, right), hop = self.generator.context_frames, self.features.hop_length
        width = left + right + max(4 * (left + right), 64)
        waveforms = [mel.new_empty(mel.shape[-1] * hop) for mel in mels]
        groups = defaultdict(list)
        for index, mel in enumerate(mels):
            for start, stop, *kept in _windows(mel.shape[-1], width, left, right):
                groups[stop - start].append((index, start, *kept))
        for length, jobs in groups.items():
            for first in range(0, len(jobs), batch_size):
                part = jobs[first : first + batch_size]
                stacked = torch.stack([mels[index][:, start : start + length] for index, start, *_ in part])
                made = self._speak(stacked, torch.tensor([start for _, start, *_ in part]))
                for (index, start, begin, end), waveform in zip(part, made, strict=True):
                    waveforms[index][begin * hop : end * hop] = waveform[(begin - start) * hop : (end - start) * hop]
        return waveforms


def _windows(frames: int, width: int, left: int, right: int) -> Iterator[tuple[int, int, int, int]]:
    """Windows of ``width`` frames over a mel, one shorter window over a shorter mel: (start, stop, begin, end).

    The samples of frames begin to end are kept, each once.
    """
    done = 0
    while max(done - left, 0) + width < frames:
        start = max(done - left, 0)
        yield start, start + width, done, start + width - right
        done = start + width - right
    yield max(frames - width, 0), frames, done, frames
