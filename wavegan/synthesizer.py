"""Synthesizer: a checkpoint that speaks, in Python, on the command line and in the demo."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from pathlib import Path
from typing import overload

import numpy as np
import torch
from torch import Tensor, nn

from wavegan import audio, checkpoint, config, contract
from wavegan.checkpoint import CheckpointConfig
from wavegan.dsp import LogMel, LogMelConfig
from wavegan.errors import UserError
from wavegan.tasks import GenerationConfig

PRETRAINED = Path(__file__).parent / "pretrained"
MEL_SUFFIXES = (".npz", ".npy")
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
Array = np.ndarray | Tensor


def list_pretrained() -> list[str]:
    """Names of the models inside the package."""
    return sorted(path.parent.name for path in PRETRAINED.glob(f"*/{checkpoint.CONFIG}"))


def find_checkpoint(name_or_folder: str | Path) -> Path:
    """The folder of an embedded model, by name, or of a checkpoint, by path.

    Raises:
        UserError: neither.
    """
    if str(name_or_folder) in list_pretrained():
        return PRETRAINED / str(name_or_folder)
    if not Path(name_or_folder).is_dir():
        known = ", ".join(list_pretrained())
        raise UserError(f"No model or checkpoint folder '{name_or_folder}'. Models in the package: {known}.")
    return Path(name_or_folder)


class Synthesizer:
    """A trained generator and the contract of what it reads.

    >>> speaker = Synthesizer.from_pretrained("digits-8k")
    >>> waveform = speaker.digits("8675309", seed=1)
    >>> vocoder = Synthesizer.from_pretrained("vocoder-16k")
    >>> waveform = vocoder.vocode("speech.wav")  # numpy float32 (T,) at vocoder.sample_rate
    """

    CHUNK = 4096  # frames at once: memory stays flat however long the input is

    def __init__(self, generator: nn.Module, contents: CheckpointConfig, device: str | torch.device = "cpu"):
        self.device = torch.device(device)
        self.generator = generator.to(self.device).eval()
        self.config = contents
        self.log_mel = LogMel(self.features).to(self.device)

    @classmethod
    def from_pretrained(cls, name_or_folder: str | Path, device: str | torch.device = "cpu") -> Synthesizer:
        """Load an embedded model by name, or a checkpoint folder.

        Raises:
            UserError: no such model, or a checkpoint that is damaged, incomplete or of another format.
        """
        return cls(*checkpoint.load_generator(find_checkpoint(name_or_folder)), device=device)

    @property
    def features(self) -> LogMelConfig:
        """The feature contract: which mels this model reads."""
        return self.config.task.features

    @property
    def sample_rate(self) -> int:
        return self.features.sample_rate

    @overload
    def vocode(self, source: str | Path | Array, **options) -> np.ndarray: ...  # noqa: ANN003
    @overload
    def vocode(self, source: Sequence[str | Path | Array], **options) -> list[np.ndarray]: ...  # noqa: ANN003

    def vocode(self, source, *, sample_rate: int | None = None, features: LogMelConfig | dict | None = None):  # noqa: ANN001, ANN201
        """Mel to speech, or a recording to its mel and back to speech.

        Args:
            source: a path (sound file, or .npz / .npy with a mel); an array: waveform (T,), (1, T) or (B, 1, T),
                log-mel (M, F) or (B, M, F); or a list of these, of any lengths.
            sample_rate: of a waveform given as an array, if it isn't the model's; it is resampled.
            features: the contract that a given mel was made with, compared with the model's.

        Returns:
            float32 waveform (T,), or (B, T) for a batched array, or a list for a list. A recording keeps its
            length; a mel of F frames gives F * hop_length samples.

        Raises:
            UserError: a file that can't be read, or a mel that doesn't fit the model, with the difference.
        """
        if self.config.task.name != "vocoder":
            raise UserError(f"'{self.config.name}' speaks out of noise and can't copy speech; use vocoder-16k.")
        if isinstance(source, (list, tuple)):
            return [self.vocode(item, sample_rate=sample_rate, features=features) for item in source]
        if features is not None and not isinstance(features, LogMelConfig):
            features = config.parse(LogMelConfig, features, "features")
        name = "the mel"
        if isinstance(source, (str, Path)):
            name = str(source)
            if Path(source).suffix.lower() in MEL_SUFFIXES:
                source, found = contract.load_mel(Path(source))
                features = found or features
            else:
                source, sample_rate = audio.read(source, self.sample_rate)[0], None
        array = torch.as_tensor(source)
        if name.endswith(MEL_SUFFIXES) and array.dim() < 2:
            raise UserError(f"{name} holds an array of shape {tuple(array.shape)}; a mel is (bands, frames).")
        if array.dim() == 1 or (array.dim() in (2, 3) and array.shape[-2] == 1 and self.features.n_mels > 1):
            waveform = self._check_waveform(array)
            if sample_rate is not None and (sample_rate != int(sample_rate) or sample_rate < 1):
                raise UserError(f"sample_rate should be a whole number of samples a second, got {sample_rate}.")
            return self._copy(audio.resample(waveform, int(sample_rate or self.sample_rate), self.sample_rate))
        if features is not None:
            contract.refuse_difference(self.features, features)
        if array.dim() == 2 and array.shape[0] <= 8 < 1000 < array.shape[1] and self.features.n_mels > 8:
            raise UserError(f"{name} looks like a waveform of {array.shape[0]} channels; mix it to one, shape (T,).")
        return self._squeeze(self._generate(contract.check_mel(array, self.features, name)), array.dim() == 2)

    def mel(self, source: str | Path | Array) -> Tensor:
        """The log-mel (M, F) or (B, M, F) that this model reads, of a sound file or a waveform at its rate."""
        if isinstance(source, (str, Path)):
            source = audio.read(source, self.sample_rate)[0]
        waveform = self._check_waveform(torch.as_tensor(source))
        mel = self._analyse(waveform)
        return mel[0] if waveform.dim() == 1 else mel

    @torch.inference_mode()
    def _analyse(self, waveform: Tensor) -> Tensor:
        """(T,) or (B, T) -> (B, M, F)."""
        return self.log_mel(torch.atleast_2d(waveform).to(self.device)).cpu()

    def _copy(self, waveform: Tensor) -> np.ndarray:
        """Recording -> mel -> speech of the same length."""
        length, hop = waveform.shape[-1], self.features.hop_length
        if self.features.padding == "same":  # floor(T / hop) frames would lose the end
            waveform = nn.functional.pad(waveform, (0, -length % hop))
        return self._squeeze(self._generate(self._analyse(waveform))[..., :length], waveform.dim() == 1)

    def latent(self, count: int, seed: int = 0) -> Tensor:
        """``count`` latents (count, Z) of a generation model, the same for the same seed on every machine.

        Raises:
            UserError: not a generation model, or a seed outside 0 to 2**32 - 1.
        """
        return self._generation().draw(count, torch.Generator().manual_seed(_check_seed(seed)))

    def speaker(self, seed: int = 0) -> str | None:
        """The speaker that a seed draws for a single clip or number; None for a model without speakers."""
        self._generation()
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
        task = self._generation()
        if isinstance(labels, str):
            raise UserError(f"labels should be a list of labels, such as ['{labels}'].")
        count = labels if isinstance(labels, int) else len(labels)
        if count < 1:
            raise UserError("Nothing to generate: give at least one label.")
        if not _in_range(truncation, 1):
            raise UserError(f"truncation should lie between 0 and 1, got {truncation!r}.")
        drawn = self.latent(count, seed)
        z = drawn if z is None else torch.as_tensor(z, dtype=torch.float32)
        if z.shape != drawn.shape or not bool(torch.isfinite(z).all()):
            raise UserError(f"z should be finite, of shape {tuple(drawn.shape)}, got {tuple(z.shape)}.")
        columns = {"label": labels, "speaker": self._speakers(speaker, count, seed)}
        if isinstance(labels, int) == ("label" in task.conditions):
            raise UserError("This model needs labels." if isinstance(labels, int) else "This model has no labels.")
        label = [task.index(name, [str(v) for v in columns[name]]) for name in task.conditions]
        return self._clips(truncation * z, torch.stack(label, 1) if label else None)

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
        task = self._generation()
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
        words = task.conditions.get("label", [])
        labels = [item if item in words else DIGITS[int(item)] for item in items]
        speaker = self.speaker(seed) if speaker is None else speaker  # one voice for the whole number
        clips = self.generate(labels, speaker=speaker, seed=seed, truncation=truncation, z=z)
        silence = np.zeros(round(gap * self.sample_rate), np.float32)
        pieces = [piece for clip in clips for piece in (_trim(clip), silence)]
        return np.concatenate(pieces[:-1])

    def _generation(self) -> GenerationConfig:
        if self.config.task.name != "generation":
            raise UserError(
                f"'{self.config.name}' reads mels and can't speak out of noise; use digits-8k, or another "
                "model of the generation task."
            )
        if self.config.task.output != "waveform":
            raise UserError(f"'{self.config.name}' makes mels only: a first stage. Train the recipe's last stage.")
        return self.config.task

    def _speakers(self, speaker: str | Sequence[str] | None, count: int, seed: int) -> Sequence[str]:
        known = self.config.task.conditions.get("speaker", [])
        if not known:
            if speaker is not None:
                raise UserError("This model has no speakers; leave the speaker out.")
            return []
        if speaker is None:
            random = np.random.default_rng(_check_seed(seed))
            return [known[i] for i in random.integers(len(known), size=count)]
        speakers = [speaker] * count if isinstance(speaker, str) else list(speaker)
        if len(speakers) != count:
            raise UserError(f"{len(speakers)} speakers for {count} labels; give one, or one for each.")
        return speakers

    @torch.inference_mode()
    def _clips(self, z: Tensor, label: Tensor | None, batch_size: int = 64) -> np.ndarray:
        labels = [None] * len(z) if label is None else label.to(self.device).split(batch_size)
        parts = zip(z.to(self.device).split(batch_size), labels, strict=False)
        clips = torch.cat([self.generator(x, y)[:, 0].float().cpu() for x, y in parts])
        return (clips / clips.abs().amax(1, keepdim=True).clamp(min=1.0)).numpy()  # too loud ones are turned down

    @torch.inference_mode()
    def _generate(self, mel: Tensor) -> Tensor:
        """(B, M, F) -> (B, T). Long inputs go in chunks with the receptive field on both sides: the same output."""
        frames, hop, context = mel.shape[-1], self.features.hop_length, self.generator.context_frames
        pieces = []
        for start in range(0, frames, self.CHUNK):
            stop = min(start + self.CHUNK, frames)
            first = max(start - context, 0)
            piece = self.generator(mel[..., first : stop + context].to(self.device))[:, 0].float().cpu()
            pieces.append(piece[:, (start - first) * hop : (stop - first) * hop])
        return torch.cat(pieces, dim=-1)

    @staticmethod
    def _squeeze(waveform: Tensor, single: bool) -> np.ndarray:
        return (waveform[0] if single else waveform).numpy()

    @staticmethod
    def _check_waveform(waveform: Tensor) -> Tensor:
        """(T,) or (B, 1, T) -> float32 (T,) or (B, T)."""
        if waveform.is_complex():
            raise UserError("The waveform is complex; give its real samples.")
        if not waveform.is_floating_point():
            raise UserError("The waveform holds integers; divide it by its full scale (32768 for 16 bits) first.")
        waveform = waveform.squeeze(1) if waveform.dim() == 3 else waveform
        if waveform.shape[-1] == 0:
            raise UserError("The waveform has no samples.")
        if not bool(torch.isfinite(waveform).all()):
            raise UserError("The waveform has samples that are not finite (NaN or infinity).")
        return waveform.float()


def _check_seed(seed: int) -> int:
    # PyTorch takes larger ones, and drops all but their last 32 bits.
    if isinstance(seed, bool) or not isinstance(seed, numbers.Integral) or not 0 <= seed < 2**32:
        raise UserError(f"seed should be a whole number from 0 up to 2 ** 32 - 1, got {seed!r}.")
    return int(seed)


def _in_range(value: float, most: float) -> bool:
    return isinstance(value, numbers.Real) and not isinstance(value, bool) and 0 <= value <= most


def _trim(clip: np.ndarray, decibels: float = 40.0) -> np.ndarray:
    """The clip (T,) without the silence before and after it: what lies that much below its peak."""
    loud = np.flatnonzero(np.abs(clip) > np.abs(clip).max() * 10 ** (-decibels / 20))
    return clip[loud[0] : loud[-1] + 1] if len(loud) else clip
