"""Synthesizer: a checkpoint that speaks, in Python, on the command line and in the demo."""

from __future__ import annotations

import numbers
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal, overload

import numpy as np
import torch
from torch import Tensor, nn

from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.checkpoints import hub
from wavegan.checkpoints.hub import find_checkpoint, list_pretrained
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError
from wavegan.inference.generation import Speaker, check_count
from wavegan.inference.inputs import MEL_SUFFIXES, Features, Input, Inputs, several
from wavegan.inference.vocoder import CHUNK, Vocoder

__all__ = ["MEL_SUFFIXES", "Synthesizer", "find_checkpoint", "list_pretrained"]

Array = np.ndarray | Tensor
BACKENDS = ("torch", "onnxruntime")


class Synthesizer:
    """A trained generator and the contract of what it reads.

    >>> speaker = Synthesizer.from_pretrained("digits-8k")
    >>> waveform = speaker.digits("8675309", seed=1)
    >>> vocoder = Synthesizer.from_pretrained("vocoder-16k")
    >>> waveform = vocoder.vocode("speech.wav")  # numpy float32 (T,) at vocoder.sample_rate
    >>> for piece in vocoder.stream(mels_as_they_come):  # each (M, any F); piece is (T,)
    ...     play(piece)
    """

    def __init__(self, generator: nn.Module, contents: CheckpointConfig, device: str | torch.device = "cpu"):
        self.device = torch.device(device)
        self.generator = generator.to(self.device).eval()
        self.config = contents
        self.log_mel = LogMel(self.features).to(self.device)

    @classmethod
    def from_pretrained(
        cls,
        name_or_folder: str | Path,
        device: str | torch.device = "cpu",
        backend: Literal["torch", "onnxruntime"] | str | Path = "torch",
    ) -> Synthesizer:
        """Load an embedded model by name, a checkpoint folder, another project's checkpoint, or USER/REPOSITORY or
        USER/REPOSITORY@REVISION of the Hugging Face Hub.

        ``backend``: what runs the generator; onnxruntime, on the CPU, is faster for some (``wavegan bench``). It
        exports first, which takes seconds: give the .onnx that ``wavegan export`` made of the model instead.

        Raises:
            UserError: no such model, device or backend; or a checkpoint that is damaged, incomplete or of another
                format.
        """
        if not isinstance(name_or_folder, (str, Path)):
            raise UserError(f"A model is named by a name or a path, got {type(name_or_folder).__name__}.")
        device, exported = _check_device(device), str(backend).lower().endswith(".onnx")
        if (backend not in BACKENDS and not exported) or (backend != "torch" and device.type != "cpu"):
            known = f"{', '.join(BACKENDS)} or an exported .onnx, these two on the CPU"
            raise UserError(f"backend should be one of {known}; got '{backend}' on {device}.")
        generator, contents = hub.load(name_or_folder)
        if backend != "torch":
            from wavegan.inference import onnx_export, onnx_runtime  # which itself needs this module

            if exported:
                session = onnx_runtime.open_exported(Path(backend), contents)
            else:
                session = onnx_runtime.load(onnx_export.generator_model(generator, contents))
            generator = onnx_runtime.OnnxGenerator(generator, session)
        return cls(generator, contents, device)

    @property
    def features(self) -> LogMelConfig:
        """The feature contract: which mels this model reads."""
        return self.config.task.features

    @property
    def sample_rate(self) -> int:
        return self.features.sample_rate

    @property
    def look_ahead_seconds(self) -> float:
        """How much of a mel after a frame ``stream`` waits for before it gives that frame's samples."""
        return self._vocoder.look_ahead_seconds

    @property
    def delay_seconds(self) -> float:
        """How far ``stream_copy`` lags behind a recording that comes in small pieces at the model's rate."""
        return self._vocoder.delay_seconds

    @cached_property
    def _vocoder(self) -> Vocoder:
        if self.config.task.name != "vocoder":
            raise UserError(f"'{self.config.name}' speaks out of noise and can't copy speech; use vocoder-16k.")
        return Vocoder(self.generator, self.log_mel, self.device)

    @overload
    def vocode(self, source: str | Path | Array, **options) -> np.ndarray: ...  # noqa: ANN003
    @overload
    def vocode(self, source: Sequence[str | Path | Array], **options) -> list[np.ndarray]: ...  # noqa: ANN003

    def vocode(  # noqa: ANN201
        self,
        source,  # noqa: ANN001
        *,
        sample_rate: int | None = None,
        features: Features | None = None,
        convert: bool = False,
        batch_size: int = 1,
    ):
        """Mel to speech, or a recording to its mel and back to speech.

        Args:
            source: a path (sound file, or .npz / .npy with a mel); an array: waveform (T,), (1, T) or (B, 1, T),
                log-mel (M, F) or (B, M, F); or a list of these, of any lengths.
            sample_rate: of a waveform given as an array, if it isn't the model's; it is resampled.
            features: the contract that a given mel was made with, or the name of its convention ("hifigan", ...). It is
                compared with the model's.
            convert: make a mel of other ``features`` into the model's, where that can be done.
            batch_size: how many of a list to speak at once; each sounds as it does alone.

        Returns:
            float32 waveform (T,), or (B, T) for a batched array, or a list for a list. A recording keeps its
            length; a mel of F frames gives F * hop_length samples.

        Raises:
            UserError: a file that can't be read, or a mel that doesn't fit the model, with the difference.
        """
        batch_size = check_count("batch_size", batch_size)
        vocoder, inputs = self._vocoder, Inputs(self.features, sample_rate, features, convert)
        if not isinstance(source, (list, tuple)) or any(isinstance(x, (numbers.Number, list, tuple)) for x in source):
            return _joined(vocoder, inputs.open(source))  # lists of numbers are arrays
        opened = map(inputs.open, source)
        return [_joined(vocoder, item) for item in opened] if batch_size == 1 else _batch(vocoder, opened, batch_size)

    def stream(
        self, mels: Iterable[Array], *, features: Features | None = None, convert: bool = False, frames: int = 1
    ) -> Iterator[np.ndarray]:
        """Speech of a mel that comes in pieces: each sample as soon as no frame to come can change it.

        Joined, the pieces are what ``vocode`` makes of the whole mel. The first comes ``look_ahead_seconds`` after the
        first frame. Every run of the generator costs the context beside the new frames, too.

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
        spoken = self._vocoder.stream(inputs.mels(several(mels, "mels")), check_count("frames", frames))
        return (speech[0].numpy() for speech in spoken)

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
                raise UserError(f"{source} is a file: frames is for what comes piece by piece, leave it out.")
            pieces, least = inputs.file(source), CHUNK
        else:
            pieces = inputs.waveforms(several(source, "waveforms"))
        return (speech[0].numpy() for speech in self._vocoder.copy((piece[None] for piece in pieces), least))

    def mel(self, source: str | Path | Array, *, sample_rate: int | None = None) -> Tensor:
        """The log-mel (M, F) or (B, M, F) that this model reads, of a sound file or a waveform.

        ``sample_rate``: of a waveform given as an array, if it isn't the model's.
        """
        waveform = Inputs(self.features, sample_rate).waveform(source)
        with torch.no_grad():  # not inference_mode: a mel may be trained on
            mel = self.log_mel(torch.atleast_2d(waveform).to(self.device)).cpu()
        return mel[0] if waveform.dim() == 1 else mel

    @cached_property
    def _speaker(self) -> Speaker:
        return Speaker(self.generator, self.config, self.device)

    def latent(self, count: int, seed: int = 0) -> Tensor:
        """``count`` latents (count, Z) of a generation model, the same for the same seed on every machine.

        Raises:
            UserError: not a generation model, or a seed outside 0 to 2**32 - 1.
        """
        return self._speaker.latent(count, seed)

    def speaker(self, seed: int = 0) -> str | None:
        """The speaker that a seed draws for a single clip or number; None for a model without speakers."""
        return self._speaker.speaker(seed)

    def generate(
        self,
        labels: Sequence[str] | int,
        *,
        speaker: str | Sequence[str] | None = None,
        seed: int = 0,
        truncation: float = 1.0,
        z: Array | None = None,
    ) -> np.ndarray:
        """One clip a label, out of noise.

        Args:
            labels: from the model's vocabulary, ``self.config.task.conditions["label"]``; for an unconditional model,
                how many clips.
            speaker: one for all, or one for each; None draws one for each by the seed.
            seed: which latents are drawn.
            truncation: what latents are multiplied by: 1 is full variety, 0 the most typical take.
            z: latents (N, Z) to use instead of drawn ones, such as those of ``latent`` or between two of them.

        Returns:
            float32 waveforms (N, T) in [-1, 1] at ``self.sample_rate``.

        Raises:
            UserError: a label or speaker that the model doesn't know (says which it does), or an option out of range.
        """
        return self._speaker.generate(labels, speaker, seed, truncation, z)

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
        """A spoken number, digit by digit, by one voice: "8675309", [8, 6, 7], ...

        Args:
            gap: seconds of silence between digits; the other options are those of ``generate``.

        Returns:
            float32 waveform (T,).

        Raises:
            UserError: something that isn't a digit, nothing at all, or as ``generate``.
        """
        return self._speaker.digits(digits, speaker, seed, truncation, gap, z)


def _check_device(device: str | torch.device) -> torch.device:
    try:
        torch.empty(1, device=device).cpu()
        return torch.device(device)
    except Exception as error:  # no such name, no driver, not compiled for it: each its own
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        known = "cpu, or an accelerator that this machine has, such as cuda, cuda:1 or mps"
        raise UserError(f"device should be {known}; got '{device}' ({reason}).") from None


def _joined(vocoder: Vocoder, item: Input) -> np.ndarray:
    pieces = vocoder.copy(item.recording, CHUNK) if item.mel is None else vocoder.stream([item.mel], CHUNK)
    waveform = torch.cat(list(pieces), dim=-1)
    return (waveform[0] if item.single else waveform).numpy()


def _batch(vocoder: Vocoder, items: Iterable[Input], batch_size: int) -> list[np.ndarray]:
    mels, lengths, shapes = [], [], []
    for item in items:
        mel, length = (item.mel, None) if item.recording is None else vocoder.whole_mel(item.recording)
        mels += mel
        lengths += [length] * len(mel)
        shapes.append((len(mel), item.single))
    waveforms = iter([w[:n].numpy() for w, n in zip(vocoder.batch(mels, batch_size), lengths, strict=True)])
    return [next(waveforms) if single else np.stack([next(waveforms) for _ in range(n)]) for n, single in shapes]
