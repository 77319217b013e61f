"""From a folder of anything to manifests: what is kept, what is left out and why, splits, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.conftest import RATE, speech_like
from tests.test_audio import bad_files
from wavegan import UserError, audio, manifest
from wavegan.data import DataConfig, Segments
from wavegan.manifest import Utterance
from wavegan.prepare import Source, prepare, sources_in

ROOT = Path(__file__).parent.parent


def test_a_messy_folder_becomes_clean_flac(tmp_path):
    folder = tmp_path / "meine Aufnahmen ñ"
    (folder / "sub").mkdir(parents=True)
    bad_files(folder)
    for name in ("good.flac", "header.wav"):
        (folder / name).unlink()
    stereo = np.stack([speech_like(1.0, 44100).numpy()] * 2, 1)
    soundfile.write(folder / "sub" / "a.wav", stereo, 44100)
    soundfile.write(folder / "sub" / "a.ogg", stereo, 44100)
    soundfile.write(folder / "silent.wav", np.zeros(RATE), RATE)
    audio.write(folder / "b.mp3", speech_like(1.0, 24000), 24000)
    report = prepare(sources_in(folder), tmp_path / "out", RATE, min_seconds=0.5)
    assert {u.id for u in report.kept} == {"sub/a.wav", "sub/a.ogg", "b"}
    assert all(soundfile.info(str(u.path)).samplerate == RATE for u in report.kept)
    reasons = {path.name: reason for path, reason in report.rejected}
    expected = {"good.wav": "shorter than 0.5 s", "silent.wav": "silent", "nan.wav": "not finite", "zero.wav": "empty"}
    expected |= {"cut.wav": "cut short", "text.wav": "not a sound file"}
    assert all(what in reasons[name] for name, what in expected.items())
    text = str(report)
    assert "Kept 3 recordings" in text and all(name in text for name in expected)
    assert (tmp_path / "out" / "report.txt").read_text().count("\n") > 7


def test_nothing_usable_is_one_error(tmp_path):
    audio.write(tmp_path / "a.wav", speech_like(0.1), RATE)
    with pytest.raises(UserError, match="None of 1 recordings can be used"):
        prepare(sources_in(tmp_path), tmp_path / "out", RATE)
    with pytest.raises(UserError, match="Choose another output folder"):
        prepare(sources_in(tmp_path), tmp_path / "out", 8000)


def test_twin_ids_are_refused(tmp_path):
    with pytest.raises(UserError, match="have the same id 'x'"):
        prepare([Source(tmp_path / "a.wav", "x"), Source(tmp_path / "b.wav", "x")], tmp_path / "out", RATE)


def test_killed_preparation_goes_on_and_redoes_nothing(tmp_path):
    folder, out = tmp_path / "wavs", tmp_path / "out"
    folder.mkdir()
    for i in range(40):
        audio.write(folder / f"{i:02d}.wav", speech_like(4.0, 44100, seed=i), 44100)
    command = [sys.executable, str(ROOT / "recipes/folder/prepare.py"), "--wavs", str(folder), "--output", str(out)]
    process = subprocess.Popen([*command, "--num-workers", "1"], stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while len(list(out.glob("audio/*.flac"))) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    done = {p: p.stat().st_mtime_ns for p in out.glob("audio/*.flac")}
    assert 3 <= len(done) < 40 and not (out / "train.jsonl").exists()
    again = subprocess.run(command, capture_output=True, text=True)
    assert again.returncode == 0 and "train 38, valid 1, test 1" in again.stdout
    assert all(p.stat().st_mtime_ns == when for p, when in done.items())
    assert len(manifest.read(out / "train.jsonl")) == 38


def utterances(count: int) -> list[Utterance]:
    return [
        Utterance(id=f"u{i}", path=Path(f"/x/{i}.wav"), sample_rate=RATE, num_samples=RATE, speaker=f"s{i % 5}")
        for i in range(count)
    ]


def test_splits_are_deterministic_and_disjoint():
    parts = manifest.split(utterances(50), 5, 10)
    assert [len(parts[name]) for name in ("train", "valid", "test")] == [35, 5, 10]
    assert len({u.id for part in parts.values() for u in part}) == 50
    shuffled = manifest.split(utterances(50)[::-1], 5, 10)
    assert all({u.id for u in parts[name]} == {u.id for u in shuffled[name]} for name in parts)
    by_speaker = manifest.split(utterances(50), 1, 1, by="speaker")
    speakers = [{u.speaker for u in by_speaker[name]} for name in ("train", "valid", "test")]
    assert [len(s) for s in speakers] == [3, 1, 1] and not speakers[0] & (speakers[1] | speakers[2])
    held = manifest.split(utterances(50), 2, 2, held_out_speakers=["s3"])
    assert {u.speaker for u in held["held_out"]} == {"s3"} and "s3" not in {u.speaker for u in held["train"]}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"num_valid": 40, "num_test": 10}, "50 files can't give 40"),
        ({"num_valid": 1, "num_test": 1, "by": "colour"}, "'file' or by 'speaker'"),
        ({"num_valid": 1, "num_test": 1, "held_out_speakers": ["carl"]}, "No such speaker: carl. There are: s0"),
        ({"num_valid": 3, "num_test": 2, "by": "speaker"}, "5 speakers"),
    ],
)
def test_impossible_splits(options, expected):
    with pytest.raises(UserError, match=expected):
        manifest.split(utterances(50), **options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "lists no utterances"),
        ("{", "line 1, is not JSON"),
        ('{"id": "a"}', "path: required, but missing"),
        ('{"id": "a", "path": "a", "sample_rate": 1, "num_samples": 1, "speeker": "x"}', "did you mean 'speaker'"),
        ('{"id": "a", "path": "a", "sample_rate": 1, "num_samples": 1}\n' * 2, "two utterances with the id 'a'"),
    ],
)
def test_bad_manifests(tmp_path, text, expected):
    (tmp_path / "m.jsonl").write_text(text)
    with pytest.raises(UserError, match=expected):
        manifest.read(tmp_path / "m.jsonl")


def test_manifest_paths_move_with_their_folder(corpus, tmp_path):
    moved = tmp_path / "elsewhere"
    os.rename(corpus, moved)
    assert all(u.path.is_file() for u in manifest.read(moved / "train.jsonl"))
    assert json.loads((moved / "train.jsonl").read_text().splitlines()[0])["path"] == "clip 0.flac"


def test_segments_depend_on_seed_step_and_place_only(corpus):
    found = manifest.read(corpus / "train.jsonl")
    config = DataConfig(train=corpus, valid=corpus, segment_length=1024, batch_size=4, gain_db=(-6, 3))
    one, other = (Segments(found, config, RATE, seed=1) for _ in range(2))
    one.batch(3)  # what was drawn before doesn't matter
    assert (one.batch(7).waveform == other.batch(7).waveform).all()
    assert not (one.batch(7).waveform == one.batch(8).waveform).all()
    halves = [one.batch(7, rank, 2).waveform for rank in (0, 1)]
    assert (np.concatenate(halves) == other.batch(7).waveform.numpy()).all()


def test_segments_of_short_clips_are_padded(corpus):
    found = manifest.read(corpus / "train.jsonl")
    config = DataConfig(train=corpus, valid=corpus, segment_length=32000, batch_size=2)
    batch = Segments(found, config, RATE, seed=0).batch(0).waveform
    assert batch.shape == (2, 1, 32000) and (batch[..., -100:] == 0).all() and (batch[..., :8000] != 0).any()


def test_a_manifest_that_no_longer_fits_its_files(corpus):
    found = manifest.read(corpus / "train.jsonl")
    config = DataConfig(train=corpus, valid=corpus)
    changed = [found[0].model_copy(update={"num_samples": 5})]
    with pytest.raises(UserError, match="its manifest says 5"):
        Segments(changed, config, RATE, seed=0)
