"""Synthesizer: a trained model in Python, on the command line and in the demo; the base class of the players."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.checkpoints import hub
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError
from wavegan.inference import onnx_export, onnx_runtime
from wavegan.inference.checks import check_device, refuse_first_stage
from wavegan.inference.inputs import Array, Inputs

BACKENDS = ("torch", "onnxruntime")


class Synthesizer:
    """A trained generator and the feature contract of its mels; an instance is the player of the model's task.

    >>> speaker = Synthesizer.from_pretrained("digits-8k")
    >>> waveform = speaker.digits("8675309", seed=1)
    >>> vocoder = Synthesizer.from_pretrained("vocoder-16k")
    >>> waveform = vocoder.vocode("speech.wav")  # numpy float32 (T,) at vocoder.sample_rate
    >>> for piece in vocoder.stream(mels_as_they_come):  # each (M, any F); piece is (T,)
    ...     play(piece)

    ``Vocoder`` and ``ClipGenerator`` document their methods. A model of a task without a player only makes mels.
    """

    players: ClassVar[dict[str, type[Synthesizer]]] = {}  # by the name of a task
    refusal: ClassVar[str] = "is of a task without a player"  # why it lacks the methods of other players

    def __new__(
        cls, generator: nn.Module | None = None, contents: CheckpointConfig | None = None, device: Any = "cpu"
    ) -> Synthesizer:
        if cls is Synthesizer and contents is not None:  # None when it is unpickled
            cls = cls.players.get(contents.task.name, cls)
        return super().__new__(cls)

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
        device, exported = check_device(device), str(backend).lower().endswith(".onnx")
        if (backend not in BACKENDS and not exported) or (backend != "torch" and device.type != "cpu"):
            known = f"{', '.join(BACKENDS)} or an exported .onnx, these two on the CPU"
            raise UserError(f"backend should be one of {known}; got '{backend}' on {device}.")
        generator, contents = hub.load(name_or_folder)
        if exported:
            session = onnx_runtime.open_exported(Path(backend), contents)
            generator = onnx_runtime.OnnxGenerator(generator, session)
        elif backend == "onnxruntime":
            session = onnx_runtime.load(onnx_export.generator_model(generator, contents))
            generator = onnx_runtime.OnnxGenerator(generator, session)
        return cls(generator, contents, device)

    def __getattr__(self, name: str) -> Any:
        """Refuse the methods of other players, such as ``digits`` of a vocoder.

        Raises:
            UserError: names the model and what it can't do.
        """
        if not hasattr(type(self), name) and any(hasattr(player, name) for player in self.players.values()):
            refuse_first_stage(self.config)
            raise UserError(f"'{self.config.name}' {self.refusal}.")
        raise AttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")

    @property
    def features(self) -> LogMelConfig:
        """The feature contract of the model's mels."""
        return self.config.task.features

    @property
    def sample_rate(self) -> int:
        return self.features.sample_rate

    def mel(self, source: str | Path | Array, *, sample_rate: int | None = None) -> Tensor:
        """The log-mel (M, F) or (B, M, F), under the model's contract, of a sound file or a waveform.

        ``sample_rate``: of a waveform given as an array, if it isn't the model's.
        """
        waveform = Inputs(self.features, sample_rate).waveform(source)
        with torch.no_grad():  # not inference_mode: a mel may be trained on
            mel = self.log_mel(torch.atleast_2d(waveform).to(self.device)).cpu()
        return mel[0] if waveform.dim() == 1 else mel
