"""Input of a model: files, arrays of any library, mels and waveforms, distinguished and checked.

Shapes: B batch, M mel bands, F frames, T samples.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from wavegan import audio
from wavegan.audio import mel_conventions
from wavegan.audio.log_mel import LogMelConfig
from wavegan.audio.mel_checks import LEAST_FRAMES, check_mel, refuse_difference
from wavegan.audio.mel_files import as_tensor, load_mel
from wavegan.audio.resample import resample, resample_stream
from wavegan.core.errors import UserError
from wavegan.inference.checks import check_rate

MEL_SUFFIXES = (".npz", ".npy")
Array = np.ndarray | Tensor
Features = LogMelConfig | Mapping | str  # a contract, its fields, or the name of a convention


class Input(NamedTuple):
    """A mel (B, M, F), or a recording in pieces (B, any T)."""

    mel: Tensor | None
    recording: Iterable[Tensor] | None
    single: bool  # no batch dimension was given


class Inputs:
    """Reader for a model of the contract ``wanted``; the other arguments are those of ``Vocoder.vocode``."""

    def __init__(
        self,
        wanted: LogMelConfig,
        sample_rate: int | None = None,
        features: Features | None = None,
        convert: bool = False,
    ):
        self.wanted, self.convert = wanted, convert
        self.features = None if features is None else mel_conventions.parse(features)
        self.given_rate = sample_rate
        self.sample_rate = wanted.sample_rate if sample_rate is None else check_rate(sample_rate)

    def open(self, source: object) -> Input:
        """A file, a waveform or a mel.

        Raises:
            UserError: unreadable, none of these, not what the model reads, or with options that don't apply to it.
        """
        if isinstance(source, (str, Path)) and Path(source).suffix.lower() not in MEL_SUFFIXES:
            self._refuse_features(str(source))
            return Input(None, (block[None] for block in self.file(source)), True)
        name, array, features = self._array(source)
        if array.dim() == 1 or (array.dim() in (2, 3) and array.shape[-2] == 1 and self.wanted.n_mels > 1):
            self._refuse_features("the waveform")
            waveform = self._resampled(array)
            return Input(None, [torch.atleast_2d(waveform)], waveform.dim() == 1)
        if array.dim() == 2 and min(array.shape) <= 8 < 1000 < max(array.shape) and self.wanted.n_mels > 8:
            raise UserError(f"{name} looks like a waveform of {min(array.shape)} channels; mix it to one, shape (T,).")
        if self.given_rate is not None:
            raise UserError(f"sample_rate is that of a waveform, and {name} is none: leave it out.")
        return Input(self._fitting(array, features, name, known=features is not None), None, array.dim() == 2)

    def file(self, path: str | Path) -> Iterator[Tensor]:
        """A sound file -> blocks (any T,), at the model's rate."""
        if self.given_rate is not None:
            raise UserError(f"{path} has a sample_rate in its header: leave it out.")
        return audio.stream(path, self.wanted.sample_rate)[0]

    def waveform(self, source: object) -> Tensor:
        """A sound file, or a waveform (T,), (B, T) or (B, 1, T), at once -> (T,) or (B, T), at the model's rate."""
        if isinstance(source, (str, Path)):
            return torch.cat(list(self.file(source)))
        return self._resampled(as_tensor(source, "the waveform"))

    def mels(self, pieces: Iterable[object]) -> Iterator[Tensor]:
        """Pieces (M, any F) or (1, M, any F) of one mel -> (1, M, any F)."""
        # Without a contract, statistics of the first frames show whether the mel fits.
        start = torch.empty(1, self.wanted.n_mels, 0) if self.features is None else None
        for index, piece in enumerate(pieces):
            name = f"piece {index} of the mel"
            mel = as_tensor(piece, name)
            if mel.dim() == 3 and len(mel) != 1:
                raise UserError(f"{name} is a batch of {len(mel)}; a stream is one mel.")
            if mel.dim() not in (2, 3) or mel.shape[-1] > 0:  # a piece may be empty, a mel may not
                mel = self._fitting(mel, self.features, name, known=True)
                if start is not None:
                    start = torch.cat([start, mel], dim=-1)
                    check_mel(start, self.wanted, "the mel of the stream")
                    start = start if start.shape[-1] < LEAST_FRAMES else None
                yield mel

    def waveforms(self, pieces: Iterable[object]) -> Iterator[Tensor]:
        """Pieces (any T,) of one recording -> (any T,), at the model's rate."""
        tensors = (_check_piece(piece, f"piece {index} of the recording") for index, piece in enumerate(pieces))
        if self.sample_rate == self.wanted.sample_rate:
            return tensors
        return resample_stream(tensors, self.sample_rate, self.wanted.sample_rate, block_seconds=0)

    def _array(self, source: object) -> tuple[str, Tensor, LogMelConfig | None]:
        """An array or an array file: its name in messages, its values, and the contract if it is a mel's."""
        if not isinstance(source, (str, Path)):
            return "the mel", as_tensor(source, "the mel"), self.features
        array, contract = load_mel(Path(source))
        if contract is not None and self.features is not None and contract.diff(self.features):
            raise UserError(f"{source} carries its contract, which differs from features: leave them out.")
        if array.dim() < 2:
            raise UserError(f"{source} holds an array of shape {tuple(array.shape)}; a mel is (bands, frames).")
        return str(source), array, contract or self.features

    def _resampled(self, waveform: Tensor) -> Tensor:
        return resample(check_waveform(waveform), self.sample_rate, self.wanted.sample_rate)

    def _refuse_features(self, name: str) -> None:
        if self.features is not None or self.convert:
            raise UserError(f"features and convert are for mels, and {name} is a recording: leave them out.")

    def _fitting(self, mel: Tensor, features: LogMelConfig | None, name: str, known: bool) -> Tensor:
        """A mel as the model reads it, (B, M, F), after all checks."""
        if features is None:
            if self.convert:
                names = ", ".join(mel_conventions.CONVENTIONS)
                raise UserError(f"To convert {name}, give the contract it was made with: features=, one of {names}.")
            return check_mel(mel, self.wanted, name, known)
        if not self.convert:
            refuse_difference(self.wanted, features)
        return mel_conventions.convert(check_mel(mel, features, name, known), features, self.wanted)


def check_pieces(pieces: object, name: str) -> Iterable:
    """Return the pieces of a stream; raises a UserError for a single array or path."""
    if isinstance(pieces, (str, bytes, Path, np.ndarray, Tensor)) or not isinstance(pieces, Iterable):
        raise UserError(f"A stream takes {name} from a list or a generator, piece by piece; vocode takes a whole one.")
    return pieces


def check_waveform(waveform: Tensor, name: str = "The waveform") -> Tensor:
    """(T,), (B, T) or (B, 1, T) -> float32 (T,) or (B, T).

    Raises:
        UserError: another shape, complex, integers, empty, not finite, or far beyond full scale.
    """
    if waveform.is_complex():
        raise UserError(f"{name} is complex; give its real samples.")
    if not waveform.is_floating_point():
        raise UserError(f"{name} holds integers; divide it by its full scale (32768 for 16 bits) first.")
    if waveform.dim() == 3 and waveform.shape[1] == 1:
        waveform = waveform.squeeze(1)
    if waveform.dim() not in (1, 2):
        raise UserError(f"{name} should be (T,), (B, T) or (B, 1, T), got shape {tuple(waveform.shape)}.")
    if waveform.numel() == 0:
        raise UserError(f"{name} has no samples.")
    return audio.check_samples(waveform, name)


def _check_piece(piece: object, name: str) -> Tensor:
    tensor = as_tensor(piece, name)
    if tensor.dim() != 1:
        raise UserError(f"{name} should have the shape (T,), got {tuple(tensor.shape)}.")
    return check_waveform(tensor, name) if len(tensor) else tensor.float()
