"""Shared fixtures: speech-like recordings that need no download, and a tiny recipe that trains in seconds."""

from __future__ import annotations

import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from tests import processes
from wavegan import audio
from wavegan.data import manifest
from wavegan.data.manifest import Utterance

RATE = 16000
# Files of unit tests: pytest -m quick, for the work of every minute.
QUICK = "architecture archive audio config conventions discriminators hub lhotse loudness losses memory_map models"
QUICK += " prepare progress silence stft_and_log_mel synthesizer"

if "PYTEST_XDIST_WORKER" in os.environ:  # a worker a core, with one thread each
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes that tests start
    torch.set_num_threads(1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    files = {f"test_{name}" for name in QUICK.split()}
    for item in items:
        if item.path.stem in files:
            item.add_marker("quick")


@pytest.fixture
def forks(monkeypatch) -> None:
    """Python programs that a test starts by subprocess are forks of a process that has imported the package."""
    if sys.platform == "linux":
        monkeypatch.setattr(subprocess, "Popen", processes.Popen)


@pytest.fixture
def forked_workers(monkeypatch) -> None:
    """Workers that the package spawns are forks of a process that has imported its modules; they share no memory."""
    if sys.platform == "linux":
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(["wavegan.evaluation.bench", "wavegan.evaluation.scoring", "torch._dynamo"])
        monkeypatch.setattr(multiprocessing, "get_context", lambda method=None: context)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def speech_like(seconds: float = 1.0, sample_rate: int = RATE, seed: int = 0) -> torch.Tensor:
    """A harmonic tone with moving pitch, formant-like bands, syllables and a little noise, (T,)."""
    random = np.random.default_rng(seed)
    time = np.arange(int(seconds * sample_rate)) / sample_rate
    pitch = 120 + 40 * seed % 80 + 20 * np.sin(2 * np.pi * 2.3 * time)
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    voice = sum(np.exp(-(((k * 140 - 600 - 200 * (k % 3)) / 900) ** 2)) * np.sin(k * phase) for k in range(1, 20))
    syllables = np.clip(np.sin(2 * np.pi * 3.1 * time + seed), 0, None)
    waveform = voice * syllables + 0.01 * random.standard_normal(len(time))
    return torch.from_numpy((0.5 * waveform / np.abs(waveform).max()).astype(np.float32))


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Six clips and their manifests, in a folder with a space and an accent in its name."""
    folder = tmp_path / "my corpüs"
    folder.mkdir()
    utterances = []
    for i in range(6):
        waveform = speech_like(0.6 + 0.1 * i, seed=i)
        audio.write(folder / f"clip {i}.flac", waveform, RATE)
        utterances.append(
            Utterance(
                id=f"clip-{i}",
                path=folder / f"clip {i}.flac",
                sample_rate=RATE,
                num_samples=len(waveform),
                speaker=f"speaker-{i % 3}",
            )
        )
    manifest.write(folder / "train.jsonl", utterances[:4])
    manifest.write(folder / "valid.jsonl", utterances[4:])
    return folder


TINY_RECIPE = """
name: tiny
task:
  name: vocoder
  features: {{sample_rate: 16000, n_fft: 128, hop_length: 32, n_mels: 20}}
generator: {{name: spectral, dim: 16, num_blocks: 2}}
discriminators:
  - {{name: period, periods: [2, 3], channels: [4, 8]}}
  - {{name: resolution, resolutions: [[64, 16, 64]], channels: 4, input: complex}}
objective:
  adversarial: hinge
  weights: {{mel: 1, multi_resolution_mel: 1, log_amplitude: 1, phase: 1, complex_stft: 1}}
  mel_resolutions: [[128, 32, 20], [256, 64, 20]]
data: {{train: "{corpus}/train.jsonl", valid: "{corpus}/valid.jsonl", segment_length: 1024, global_batch_size: 4}}
trainer:
  max_steps: 8
  learning_rate: 2e-3
  adversarial_start: 0.5
  critic_steps: 1
  log_interval: 1
  valid_interval: 100
  checkpoint_interval: 100
  num_samples: 0
  accelerator: cpu
"""


@pytest.fixture
def recipe_file(corpus: Path, tmp_path: Path) -> Path:
    """A tiny vocoder recipe on the corpus fixture."""
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY_RECIPE.format(corpus=corpus), encoding="utf-8")
    return path
