"""Parts of other packages: a toy task with its player, a toy generator and a toy loss term, added from outside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RATE, speech_like
from wavegan import audio

pytestmark = pytest.mark.usefixtures("forks")

PACKAGE = '''
"""Denoising, as a package of its own: noisy waveform to clean waveform."""

from pathlib import Path
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import nn

import wavegan
from wavegan.inference.synthesizer import Synthesizer
from wavegan.models.generators.base import BaseGeneratorConfig, Generator
from wavegan.plugins import add_player
from wavegan.tasks.base import BaseTaskConfig, Pair, Task, Validation


class DenoisingConfig(BaseTaskConfig):
    reads: ClassVar = "waveform"
    paired: ClassVar = True
    name: Literal["denoising"] = "denoising"
    noise: float = Field(0.1, ge=0)

    def build(self):
        return Denoising(self)


class Denoising(Task):
    def next_step(self, folder):
        return f"Listen to it: {folder}"

    def sample_input(self, waveform, label=None):
        return waveform + self.config.noise * torch.randn_like(waveform)

    def validate(self, generator, clips, num_samples):
        real = clips.whole(0)
        fake = generator(real[None, None])[0, 0]
        return Validation({"distance": float((real - fake).abs().mean())}, [Pair(clips.names[0], real, fake)])


class FilterConfig(BaseGeneratorConfig):
    accepts: ClassVar = frozenset({"waveform"})
    name: Literal["filter"] = "filter"
    taps: int = Field(5, ge=1)

    def build(self, task):
        return Filter(self.taps)


class Filter(Generator):
    def __init__(self, taps):
        super().__init__()
        self.conv = nn.Conv1d(1, 1, taps, padding=taps // 2)
        self.norm = nn.BatchNorm1d(1)

    def forward(self, x, label=None):
        return self.norm(self.conv(x))


class DenoisingPlayer(Synthesizer):
    def denoise(self, waveform):
        return self.generator(torch.as_tensor(waveform)[None, None])[0, 0].detach().numpy()


@wavegan.term
def sample_l1(comparison):
    return (comparison.real - comparison.fake).abs().mean()


wavegan.register(DenoisingConfig, FilterConfig)
add_player("denoising", DenoisingPlayer)
'''
RECIPE = """
name: toy
task: {{name: denoising, features: {{sample_rate: 16000, n_fft: 128, hop_length: 32, n_mels: 20}}, noise: 0.05}}
generator: {{name: filter, taps: 9}}
objective: {{weights: {{mel: 0, feature_matching: 0, sample_l1: 10}}}}
data: {{train: "{corpus}/train.jsonl", valid: "{corpus}/valid.jsonl", segment_length: 1024, global_batch_size: 4}}
trainer: {{max_steps: 4, adversarial_start: 1.0, valid_interval: 4, log_interval: 1, accelerator: cpu}}
"""


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A folder of installed packages with the toy in it, as pip lays it out."""
    site = tmp_path / "site"
    (site / "toy_denoising").mkdir(parents=True)
    (site / "toy_denoising" / "__init__.py").write_text(PACKAGE)
    info = site / "toy_denoising-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: toy-denoising\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[wavegan.plugins]\ndenoising = toy_denoising\n")
    return site


def python(code: str, folder: Path, site: Path | None = None) -> subprocess.CompletedProcess:
    path = os.pathsep.join(str(p) for p in (site, *sys.path) if p)
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-c", code], cwd=folder, env=environment, capture_output=True, text=True)


TRAIN = """
from wavegan import Synthesizer, Trainer, audio, load_recipe
trainer = Trainer(load_recipe("toy.yaml"), "run")
assert trainer.train() == 0
assert trainer.ema.norm.num_batches_tracked == 4 and trainer.ema.norm.running_mean.abs() > 0
again = Trainer.resume("run", ["trainer.max_steps=6"])
assert again.step == 4 and again.train() == 0
player = Synthesizer.from_pretrained("run")
waveform, rate = audio.read("noisy.wav")
print("denoised", player.denoise(waveform).shape, len(waveform))
"""


def test_a_package_adds_a_task_a_generator_and_a_loss_term(installed, corpus, tmp_path):
    (tmp_path / "toy.yaml").write_text(RECIPE.format(corpus=corpus))
    audio.write(tmp_path / "noisy.wav", speech_like(0.5), RATE)
    trained = python(TRAIN, tmp_path, installed)
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.split("\n")[-2] == "denoised (8000,) 8000"
    contents = json.loads((tmp_path / "run" / "config.json").read_text())
    kinds = ("task denoising", "generator filter", "loss term sample_l1")
    assert contents["plugins"] == {kind: "toy_denoising" for kind in kinds}
    logged = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert "train/g/sample_l1" in logged[0] and "valid/distance" in logged[-1]
    assert list((tmp_path / "run" / "samples" / "step-00000004").glob("*.wav"))


def test_without_the_package_one_sentence_names_it(installed, corpus, tmp_path):
    (tmp_path / "toy.yaml").write_text(RECIPE.format(corpus=corpus))
    save = "from wavegan import Trainer\nTrainer('toy.yaml', 'run').save()"
    saved = python(save, tmp_path, installed)
    assert saved.returncode == 0, saved.stderr
    load = "import sys\nfrom wavegan.cli import main\nsys.argv = ['wavegan', 'info', 'run']\nmain()"
    assert python(load, tmp_path, installed).returncode == 0
    refused = python(load, tmp_path)
    assert refused.returncode == 2 and "Traceback" not in refused.stderr
    assert "run needs the" in refused.stderr and "of the package 'toy_denoising'" in refused.stderr
    train = "import sys\nfrom wavegan.cli import main\nsys.argv = ['wavegan', 'train', 'toy.yaml']\nmain()"
    refused = python(train, tmp_path)
    assert refused.returncode == 2 and "'denoising'" in refused.stderr and "sample_l1" in refused.stderr


CLASH = """
from typing import Literal
import wavegan
from wavegan.models.generators.base import BaseGeneratorConfig
class Mine(BaseGeneratorConfig):
    name: Literal["spectral"] = "spectral"
for part in (Mine, int):
    try:
        wavegan.register(part)
    except wavegan.UserError as error:
        print(error)
def adversarial(comparison): ...
try:
    wavegan.term(adversarial)
except wavegan.UserError as error:
    print(error)
@wavegan.term
def phase(comparison): ...
"""


def test_names_that_are_taken_and_other_classes_are_refused(tmp_path):
    result = python(CLASH, tmp_path)
    assert "The generator 'spectral' of __main__ has the name of" in result.stdout
    assert "should derive from one of BaseGeneratorConfig" in result.stdout
    assert "The loss term 'adversarial' has the name of a built-in one" in result.stdout
    assert result.returncode == 1 and "The loss term 'phase' of __main__ has the name of" in result.stderr
