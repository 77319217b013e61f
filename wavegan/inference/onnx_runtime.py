"""Exported generators, run by onnxruntime."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError, one_line
from wavegan.core.version import __version__

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


def load(model: bytes | str, threads: int | None = None) -> InferenceSession:
    """A session on the CPU, with as many threads as PyTorch unless given."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def open_exported(path: Path, contents: CheckpointConfig) -> InferenceSession:
    """A session of a generator's file that ``export`` wrote.

    Raises:
        UserError: onnxruntime can't run it, or it is of another model than ``contents``.
    """
    require()
    try:
        session = load(str(path))
    except Exception as error:  # onnxruntime raises a different type for each cause
        raise UserError(f"{path} can't be run by onnxruntime ({root_cause(error)}).") from None
    metadata, expected = session.get_modelmeta().custom_metadata_map, metadata_of(contents)
    if any(metadata.get(key) != expected[key] for key in ("name", "step", "features")):
        raise UserError(f"{path} was not exported from '{contents.name}': run wavegan export MODEL --onnx {path}.")
    if session.get_outputs()[0].name != "waveform":
        raise UserError(f"{path} makes mels. Give the file written by export --onnx.")
    return session


class OnnxGenerator(nn.Module):
    """Drop-in replacement of ``generator`` in a ``Synthesizer``; ``session`` runs its exported file."""

    def __init__(self, generator: nn.Module, session: InferenceSession):
        super().__init__()
        self.context_frames = generator.context_frames
        self.noise = getattr(generator, "noise", None)
        self.session = session

    def forward(self, x: Tensor, label: Tensor | None = None, first_frame: int | Tensor = 0) -> Tensor:
        inputs = [x] if label is None else [x, label]
        if self.noise is not None:
            starts = torch.as_tensor(first_frame).expand(len(x)).tolist()
            inputs.append(torch.stack([self.noise(start, x.shape[-1]) for start in starts]))
        feeds = zip(self.session.get_inputs(), inputs, strict=True)
        (waveform,) = self.session.run(None, {entry.name: value.contiguous().numpy() for entry, value in feeds})
        return torch.from_numpy(waveform).unsqueeze(1)


def require() -> None:
    """Raise a UserError if a package of the extra ``onnx`` is missing."""
    for package in ("onnx", "onnxscript", "onnxruntime"):
        if importlib.util.find_spec(package) is None:
            raise UserError(f"ONNX needs the package '{package}': pip install 'wavegan[onnx]'.")


def metadata_of(contents: CheckpointConfig) -> dict[str, str]:
    """Metadata of an exported file: the model's identity, its feature contract and vocabularies as JSON."""
    task = contents.task
    return {
        "name": contents.name,
        "task": task.name,
        "step": str(contents.step),
        "wavegan_version": __version__,
        "features": json.dumps(task.features.model_dump(exclude_none=True)),
        "conditions": json.dumps(task.vocabularies),
    }


def root_cause(error: BaseException) -> str:
    """The first line of the error at the start of a chain."""
    while error.__cause__ is not None:
        error = error.__cause__
    return one_line(error)
