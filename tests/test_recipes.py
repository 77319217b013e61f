"""Recipes from a corpus on disk to a scored model, with the real recipe files cut to a few steps."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import RATE, speech_like
from wavegan import audio
from wavegan.data import manifest

pytestmark = pytest.mark.usefixtures("forks")

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
    overrides = ["trainer.max_steps=4", "trainer.adversarial_start=0.5", "data.global_batch_size=2"]
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
        (["--wavs", "empty"], "has no sound files"),
        (["--wavs", "one"], "1 files can't give 1 for validation"),
        (["--wavs", "."], "data/folder is inside ., so that a second run would read"),
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


def test_a_package_cut_short_goes_to_be_downloaded_again(tmp_path):
    if shutil.which("dpkg-deb") is None:
        pytest.skip("no dpkg-deb")
    package = tmp_path / "out" / "raw" / "asterisk-core-sounds-en-g722_1.6.1-1_all.deb"
    package.parent.mkdir(parents=True)
    package.write_bytes(b"!<arch>\n")
    done = python(ROOT / "recipes/prompts/prepare.py", "--output", "out", cwd=tmp_path)
    assert done.returncode == 2 and "dpkg-deb" in done.stderr and "Traceback" not in done.stderr
    assert not package.exists()


def test_published_script_runs(tmp_path):
    done = python(ROOT / "recipes/prompts/published.py", "published", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "published/hifigan-v1-universal/generator.safetensors").is_file()


TINY = ["data.global_batch_size=2", "trainer.num_samples=0", "trainer.valid_interval=100", "trainer.accelerator=cpu"]


def train_stages(folder: Path, name: str, stages: dict[str, list[str]]) -> None:
    """What recipes/run.sh does, a few steps a stage."""
    for stage, overrides in stages.items():
        run = f"runs/{name}" if stage == list(stages)[-1] else f"runs/{name}-{stage}"
        command = ["-m", "wavegan", "train", ROOT / f"recipes/{name}/{stage}.yaml", "--run", run, *TINY, *overrides]
        done = python(*command, cwd=folder)
        assert done.returncode == 0, done.stderr


def miniature_fsdd(folder: Path) -> Path:
    """Digits of two speakers in the archive's layout; 0 to 4 is the test split, 5 and 6 validation."""
    recordings = folder / "free-spoken-digit-dataset" / "recordings"
    recordings.mkdir(parents=True)
    for digit in range(10):
        for speaker in ("jackson", "theo"):
            for index in (0, 4, 5, 7):
                waveform = speech_like(0.3, 8000, seed=digit + index) * (0.1 if speaker == "theo" else 1)
                audio.write(recordings / f"{digit}_{speaker}_{index}.wav", waveform, 8000)
    return folder


def test_fsdd_recipe_on_a_miniature(tmp_path):
    source = miniature_fsdd(tmp_path / "source")
    script = ROOT / "recipes/fsdd/prepare.py"
    done = python(script, "--source", source, cwd=tmp_path)
    assert done.returncode == 2 and "80 recordings have the SHA-256" in done.stderr and not (tmp_path / "data").exists()
    done = python(script, "--source", "nowhere.tar.gz", cwd=tmp_path)
    assert done.returncode == 2 and "No such archive: nowhere.tar.gz" in done.stderr
    sha = done_sha(python(script, "--source", source, cwd=tmp_path).stderr)
    copy = tmp_path / "prepare.py"
    text = script.read_text()
    copy.write_text(text.replace(text.split('RECORDINGS_SHA256 = "')[1][:64], sha))
    done = python(copy, "--source", source, "--output", "data/fsdd", cwd=tmp_path)
    assert done.returncode == 0 and "train 20, valid 20, test 40 -> data/fsdd" in done.stdout, done.stderr
    first = manifest.read(tmp_path / "data/fsdd/train.jsonl")[0]
    assert (first.id, first.label, first.speaker) == ("0_jackson_7", "0", "jackson")
    for utterance in manifest.read(tmp_path / "data/fsdd/test.jsonl"):
        assert abs(float(audio.read(utterance.path)[0].abs().max()) - 0.7) < 1e-3
    train_stages(tmp_path, "fsdd", {stage: ["trainer.max_steps=2"] for stage in ("vocoder", "frames", "digits")})
    done = python("-m", "wavegan", "digits", "42", "-o", "n.wav", "-m", "runs/fsdd", "--speaker", "theo", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "n.wav").is_file(), done.stderr
    train_stages(
        tmp_path,
        "fsdd",
        {"wavegan": ["trainer.max_steps=1", "generator.dim=1", "discriminators.0.dim=1", "--run", "runs/wavegan"]},
    )


def done_sha(text: str) -> str:
    return text.split("have the SHA-256 ")[1][:64]


def test_sc09_recipe_on_a_miniature(tmp_path):
    source = tmp_path / "commands"
    for word in ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "backward"):
        (source / word).mkdir(parents=True)
        for speaker in ("0a7c2a8d", "0b09edd3", "0c5027de"):
            audio.write(source / word / f"{speaker}_nohash_0.wav", speech_like(0.9, seed=len(word)), RATE)
    script = ROOT / "recipes/sc09/prepare.py"
    done = python(script, "--source", source, cwd=tmp_path)
    assert done.returncode == 2 and "no folder there has zero and backward and validation_list.txt" in done.stderr
    (source / "validation_list.txt").write_text("".join(f"{p.name}/0b09edd3_nohash_0.wav\n" for p in source.iterdir()))
    (source / "testing_list.txt").write_text("".join(f"{p.name}/0c5027de_nohash_0.wav\n" for p in source.iterdir()))
    done = python(script, "--source", source, cwd=tmp_path)
    assert done.returncode == 0 and "train 10, valid 10, test 10 -> data/sc09" in done.stdout, done.stderr
    test = manifest.read(tmp_path / "data/sc09/test.jsonl")
    assert {u.speaker for u in test} == {"0c5027de"} and {u.label for u in test} >= {"zero", "nine"}
    name = "speech_commands_v0.02.tar.gz"
    (tmp_path / name).write_bytes(b"not the archive")
    done = python(script, "--source", name, cwd=tmp_path)
    assert done.returncode == 2 and "expected af14739ee7dc" in done.stderr
    train_stages(tmp_path, "sc09", {stage: ["trainer.max_steps=1"] for stage in ("vocoder", "frames", "digits")})
    done = python("-m", "wavegan", "digits", "90", "-o", "n.wav", "-m", "runs/sc09", cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "n.wav").is_file(), done.stderr


def test_labelled_folder_recipe_and_its_refusals(tmp_path):
    script = ROOT / "recipes/labelled_folder/prepare.py"
    for name in ("kick", "snare drum"):
        (tmp_path / "drums" / name).mkdir(parents=True)
        for i in range(4):
            audio.write(tmp_path / "drums" / name / f"{i}.wav", speech_like(0.3, RATE, seed=i), RATE)
    done = python(script, "--wavs", "drums", cwd=tmp_path)
    assert done.returncode == 0 and "train 4, valid 2, test 2 -> data/labelled_folder" in done.stdout, done.stderr
    stages = {stage: ["trainer.max_steps=1"] for stage in ("vocoder", "frames", "clips")}
    train_stages(tmp_path, "labelled_folder", stages)
    command = ["-m", "wavegan", "generate", "kick", "snare drum", "-o", "out.wav", "-m", "runs/labelled_folder"]
    done = python(*command, cwd=tmp_path)
    assert done.returncode == 0 and (tmp_path / "out.wav").is_file(), done.stderr

    audio.write(tmp_path / "drums/kick/other.wav", speech_like(0.3, 8000), 8000)
    done = python(script, "--wavs", "drums", "--output", "other", cwd=tmp_path)
    assert done.returncode == 2 and "different sample rates: 8 at 16000 Hz, 1 at 8000 Hz" in done.stderr
    assert not (tmp_path / "other").exists()
    assert python(script, "--wavs", "drums", "--output", "other", "--mixed", cwd=tmp_path).returncode == 0
    (tmp_path / "drums/empty").mkdir()
    done = python(script, "--wavs", "drums", "--output", "third", cwd=tmp_path)
    assert done.returncode == 2 and "Too few clips in drums: empty (0)" in done.stderr
    shutil.copy(tmp_path / "drums/kick/0.wav", tmp_path / "drums/empty/only.wav")
    done = python(script, "--wavs", "drums", "--output", "third", cwd=tmp_path)
    assert done.returncode == 2 and "empty (1)" in done.stderr and not (tmp_path / "third").exists()
    done = python(script, "--wavs", "drums/kick", "--output", "third", cwd=tmp_path)
    assert done.returncode == 2 and "has 0 sub-folders" in done.stderr
