"""From a folder of anything to manifests: what is kept, what is left out and why, splits, interruption."""

from __future__ import annotations

import json
import os
import pickle
import shutil
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
from wavegan import UserError, audio
from wavegan.audio.log_mel import LogMelConfig
from wavegan.core.sequences import limited
from wavegan.data import conversion_log, manifest
from wavegan.data.executors import EXECUTORS
from wavegan.data.manifest import Utterance
from wavegan.data.prepare import prepare, write_manifests
from wavegan.data.segments import DataConfig, Segments
from wavegan.data.source import Settings, Source, sources_in

ROOT = Path(__file__).parent.parent
FEATURES = LogMelConfig(sample_rate=RATE, n_fft=512, hop_length=128, n_mels=20)


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
    report = prepare(sources_in(folder), tmp_path / "out", Settings(RATE))
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
        prepare(sources_in(tmp_path), tmp_path / "out", Settings(RATE))
    audio.write(tmp_path / "b.wav", speech_like(1.0), RATE)
    sources = sources_in(tmp_path)
    prepare(sources, tmp_path / "out", Settings(8000))  # nothing was kept: other settings mix with nothing
    with pytest.raises(UserError, match="Choose another --output"):
        prepare(sources, tmp_path / "out", Settings(RATE))


def test_twin_ids_are_refused(tmp_path):
    with pytest.raises(UserError, match="have the same id 'x'"):
        prepare([Source(tmp_path / "a.wav", "x"), Source(tmp_path / "b.wav", "x")], tmp_path / "out", Settings(RATE))


@pytest.mark.usefixtures("forks")
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


def test_another_recording_under_the_same_name_is_converted_again(tmp_path):
    for name, seconds in (("a", 1.0), ("b", 1.5)):
        (tmp_path / name).mkdir()
        audio.write(tmp_path / name / "001.wav", speech_like(seconds), RATE)
    reports = [prepare(sources_in(tmp_path / name), tmp_path / "out", Settings(RATE)) for name in ("a", "b")]
    assert [report.kept[0].num_samples for report in reports] == [16000, 24000]


def test_a_full_disk_is_no_fault_of_the_recordings(tmp_path, monkeypatch):
    audio.write(tmp_path / "a.wav", speech_like(1.0), RATE)
    sources = sources_in(tmp_path)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(conversion_log, "write_durably", full)
        with pytest.raises(UserError, match="No space left on device"):
            prepare(sources, tmp_path / "out", Settings(RATE))
    assert not list(tmp_path.rglob("*.flac")) and not list(tmp_path.rglob("*.partial"))
    assert len(prepare(sources, tmp_path / "out", Settings(RATE)).kept) == 1


def made(folder: Path, sources: list[Source]) -> dict[str, int]:
    """Prepare; which files there are, and what would change if one were made again."""
    kept = prepare(sources, folder, Settings(RATE), num_workers=1).kept  # in this order
    return {utterance.id: utterance.path.stat().st_ino for utterance in kept}


def test_what_is_finished_is_told_by_more_than_its_time(tmp_path):
    for name, seconds in (("w/a", 1.0), ("w/b", 1.0), ("x/a", 1.5)):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        audio.write(tmp_path / f"{name}.wav", speech_like(seconds), RATE)
        os.utime(tmp_path / f"{name}.wav", (1e9, 1e9))  # as archives and copies do
    out = tmp_path / "out"
    first = made(out, sources_in(tmp_path / "w"))
    for path in out.glob("audio/*.flac"):
        os.utime(path, (2e9, 2e9))  # a disk that keeps other times
    assert made(out, sources_in(tmp_path / "w")) == first
    (tmp_path / "x" / "a.wav").replace(tmp_path / "w" / "a.wav")
    second = made(out, sources_in(tmp_path / "w"))
    assert second["b"] == first["b"] and audio.probe(out / "audio" / "a.flac").num_samples == 24000
    shutil.copytree(tmp_path / "w", tmp_path / "y")  # times and sizes are copied: still others
    assert made(out, sources_in(tmp_path / "y"))["b"] != first["b"]


def test_a_damaged_file_is_made_again_and_what_a_kill_left_goes(tmp_path):
    (tmp_path / "w").mkdir()
    for name in "abc":
        audio.write(tmp_path / "w" / f"{name}.wav", speech_like(1.0), RATE)
    out = tmp_path / "out"
    first = made(out, sources_in(tmp_path / "w"))
    whole = (out / "audio" / "a.flac").read_bytes()
    (out / "audio" / "a.flac").write_bytes(whole[: len(whole) // 2])
    for name in (".b.flac.1.partial", ".b.flac.2.partial"):
        (out / "audio" / name).write_bytes(b"half")
    os.utime(out / "audio" / ".b.flac.1.partial", (1e9, 1e9))
    log = (out / "converted.log").read_bytes()
    (out / "converted.log").write_bytes(log[:-9])  # the last line cut short
    again = made(out, sources_in(tmp_path / "w"))
    assert (out / "audio" / "a.flac").read_bytes() == whole
    assert [path.name for path in out.rglob("*.partial")] == [".b.flac.2.partial"]  # perhaps of another process
    assert sorted(again) == sorted(first) and sum(again[name] == first[name] for name in "bc") == 1
    assert made(out, sources_in(tmp_path / "w")) == again
    (out / "settings.json").write_bytes(b"\xff")
    with pytest.raises(UserError, match="was prepared with .xff, now"):
        made(out, sources_in(tmp_path / "w"))


def test_hidden_files_and_long_names(tmp_path):
    audio.write(tmp_path / "a.wav", speech_like(1.0), RATE)
    for name in ("._a.wav", ".cache/a.wav", "__MACOSX/a.wav", f"{'a' * 240}.wav", "あ" * 81 + ".wav"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes((tmp_path / "a.wav").read_bytes())
    report = prepare(sources_in(tmp_path), tmp_path / "out", Settings(RATE))
    assert [u.id for u in report.kept] == ["a"] and len(report.rejected) == 2
    assert all("shorten it" in reason for _, reason in report.rejected)


def test_odd_names_and_absurd_rates_are_left_out_with_a_reason(tmp_path):
    (tmp_path / "w").mkdir()
    audio.write(tmp_path / "w" / "good.wav", speech_like(1.0), RATE)
    data = bytearray((tmp_path / "w" / "good.wav").read_bytes())
    data[24:28] = (2_000_000_000).to_bytes(4, "little")
    (tmp_path / "w" / "absurd.wav").write_bytes(data)
    audio.write(tmp_path / "w" / "odd.wav", speech_like(1.0, 22257), 22257)
    with open(os.fsencode(tmp_path / "w") + b"/caf\xe9.wav", "wb") as file:
        file.write((tmp_path / "w" / "good.wav").read_bytes())
    report = prepare(sources_in(tmp_path / "w"), tmp_path / "out", Settings(RATE))
    assert {u.id for u in report.kept} == {"good", "odd"}
    assert {reason.split(":")[0] for _, reason in report.rejected if "UTF-8" in reason}
    assert any("2000000000 samples a second" in reason for _, reason in report.rejected)
    assert report.kept[1].num_samples == pytest.approx(16000, abs=2)


def test_the_summary_says_hours_speakers_and_rates(tmp_path):
    for i, rate in enumerate((16000, 44100, 44100)):
        audio.write(tmp_path / f"{i}.wav", speech_like(1.0, rate), rate)
    sources = [Source(tmp_path / f"{i}.wav", f"s{i}", speaker=f"p{i // 2}") for i in range(3)]
    sources.append(Source(tmp_path / "0.wav", "bad", fault="on a list"))
    for _ in range(2):  # the second time from what is there already
        text = str(prepare(sources, tmp_path / "out", Settings(RATE)))
        assert "Kept 3 recordings of 2 speakers, 0.00 h; left out 1." in text
        assert "recorded at 44100 Hz (2), 16000 Hz (1)" in text and "left out 1: on a list (0.wav)" in text


def test_pieces_of_long_recordings_are_the_samples_between(tmp_path):
    audio.write(tmp_path / "long.flac", speech_like(4.0, RATE), RATE)
    spans = {"a": (0.5, 2.0), "b": (3.0, 4.5)}
    sources = [Source(tmp_path / "long.flac", id, span=span) for id, span in spans.items()]
    report = prepare(sources, tmp_path / "out", Settings(RATE))
    assert [u.id for u in report.kept] == ["a"] and "without a span from" in report.rejected[0][1]
    piece, _ = audio.read(report.kept[0].path)
    whole, _ = audio.read(tmp_path / "long.flac")
    assert (piece - whole[8000:32000]).abs().max() <= 1 / 32768


def test_a_piece_that_begins_elsewhere_is_cut_again_and_only_that(tmp_path):
    audio.write(tmp_path / "long.flac", speech_like(4.0, RATE), RATE)
    whole, _ = audio.read(tmp_path / "long.flac")
    states = []
    for begin in (0.5, 0.5, 1.0):
        spans = {"a": (begin, begin + 1.5), "b": (2.0, 3.0)}
        sources = [Source(tmp_path / "long.flac", id, span=span) for id, span in spans.items()]
        paths = [u.path for u in prepare(sources, tmp_path / "out", Settings(RATE)).kept]
        piece, first = audio.read(paths[0])[0], int(begin * RATE)
        assert (piece - whole[first : first + 24000]).abs().max() <= 1 / 32768
        states.append([path.stat().st_ino for path in paths])
    assert states[0] == states[1] and states[1][1] == states[2][1]


def test_a_summary_of_many_different_reasons_stays_short(tmp_path):
    audio.write(tmp_path / "a.wav", speech_like(1.0), RATE)
    sources = [Source(tmp_path / "a.wav", "a")]
    sources += [Source(tmp_path / "a.wav", f"b{i}", fault=f"reason {i // 2}") for i in range(60)]
    text = str(prepare(sources, tmp_path / "out", Settings(RATE)))
    assert "left out 60." in text and text.count("\n") == 14 and "left out 36 for other reasons" in text
    assert (tmp_path / "out" / "report.txt").read_text().count("reason 29") == 2


@pytest.mark.parametrize("id", ["../x", "a/../../x", "/tmp/x"])
def test_an_id_never_leads_out_of_the_folder(tmp_path, id):
    audio.write(tmp_path / "a.wav", speech_like(1.0), RATE)
    with pytest.raises(UserError, match="leads out of the folder"):
        prepare([Source(tmp_path / "a.wav", id)], tmp_path / "sub" / "out", Settings(RATE))
    assert not list(tmp_path.rglob("x.flac"))
    (tmp_path / "here").mkdir()  # but the folder may be given by any way
    report = prepare([Source(tmp_path / "a.wav", "a")], tmp_path / "here" / ".." / "out", Settings(RATE))
    assert len(report.kept) == 1


def test_settings_that_make_no_sense():
    with pytest.raises(UserError, match="between -70 and 0 LUFS, such as -23; got 23"):
        Settings(RATE, loudness=23)
    with pytest.raises(UserError, match="Loudness needs at least 4000 Hz, got 2000 Hz"):
        Settings(2000, loudness=-23)
    with pytest.raises(UserError, match="between 1000 and 384000 Hz, got 16"):
        Settings(16)


def test_a_rate_that_flac_has_not(tmp_path):
    audio.write(tmp_path / "a.wav", speech_like(1.0), RATE)
    with pytest.raises(UserError, match="FLAC doesn't support 88201 Hz: .* Use another sample rate"):
        prepare(sources_in(tmp_path), tmp_path / "out", Settings(88201))


def test_an_executor_may_run_elsewhere(tmp_path, monkeypatch):
    def elsewhere(convert, sources, num_workers):
        convert = pickle.loads(pickle.dumps(convert))
        return ((source, convert(source)) for source in reversed(sources))

    monkeypatch.setitem(EXECUTORS, "elsewhere", elsewhere)
    (tmp_path / "w").mkdir()
    for name in "ab":
        audio.write(tmp_path / "w" / f"{name}.wav", speech_like(1.0), RATE)
    sources = sources_in(tmp_path / "w")
    report = prepare(sources, tmp_path / "out", Settings(RATE), executor="elsewhere")
    assert report == prepare(sources, tmp_path / "out", Settings(RATE)) and len(report.kept) == 2
    with pytest.raises(UserError, match="No executor 'thread'. There are: threads, elsewhere"):
        prepare(sources, tmp_path / "out", Settings(RATE), executor="thread")


def test_a_limit_is_spread_evenly():
    sources = [Source(Path(f"{i}.wav"), str(i)) for i in range(10)]
    assert [s.id for s in limited(sources, 3)] == ["0", "3", "6"] and limited(sources, 99) == sources
    with pytest.raises(UserError, match="at least 1, got 0"):
        limited(sources, 0)


def test_a_new_split_removes_the_old_one(tmp_path):
    report = utterances(50)
    write_manifests(tmp_path, manifest.split(report, 2, 2, held_out_speakers=["s3"]))
    assert (tmp_path / "held_out.jsonl").exists()
    write_manifests(tmp_path, manifest.split(report, 2, 2))
    assert not (tmp_path / "held_out.jsonl").exists()


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
        ({"num_valid": -5, "num_test": 2}, "at least 1 for validation"),
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


def test_texts_with_odd_line_ends_come_back(tmp_path):
    one = utterances(1)[0].model_copy(update={"text": "a\u2028b\x85c"})
    manifest.write(tmp_path / "m.jsonl", [one])
    assert manifest.read(tmp_path / "m.jsonl") == [one]


def test_manifest_paths_move_with_their_folder(corpus, tmp_path):
    moved = tmp_path / "elsewhere"
    os.rename(corpus, moved)
    assert all(u.path.is_file() for u in manifest.read(moved / "train.jsonl"))
    assert json.loads((moved / "train.jsonl").read_text().splitlines()[0])["path"] == "clip 0.flac"


def test_segments_depend_on_seed_step_and_place_only(corpus):
    found = manifest.read(corpus / "train.jsonl")
    config = DataConfig(train=corpus, valid=corpus, segment_length=1024, global_batch_size=4, gain_db=(-6, 3))
    one, other = (Segments(found, config, FEATURES, seed=1) for _ in range(2))
    one.batch(3)  # what was drawn before doesn't matter
    assert (one.batch(7).waveform == other.batch(7).waveform).all()
    assert not (one.batch(7).waveform == one.batch(8).waveform).all()
    halves = [one.batch(7, rank, 2).waveform for rank in (0, 1)]
    assert (np.concatenate(halves) == other.batch(7).waveform.numpy()).all()


def test_segments_of_short_clips_are_padded(corpus):
    found = manifest.read(corpus / "train.jsonl")
    config = DataConfig(train=corpus, valid=corpus, segment_length=32000, global_batch_size=2)
    batch = Segments(found, config, FEATURES, seed=0).batch(0).waveform
    assert batch.shape == (2, 1, 32000) and (batch[..., -100:] == 0).all() and (batch[..., :8000] != 0).any()


def test_all_unusable_recordings_of_a_manifest_come_in_one_report(corpus):
    found = manifest.read(corpus / "train.jsonl")
    audio.write(corpus / "silent.flac", np.zeros(4000), RATE)
    audio.write(corpus / "short.flac", speech_like(0.01), RATE)
    faults = {
        "its manifest has 5": {"num_samples": 5},
        "No such file": {"path": corpus / "gone.flac"},
        "is silent": {"path": corpus / "silent.flac", "num_samples": 4000},
        "less than n_fft = 512": {"path": corpus / "short.flac", "num_samples": 160},
    }
    changed = [found[0].model_copy(update=change) for change in faults.values()]
    with pytest.raises(UserError, match="4 of 5 recordings can't be used") as caught:
        Segments([found[1], *changed], DataConfig(train=corpus, valid=corpus), FEATURES, seed=0)
    assert all(fault in str(caught.value) for fault in faults)
