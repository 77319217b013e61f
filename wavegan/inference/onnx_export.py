"""ONNX files, which run without PyTorch and without this package, and onnxruntime in a generator's place.

A file carries the feature contract in its metadata, and is written only if onnxruntime gives what PyTorch gives.
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from wavegan import audio, metrics
from wavegan.checkpoints.hub import find_checkpoint
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError
from wavegan.core.files import check_target, write_atomically
from wavegan.inference.onnx_graphs import Graph, generator_graph, mel_graph
from wavegan.inference.onnx_runtime import load, metadata_of, require, root_cause
from wavegan.inference.synthesizer import Synthesizer

if TYPE_CHECKING:
    from onnxruntime import InferenceSession


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
    metadata, lines, models = metadata_of(contents), [], {}
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
            raise UserError(f"PyTorch can't write this model in ONNX opset {opset}: {root_cause(error)}") from error
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
