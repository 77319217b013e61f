"""Samples mapped from one file: the same batches, nothing read, and never those of another manifest."""

from __future__ import annotations

from unittest import mock

import pytest

from tests.conftest import RATE, speech_like
from wavegan import UserError, audio
from wavegan.audio.log_mel import LogMelConfig
from wavegan.data import manifest, memory_map
from wavegan.data.manifest import Utterance
from wavegan.data.prepare import write_manifests
from wavegan.data.segments import DataConfig, Segments

FEATURES = LogMelConfig(sample_rate=RATE, n_fft=512, hop_length=128, n_mels=20)


@pytest.fixture
def parts(tmp_path):
    utterances = []
    for i in range(6):
        audio.write(tmp_path / f"{i}.flac", speech_like(0.4 + 0.1 * i, RATE, seed=i), RATE)
        size = audio.probe(tmp_path / f"{i}.flac").num_samples
        utterances.append(Utterance(id=f"u{i}", path=tmp_path / f"{i}.flac", sample_rate=RATE, num_samples=size))
    return {"train": utterances[:4], "valid": utterances[4:5], "test": utterances[5:]}


def segments(path, **changes):
    data = DataConfig(train=path, valid=path, segment_length=4096, global_batch_size=8, gain_db=(-6, 3))
    features = FEATURES.model_copy(update=changes)
    return Segments(manifest.read(path), data, features, seed=3, samples=memory_map.find(path))


def test_batches_are_the_same_and_nothing_is_read(tmp_path, parts):
    path = tmp_path / "train.jsonl"
    write_manifests(tmp_path, parts)
    assert memory_map.find(path) is None
    read = segments(path).batch(5).waveform
    write_manifests(tmp_path, parts, memmap=True)
    assert len(list(tmp_path.glob("*.npy"))) == 2 and not list(tmp_path.glob(".*"))
    with mock.patch.object(audio, "read", side_effect=AssertionError):
        found = segments(path)
        assert (found.batch(5).waveform == read).all()
        write_manifests(tmp_path, parts, memmap=True)  # nothing to do
    with pytest.raises(UserError, match="the recipe expects 8000 Hz"):
        segments(path, sample_rate=8000)


def test_a_file_of_another_manifest_is_not_taken_and_goes(tmp_path, parts):
    path = tmp_path / "train.jsonl"
    write_manifests(tmp_path, parts, memmap=True)
    before = memory_map.place(path)
    (tmp_path / f".{before.name}.77.partial").touch()  # a kill
    manifest.write(path, parts["train"][1:])
    assert before.is_file() and memory_map.find(path) is None
    write_manifests(tmp_path, parts | {"train": parts["train"][1:]}, memmap=True)
    assert len(memory_map.find(path)) == sum(u.num_samples for u in parts["train"][1:])
    assert len([p for p in tmp_path.iterdir() if ".npy" in p.name]) == 2
    moved = tmp_path.rename(tmp_path.with_name("moved"))
    assert memory_map.find(moved / "train.jsonl") is not None
    write_manifests(moved, parts)  # not asked for any more
    assert not list(moved.glob("*.npy"))


def test_a_recording_of_the_same_length_is_not_missed(tmp_path, parts):
    write_manifests(tmp_path, parts, memmap=True)
    audio.write(parts["train"][0].path, speech_like(0.4, RATE, seed=9), RATE)
    write_manifests(tmp_path, parts, memmap=True)
    expected = memory_map.to_samples(audio.read(parts["train"][0].path)[0])
    assert (memory_map.find(tmp_path / "train.jsonl")[: len(expected)] == expected).all()


def test_bad_input_leaves_nothing(tmp_path, parts):
    with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=1000)):
        with pytest.raises(UserError, match="1e-06 GB are free. Leave out --memmap"):
            write_manifests(tmp_path, parts, memmap=True)
    audio.write(parts["train"][2].path, speech_like(2.0), RATE)
    with pytest.raises(UserError, match="2.flac has another length than"):
        write_manifests(tmp_path, parts, memmap=True)
    assert not [path for path in tmp_path.iterdir() if ".npy" in path.name]
