"""Run exported generators by onnxruntime."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError
from wavegan.core.version import __version__

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


PACKAGES = ("onnx", "onnxscript", "onnxruntime")


def load(model: bytes | str, threads: int | None = None) -> InferenceSession:
    """A session on the CPU, with as many threads as given, or as PyTorch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


def open_exported(path: Path, contents: CheckpointConfig) -> InferenceSession:
    """A generator that ``export`` wrote, ready to run.

    Raises:
        UserError: no file that onnxruntime can run, or not of the model of these ``contents``.
    """
    require()
    try:
        session = load(str(path))
    except Exception as error:  # onnxruntime has a kind for each cause
        raise UserError(f"{path} is no file that onnxruntime can run ({root_cause(error)}).") from None
    found, wanted = session.get_modelmeta().custom_metadata_map, metadata_of(contents)
    if any(found.get(key) != wanted[key] for key in ("name", "step", "features")):
        raise UserError(f"{path} was not made of '{contents.name}': wavegan export MODEL --onnx {path} makes it.")
    if session.get_outputs()[0].name != "waveform":
        raise UserError(f"{path} makes mels. Give the file that export --onnx wrote.")
    return session


class OnnxGenerator(nn.Module):
    """A generator run by onnxruntime: in a ``Synthesizer`` it takes the place of the one that it was made of."""

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
    """Refuse to go on without the packages of the extra.

    Raises:
        UserError: names the first that is missing.
    """
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise UserError(f"ONNX needs the package '{package}': pip install 'wavegan[onnx]'.")


def metadata_of(contents: CheckpointConfig) -> dict[str, str]:
    """What travels in the file: the contract and the vocabularies as JSON, and which model it is."""
    task = contents.task
    found = {"name": contents.name, "task": task.name, "step": str(contents.step), "wavegan_version": __version__}
    found["features"] = json.dumps(task.features.model_dump(exclude_none=True))
    found["conditions"] = json.dumps(task.conditions)
    return found


def root_cause(error: BaseException) -> str:
    """The first line of what began it all."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
