"""ONNX files: every generator of the union, the mel front end, the command, and playing them without PyTorch."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from unittest import mock

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from tests.conftest import speech_like
from tests.test_cli import assert_refused, run
from tests.test_models import FEATURES, SMALL_HIFIGAN, VOCODER
from tests.test_models import GENERATORS as VOCODERS
from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.checkpoints import native
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError
from wavegan.inference import onnx_export, onnx_runtime
from wavegan.inference.onnx_graphs import generator_graph, mel_graph
from wavegan.inference.synthesizer import Synthesizer
from wavegan.models.generators import LatentConfig, WaveGANConfig
from wavegan.models.layers import fold_weight_norm
from wavegan.tasks.generation import GenerationConfig
from wavegan.tasks.mel_generation import MelGenerationConfig

ENGLISH = Path(__file__).parent.parent / "demo/examples/english.flac"
WORDS = GenerationConfig(
    features=FEATURES, length=1024, latent_dim=8, conditions={"label": ["yes", "no"], "speaker": ["a", "b", "c"]}
)
GENERATORS = {name: (config, VOCODER) for name, config in VOCODERS.items()} | {
    "latent": (LatentConfig(channels=16, num_stages=2, vocoder=VOCODERS["spectral-prior"]), WORDS),
    "wavegan": (WaveGANConfig(dim=4), WORDS),
    "wavegan-unconditional": (WaveGANConfig(dim=4), WORDS.model_copy(update={"conditions": {}})),
}


@pytest.fixture(scope="module", autouse=True)
def exports() -> Iterator[None]:
    """The exporter, which takes seconds, runs once for a pretrained model with the same inputs and options."""
    export, made = torch.onnx.export, {}

    def export_once(module: nn.Module, inputs: tuple[torch.Tensor, ...], **options: object) -> SimpleNamespace:
        saved = io.BytesIO()
        try:
            torch.save([module, inputs], saved)
        except Exception:  # weight norm cannot be saved; those models are small
            return export(module, inputs, **options)
        key = str(options), hashlib.sha256(saved.getvalue()).hexdigest()
        if key not in made:
            made[key] = export(module, inputs, **options).model_proto.SerializeToString()
        return SimpleNamespace(model_proto=onnx.load_from_string(made[key]))

    with mock.patch.object(torch.onnx, "export", export_once):
        yield


def contents(generator, task, name: str = "small") -> CheckpointConfig:
    return CheckpointConfig.of_today(step=0, name=name, task=task, generator=generator)


@pytest.mark.parametrize(("config", "task"), GENERATORS.values(), ids=GENERATORS.keys())
def test_every_generator_gives_the_same_in_onnxruntime(config, task):
    torch.manual_seed(0)
    generator = fold_weight_norm(config.build(task)).eval().requires_grad_(False)
    exported = onnx_export.to_onnx(generator_graph(generator, contents(config, task)), {})
    session = onnx_runtime.load(exported.model, threads=1)
    assert [entry.name for entry in session.get_outputs()] == ["waveform"]
    random = torch.Generator().manual_seed(1)
    if task.name == "vocoder":  # a length and a batch that the exporter didn't see
        mel = LogMel(FEATURES)(0.3 * torch.randn(4, 77 * 16, generator=random))[..., :77]
        inputs = {"mel": mel}
        if hasattr(generator, "noise"):
            inputs["noise"] = torch.randn(4, 1, 77 * 16, generator=random)
            expected = generator(mel, noise=inputs["noise"])[:, 0]
        else:
            expected = generator(mel)[:, 0]
    else:
        inputs = {"z": task.draw(4, random)}
        if task.conditions:
            inputs["label"] = torch.tensor([[0, 2], [1, 1], [1, 0], [0, 0]])
        waveform = generator(*inputs.values())[:, 0]
        expected = waveform / waveform.abs().amax(1, keepdim=True).clamp(min=1)
    (found,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    assert found.shape == expected.shape and np.abs(found - expected.numpy()).max() < 1e-4


@pytest.mark.parametrize(
    "options",
    [
        {"padding": "center"},
        {"padding": "same", "epsilon": 1e-9, "fmax": 7000, "win_length": 400},
        {"power": 2, "log": "log10", "floor": 1e-10, "mean": [-3.0] * 40, "std": [2.0] * 40},
    ],
    ids=["center", "same", "standardised"],
)
def test_mel_front_end_gives_the_same_mels(options):
    features = LogMelConfig(sample_rate=16000, n_fft=512, hop_length=128, n_mels=40, **options)
    session = onnx_runtime.load(onnx_export.to_onnx(mel_graph(features), {}).model, threads=1)
    for length in (128, 300, 5000):  # the first two are shorter than what is reflected
        waveform = torch.stack([speech_like(1.0)[2000 : 2000 + length], 0.1 * torch.randn(length)])
        (found,) = session.run(None, {"waveform": waveform.numpy()})
        expected = LogMel(features)(waveform).numpy()
        assert found.shape == expected.shape and np.abs(found - expected).max() < 1e-3


PLAY = """
import sys
sys.modules["torch"] = sys.modules["wavegan"] = None  # importing either fails
import numpy as np, onnxruntime
folder = sys.argv[1]
mel, vocoder = (onnxruntime.InferenceSession(f"{folder}/{name}.onnx") for name in ("mel", "model"))
waveform = np.load(f"{folder}/in.npy")
(features,) = mel.run(None, {"waveform": waveform[None]})
(copy,) = vocoder.run(None, {"mel": features})
np.save(f"{folder}/out.npy", copy[0, : len(waveform)])
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """What the command writes for the embedded vocoder."""
    folder = tmp_path_factory.mktemp("onnx")
    done = run("export", "vocoder-16k", "--onnx", folder / "model.onnx", "--mel", folder / "mel.onnx")
    assert done.returncode == 0, done.stderr
    assert "mel (batch, 80, frames) -> waveform, opset 18" in done.stdout and "differs" in done.stdout
    assert sorted(path.name for path in folder.iterdir()) == ["mel.onnx", "model.onnx"]  # one file each
    return folder


def test_the_files_play_where_torch_cannot_be_imported(folder, tmp_path):
    waveform = speech_like(1.3, seed=3).numpy()
    np.save(folder / "in.npy", waveform)
    done = subprocess.run([sys.executable, "-c", PLAY, str(folder)], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found, expected = np.load(folder / "out.npy"), Synthesizer.from_pretrained("vocoder-16k").vocode(waveform)
    assert found.shape == expected.shape and np.abs(expected).max() > 0.05
    assert np.abs(found - expected).max() < 1e-4
    ready = Synthesizer.from_pretrained("vocoder-16k", backend=folder / "model.onnx")  # nothing is exported again
    assert np.abs(ready.vocode(waveform) - expected).max() < 1e-4
    copied = run("vocode", ENGLISH, "-o", tmp_path / "a.wav", "--backend", folder / "model.onnx")
    assert copied.returncode == 0, copied.stderr


def test_another_models_file_is_refused(folder):
    for model, file, expected in (("hifigan-v9", "model", "No model"), ("vocoder-16k", "mel", "makes mels")):
        with pytest.raises(UserError, match=expected):
            Synthesizer.from_pretrained(model, backend=folder / f"{file}.onnx")
    theirs = contents(SMALL_HIFIGAN, VOCODER)
    with pytest.raises(UserError, match="was not exported from 'small'"):
        onnx_runtime.open_exported(folder / "model.onnx", theirs)


def test_the_contract_the_opset_and_the_licence_travel(folder):
    for name in ("model", "mel"):
        model = onnx.load(folder / f"{name}.onnx")
        onnx.checker.check_model(model)
        metadata = {entry.key: entry.value for entry in model.metadata_props}
        features = LogMelConfig(**json.loads(metadata["features"]))
        assert features == Synthesizer.from_pretrained("vocoder-16k").features
        assert metadata["name"] == "vocoder-16k" and "CC BY-SA 3.0" in metadata["model_card"]
        assert {entry.domain: entry.version for entry in model.opset_import}[""] == 18


def test_another_opset(tmp_path):
    done = run("export", "digits-8k", "--onnx", tmp_path / "digits.onnx", "--opset", 20)
    assert done.returncode == 0, done.stderr
    model = onnx.load(tmp_path / "digits.onnx")
    assert {entry.domain: entry.version for entry in model.opset_import}[""] == 20
    conditions = json.loads({entry.key: entry.value for entry in model.metadata_props}["conditions"])
    assert conditions["label"] == list("0123456789")


def test_int8_is_smaller_and_says_its_price(folder, tmp_path):
    done = run("export", "vocoder-16k", "--onnx", tmp_path / "small.onnx", "--int8", "--check", ENGLISH)
    assert done.returncode == 0, done.stderr
    assert "PESQ on english.flac" in done.stdout
    words = done.stdout.split("PESQ on english.flac")[1].split()
    assert float(words[3]) > 3 and float(words[0]) > float(words[3]) - 0.5
    assert (tmp_path / "small.onnx").stat().st_size < 0.6 * (folder / "model.onnx").stat().st_size


@pytest.mark.parametrize("name", ["vocoder-16k", "digits-8k"])
def test_onnxruntime_in_the_place_of_the_generator(name):
    ours = Synthesizer.from_pretrained(name)
    theirs = Synthesizer.from_pretrained(name, backend="onnxruntime")
    if name == "vocoder-16k":
        mel = ours.mel(speech_like(2.0))
        expected, found = ours.vocode(mel), theirs.vocode(mel)
    else:
        expected, found = (one.generate(["3", "7"], seed=4) for one in (ours, theirs))
    assert found.dtype == np.float32 and found.shape == expected.shape and np.abs(found - expected).max() < 1e-4


@pytest.fixture
def first_stage(tmp_path) -> Path:
    """A checkpoint that makes mels only."""
    task = MelGenerationConfig(**WORDS.model_dump(exclude={"name"}))
    config = LatentConfig(channels=16, num_stages=2)
    native.save_generator(tmp_path / "frames", config.build(task), contents(config, task, "frames"))
    return tmp_path / "frames"


def test_refusals_write_nothing(tmp_path, first_stage):
    target = tmp_path / "a.onnx"
    assert_refused(run("export", first_stage, "--onnx", target), "makes mels only")
    assert_refused(run("export", "digits-8k", "--mel", target), "leave out --mel")
    assert_refused(run("export", "vocoder-16k"), "--onnx MODEL.onnx")
    assert_refused(run("export", "vocoder-16k", "--onnx", target, "--mel", target), "different names")
    assert_refused(run("export", "vocoder-16k", "--onnx", tmp_path / "a.pt"), "should end in .onnx")
    assert_refused(run("export", "vocoder-16k", "--onnx", tmp_path / "no" / "a.onnx"), "there is no folder")
    assert_refused(run("export", "vocoder-16k", "--onnx", target, "--int8"), "--check SPEECH.wav")
    with mock.patch.object(onnx_export, "to_onnx", None):  # found before the long work
        missing = ["--int8", "--check", tmp_path / "none.wav"]
        assert_refused(run("export", "vocoder-16k", "--onnx", target, *missing), "No such file")
    assert_refused(run("export", "vocoder-16k", "--onnx", target, "--check", ENGLISH), "--check scores --int8")
    for option in (["--int8"], ["--check", ENGLISH], ["--opset", 20], ["--onnx", target]):
        assert_refused(run("export", "vocoder-16k", "--hifigan", tmp_path / "h", *option), "Give --hifigan alone")
    assert_refused(run("export", "no-model", "--onnx", target), "No model")
    assert_refused(run("export", "vocoder-16k", "--mel", target, "--opset", 5), "opset")
    with mock.patch("importlib.util.find_spec", return_value=None):
        assert_refused(run("export", "vocoder-16k", "--onnx", target), "pip install 'wavegan[onnx]'")
    assert [path.name for path in tmp_path.iterdir()] == ["frames"]


def test_convolutions_have_no_8_bits():
    generator = SMALL_HIFIGAN.build(VOCODER).eval()
    model = onnx_export.to_onnx(generator_graph(generator, contents(SMALL_HIFIGAN, VOCODER)), {}).model
    with pytest.raises(UserError, match="leave out --int8"):
        onnx_export.quantise(model)


def test_a_model_that_differs_is_not_written(tmp_path):
    target = tmp_path / "a.onnx"
    target.write_text("before")
    with mock.patch.object(onnx_export, "compare", return_value=2e-4):
        assert_refused(run("export", "vocoder-16k", "--onnx", target), "differs from PyTorch by 0.0002")
    assert target.read_text() == "before" and len(list(tmp_path.iterdir())) == 1
