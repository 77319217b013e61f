"""Recipes from a corpus on disk to a scored model, with the real recipe files cut to a few steps."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RATE, speech_like
from wavegan import audio, manifest

ROOT = Path(__file__).parent.parent


def python(*arguments: object, cwd: Path) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, *map(str, arguments)], cwd=cwd, capture_output=True, text=True)


def test_folder_recipe_from_recordings_to_scores(tmp_path):
    wavs = tmp_path / "wavs" / "stimme ä"
    wavs.mkdir(parents=True)
    for i, suffix in enumerate([".wav", ".flac", ".ogg", ".mp3", ".wav"]):
        rate = [22050, 48000, 44100, 24000, 16000][i]
        audio.write(wavs / f"clip {i}{suffix}", speech_like(1.2, rate, seed=i), rate)
    done = python(ROOT / "recipes/folder/prepare.py", "--wavs", tmp_path / "wavs", "--speaker-folders", cwd=tmp_path)
    assert done.returncode == 0 and "train 3, valid 1, test 1 -> data/folder" in done.stdout, done.stderr
    assert {u.speaker for u in manifest.read(tmp_path / "data/folder/train.jsonl")} == {"stimme ä"}
    command = ["-m", "wavegan", "train", ROOT / "recipes/folder/quarter_hour.yaml", "--run", "runs/folder"]
    overrides = ["trainer.max_steps=4", "trainer.adversarial_start=0.5", "data.batch_size=2"]
    done = python(*command, *overrides, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    command = ["-m", "wavegan", "evaluate", "runs/folder", "--manifest", "data/folder/test.jsonl", "-o", "test"]
    done = python(*command, "--limit", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "pesq" in json.loads((tmp_path / "test/metrics.json").read_text())["means"]["folder"]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--wavs", "nowhere"], "nowhere is not a folder"),
        (["--wavs", "empty"], "holds no sound files"),
        (["--wavs", "one"], "1 files can't give 1 for validation"),
    ],
)
def test_folder_recipe_refusals(tmp_path, options, expected):
    (tmp_path / "empty").mkdir()
    (tmp_path / "one").mkdir()
    audio.write(tmp_path / "one" / "a.wav", speech_like(1.0), RATE)
    done = python(ROOT / "recipes/folder/prepare.py", *options, cwd=tmp_path)
    assert done.returncode == 2 and expected in done.stderr and "Traceback" not in done.stderr
    assert not list(tmp_path.rglob("train.jsonl"))


def test_prompts_recipe_on_a_miniature_of_the_packages(tmp_path):
    if shutil.which("ffmpeg") is None:
        pytest.fail("this test needs ffmpeg: apt-get install ffmpeg")
    audio.write(tmp_path / "a.wav", speech_like(0.7), RATE)
    voices = ["en_US_f_Allison", "es_MX_f_Allison", "it_IT_m_Carlo"]
    for voice in voices:
        folder = tmp_path / "raw" / "usr" / voice / "digits"
        folder.mkdir(parents=True)
        for i in range(40):
            command = ["ffmpeg", "-v", "error", "-i", tmp_path / "a.wav", "-f", "g722", folder / f"{i}.g722"]
            if i == 0:
                subprocess.run(command, check=True)
            else:
                shutil.copy(folder / "0.g722", folder / f"{i}.g722")
    (tmp_path / "raw" / "usr" / voices[0] / "empty.g722").touch()
    script = ROOT / "recipes/prompts/prepare.py"
    done = python(script, "--source", "raw", "--output", "out", "--hold-out", "carlo", cwd=tmp_path)
    assert done.returncode == 2 and "80 files can't give 24 for validation, 60 for test" in done.stderr
    options = ["--source", "raw", "--output", "out", "--hold-out", "carlo", "--num-valid", 4, "--num-test", 6]
    done = python(script, *options, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "train 70, valid 4, test 6, held_out 40" in done.stdout and "empty file" in done.stdout
    held_out = manifest.read(tmp_path / "out" / "held_out.jsonl")
    assert {u.speaker for u in held_out} == {"carlo"} and held_out[0].id == "it/digits/0"
    done = python(script, "--source", "a.wav", cwd=tmp_path)
    assert done.returncode == 2 and "no .g722 prompts" in done.stderr


def test_published_and_bench_scripts_run(tmp_path):
    done = python(ROOT / "recipes/prompts/published.py", "published", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "published/hifigan-v1-universal/generator.safetensors").is_file()
    done = python(ROOT / "recipes/bench.py", "--seconds", 0.2, "--repeats", 1, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "vocoder-16k (ours)" in done.stdout and "13,926,017" in done.stdout and "13,531,650" in done.stdout
