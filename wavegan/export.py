"""ONNX files, which run without PyTorch and without this package, and onnxruntime in a generator's place.

A file carries the feature contract in its metadata, and is written only if onnxruntime gives what PyTorch gives.
"""

from __future__ import annotations

import contextlib
import importlib.util
import io
import json
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from wavegan import __version__, audio, metrics
from wavegan.checkpoint import CheckpointConfig
from wavegan.errors import UserError
from wavegan.files import check_target, write_atomically
from wavegan.graphs import Graph, generator_graph, mel_graph
from wavegan.hub import find_checkpoint
from wavegan.synthesizer import Synthesizer

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

PACKAGES = ("onnx", "onnxscript", "onnxruntime")
OPSET = 18  # what PyTorch's exporter is written for
TOLERANCE = 1e-4  # the largest difference that is accepted


class Exported(NamedTuple):
    """An ONNX model that onnxruntime has run, and how far its output was from PyTorch's."""

    model: bytes
    opset: int
    graph: Graph
    difference: float

    def describe(self, path: Path) -> str:
        unit = "frames" if "mel" in self.graph.axes else "samples"
        lengths = ", ".join(str(length) for length in dict.fromkeys(self.graph.lengths))
        return (
            f"{path}: {self.graph.describe()}, opset {self.opset}, {len(self.model) / 1e6:.1f} MB; onnxruntime differs "
            f"from PyTorch by at most {self.difference:.1e} ({lengths} {unit}, batches of 1 to 3)"
        )


def export(
    name_or_folder: str | Path,
    output: Path | None,
    mel: Path | None = None,
    int8: bool = False,
    recording: Path | None = None,
    opset: int = OPSET,
) -> str:
    """Write the ONNX files of a model: one file each, sizes of batch and time free.

    Args:
        output: the generator's file. ``mel``: that of the front end which makes its mels.
        int8: 8-bit weights in the generator's matrix products; scored by PESQ on ``recording``.

    Returns:
        What was written, and how far it is from PyTorch.

    Raises:
        UserError: packages are missing, files can't be written, or the model can't be exported; nothing was written.
    """
    require()
    targets = [path for path in (output, mel) if path is not None]
    for path in targets:
        check_target(path, ".onnx")
    if len(set(targets)) != len(targets) or not targets:
        raise UserError("Say where to write: --onnx MODEL.onnx, --mel MEL.onnx, or both, under different names.")
    folder = find_checkpoint(name_or_folder)
    synthesizer = Synthesizer.from_pretrained(folder)
    contents = synthesizer.config
    if mel is not None and contents.task.name != "vocoder":
        raise UserError(f"'{contents.name}' speaks out of noise and reads no mel: leave out --mel.")
    if int8 and (output is None or recording is None or contents.task.name != "vocoder"):
        raise UserError("--int8 is scored: it needs a vocoder, --onnx MODEL.onnx and --check SPEECH.wav.")
    if recording is not None and not int8:
        raise UserError("--check scores --int8: leave it out, or give both.")
    real = None if recording is None else audio.read(recording, synthesizer.sample_rate)[0]
    metadata, lines, models = _metadata(contents), [], {}
    if (card := folder / "MODEL_CARD.md").is_file():
        metadata["model_card"] = card.read_text(encoding="utf-8")  # with its licence
    if output is not None:
        exported = to_onnx(generator_graph(synthesizer.generator, contents), metadata, opset)
        lines.append(exported.describe(output))
        models[output] = exported.model
        if int8:
            models[output] = quantise(exported.model)
            lines.append(_price(exported.model, models[output], synthesizer, real, recording.name))
    if mel is not None:
        exported = to_onnx(mel_graph(contents.task.features), metadata, opset)
        lines.append(exported.describe(mel))
        models[mel] = exported.model
    for path, model in models.items():
        write_atomically(path, model)
    return "\n".join(lines)


def to_onnx(graph: Graph, metadata: dict[str, str], opset: int = OPSET) -> Exported:
    """An ONNX model with ``metadata``, compared with PyTorch at three lengths.

    Raises:
        UserError: packages are missing, the model can't be written in this opset, or onnxruntime gives something else.
    """
    require()
    import onnx

    inputs = graph.example(2, graph.lengths[0])  # a batch of 1 would be baked in
    options = {"input_names": list(inputs), "output_names": [graph.output], "dynamic_shapes": graph.axes}
    with _quiet():
        try:
            program = torch.onnx.export(graph.module.eval(), tuple(inputs.values()), opset_version=opset, **options)
        except Exception as error:  # the exporter raises many kinds; each means the same to the user
            raise UserError(f"PyTorch can't write this model in ONNX opset {opset}: {_reason(error)}") from error
    proto = program.model_proto
    written = next(entry.version for entry in proto.opset_import if entry.domain == "")
    if written != opset:
        raise UserError(
            f"This model can't be written in opset {opset}; PyTorch made it {written}. Use --opset {written}."
        )
    onnx.helper.set_model_props(proto, metadata)
    model = proto.SerializeToString()
    difference = compare(load(model), graph)
    if not difference <= TOLERANCE:
        raise UserError(f"onnxruntime differs from PyTorch by {difference:.2g}, more than {TOLERANCE:g}: not written.")
    return Exported(model, opset, graph, difference)


def load(model: bytes | str, threads: int | None = None) -> InferenceSession:
    """A session on the CPU, with as many threads as given, or as PyTorch has."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads or torch.get_num_threads()
    options.log_severity_level = 3  # errors only
    options.add_session_config_entry("session.set_denormal_as_zero", "1")
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


@torch.inference_mode()
def compare(session: InferenceSession, graph: Graph) -> float:
    """The largest difference between onnxruntime and PyTorch over the graph's lengths, each with another batch."""
    worst = 0.0
    for batch, length in enumerate(graph.lengths, 1):
        inputs = graph.example(batch, length)
        (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        expected = (graph.reference or graph.module)(*inputs.values()).numpy()
        worst = max(worst, float(np.abs(found - expected).max()) if found.shape == expected.shape else np.inf)
    return worst


def generator_model(generator: nn.Module, contents: CheckpointConfig) -> bytes:
    """A generator as an ONNX model.

    Raises:
        UserError: as ``to_onnx``, or a first stage.
    """
    return to_onnx(generator_graph(generator, contents), {}).model


def open_exported(path: Path, contents: CheckpointConfig) -> InferenceSession:
    """A generator that ``export`` wrote, ready to run.

    Raises:
        UserError: no file that onnxruntime can run, or not of the model of these ``contents``.
    """
    require()
    try:
        session = load(str(path))
    except Exception as error:  # onnxruntime has a kind for each cause
        raise UserError(f"{path} is no file that onnxruntime can run ({_reason(error)}).") from None
    found, wanted = session.get_modelmeta().custom_metadata_map, _metadata(contents)
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


def quantise(model: bytes) -> bytes:
    """8-bit weights in the matrix products that training learned, with activations quantised as they come.

    The constant ones stay in float32: all of the output goes through the inverse STFT.

    Raises:
        UserError: a model without any, such as one of convolutions only.
    """
    import onnx
    from onnxruntime.quantization import QuantType, quantize_dynamic

    proto = onnx.load_from_string(model)
    constant = [node.name for node in proto.graph.node if any("basis" in i or "filterbank" in i for i in node.input)]
    learned = [node.name for node in proto.graph.node if node.op_type == "MatMul" and node.name not in constant]
    if not learned:
        raise UserError("This generator is made of convolutions, which onnxruntime runs in float32: leave out --int8.")
    with tempfile.TemporaryDirectory() as folder, _quiet():
        path = Path(folder) / "int8.onnx"
        quantize_dynamic(proto, path, nodes_to_quantize=learned, per_channel=True, weight_type=QuantType.QInt8)
        return path.read_bytes()


def _price(model: bytes, small: bytes, synthesizer: Synthesizer, real: Tensor, name: str) -> str:
    """What 8 bits save, and what they cost in PESQ on a recording (T,)."""
    feeds = {"mel": synthesizer.mel(real).unsqueeze(0).numpy()}
    copies = [torch.from_numpy(load(variant).run(None, feeds)[0][0]) for variant in (model, small)]
    before, after = (metrics.pesq(real, copy, synthesizer.sample_rate) for copy in copies)
    sizes = f"{len(small) / 1e6:.1f} MB instead of {len(model) / 1e6:.1f}"
    return f"  in 8 bits: {sizes}; PESQ on {name} {after:.3f} instead of {before:.3f} (of 4.64)"


def require() -> None:
    """Refuse to go on without the packages of the extra.

    Raises:
        UserError: names the first that is missing.
    """
    for package in PACKAGES:
        if importlib.util.find_spec(package) is None:
            raise UserError(f"ONNX needs the package '{package}': pip install 'wavegan[onnx]'.")


def _metadata(contents: CheckpointConfig) -> dict[str, str]:
    """What travels in the file: the contract and the vocabularies as JSON, and which model it is."""
    task = contents.task
    found = {"name": contents.name, "task": task.name, "step": str(contents.step), "wavegan_version": __version__}
    found["features"] = json.dumps(task.features.model_dump(exclude_none=True))
    found["conditions"] = json.dumps(task.conditions)
    return found


def _reason(error: BaseException) -> str:
    """The first line of what began it all."""
    while error.__cause__ is not None:
        error = error.__cause__
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its progress, warns of its own internals and logs hints that don't help a user."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
