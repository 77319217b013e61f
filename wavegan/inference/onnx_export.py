"""Export to ONNX files, which run without PyTorch and without this package.

A file carries the feature contract in its metadata, and is written only if onnxruntime agrees with PyTorch.
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
from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.checkpoints import hub
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError
from wavegan.core.files import check_target, write_atomically
from wavegan.inference.onnx_graphs import Graph, generator_graph, mel_graph
from wavegan.inference.onnx_runtime import load, metadata_of, require, root_cause

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

OPSET = 18  # the one that PyTorch's exporter is written for
TOLERANCE = 1e-4  # largest accepted difference of a sample or a log-mel


class Exported(NamedTuple):
    """An ONNX model and the largest difference of onnxruntime's output from PyTorch's."""

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
    """Write the ONNX files of a model, one file each; batch size and length are free.

    Args:
        output: the generator's file. ``mel``: that of the front end which makes its mels.
        int8: 8-bit weights in the generator's matrix products; scored by PESQ on ``recording``.

    Returns:
        A report: the files, and the difference from PyTorch.

    Raises:
        UserError: packages are missing, files can't be written, or the model can't be exported; nothing was written.
    """
    require()
    _check_targets([path for path in (output, mel) if path is not None])
    folder = hub.find_checkpoint(name_or_folder)
    generator, contents = hub.load(folder)
    features, reads_mels = contents.task.features, contents.task.reads == "mel"
    if mel is not None and not reads_mels:
        raise UserError(f"'{contents.name}' speaks out of noise and reads no mel: leave out --mel.")
    if int8 and (output is None or recording is None or not reads_mels):
        raise UserError("--int8 is scored: it needs a vocoder, --onnx MODEL.onnx and --check SPEECH.wav.")
    if recording is not None and not int8:
        raise UserError("--check scores --int8: leave it out, or give both.")
    real = None if recording is None else audio.read(recording, features.sample_rate)[0]
    metadata, lines, models = metadata_of(contents), [], {}
    if (card := folder / "MODEL_CARD.md").is_file():
        metadata["model_card"] = card.read_text(encoding="utf-8")  # with its licence
    if output is not None:
        exported = to_onnx(generator_graph(generator, contents), metadata, opset)
        lines.append(exported.describe(output))
        models[output] = quantise(exported.model) if int8 else exported.model
        if int8:
            lines.append(_compare_int8(exported.model, models[output], features, real, recording.name))
    if mel is not None:
        exported = to_onnx(mel_graph(features), metadata, opset)
        lines.append(exported.describe(mel))
        models[mel] = exported.model
    for path, model in models.items():
        write_atomically(path, model)
    return "\n".join(lines)


def _check_targets(targets: list[Path]) -> None:
    for path in targets:
        check_target(path, ".onnx")
    if len(set(targets)) != len(targets) or not targets:
        raise UserError("Give --onnx MODEL.onnx, --mel MEL.onnx, or both, under different names.")


def to_onnx(graph: Graph, metadata: dict[str, str], opset: int = OPSET) -> Exported:
    """Export to ONNX with ``metadata``; compare with PyTorch at three lengths.

    Raises:
        UserError: packages are missing, the model can't be written in this opset, or onnxruntime disagrees.
    """
    require()
    import onnx

    inputs = graph.example(2, graph.lengths[0])  # a batch of 1 would be baked in
    options = {"input_names": list(inputs), "output_names": [graph.output], "dynamic_shapes": graph.axes}
    with _quiet():
        try:
            program = torch.onnx.export(graph.module.eval(), tuple(inputs.values()), opset_version=opset, **options)
        except Exception as error:  # the exporter raises many types, all with the same meaning
            raise UserError(f"PyTorch can't write this model in ONNX opset {opset}: {root_cause(error)}") from error
    proto = program.model_proto
    written = next(entry.version for entry in proto.opset_import if entry.domain == "")
    if written != opset:
        raise UserError(f"PyTorch can't write this model in opset {opset}, only in {written}. Use --opset {written}.")
    onnx.helper.set_model_props(proto, metadata)
    model = proto.SerializeToString()
    difference = compare(load(model), graph)
    if not difference <= TOLERANCE:
        raise UserError(f"onnxruntime differs from PyTorch by {difference:.2g}, more than {TOLERANCE:g}: not written.")
    return Exported(model, opset, graph, difference)


@torch.inference_mode()
def compare(session: InferenceSession, graph: Graph) -> float:
    """The largest difference between onnxruntime and PyTorch over the graph's lengths, each with another batch size."""
    worst = 0.0
    for batch, length in enumerate(graph.lengths, 1):
        inputs = graph.example(batch, length)
        (output,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
        expected = (graph.reference or graph.module)(*inputs.values()).numpy()
        worst = max(worst, float(np.abs(output - expected).max()) if output.shape == expected.shape else np.inf)
    return worst


def generator_model(generator: nn.Module, contents: CheckpointConfig) -> bytes:
    """A generator as an ONNX model; raises a UserError as ``to_onnx`` and ``generator_graph``."""
    return to_onnx(generator_graph(generator, contents), {}).model


def quantise(model: bytes) -> bytes:
    """Quantise the learned weights of matrix products to 8 bits, and their activations dynamically.

    Constant matrices stay in float32: all of the output passes through the inverse STFT.

    Raises:
        UserError: there are none, as in a model of convolutions only.
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


def _compare_int8(model: bytes, small: bytes, features: LogMelConfig, real: Tensor, name: str) -> str:
    """Size and PESQ on a recording (T,), with 8 bits and without."""
    feeds = {"mel": LogMel(features)(real[None]).numpy()}
    copies = [torch.from_numpy(load(variant).run(None, feeds)[0][0]) for variant in (model, small)]
    before, after = (metrics.pesq(real, copy, features.sample_rate) for copy in copies)
    sizes = f"{len(small) / 1e6:.1f} MB instead of {len(model) / 1e6:.1f}"
    return f"  in 8 bits: {sizes}; PESQ on {name} {after:.3f} instead of {before:.3f} (of 4.64)"


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the exporter: its progress, warnings about its internals, and hints for developers."""
    with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        logging.disable(logging.WARNING)
        try:
            yield
        finally:
            logging.disable(logging.NOTSET)
