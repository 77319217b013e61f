"""Lhotse's manifests: lines as lhotse writes them; and, where it is installed, its own, and ours read by it."""

from __future__ import annotations

import gzip
import io
import json
import runpy
import sys
import tarfile
from pathlib import Path
from unittest import mock

import pytest

from tests.conftest import RATE, speech_like
from wavegan import UserError, audio
from wavegan.data import manifest
from wavegan.data.manifest import Utterance

RECIPE = Path(__file__).parent.parent / "recipes" / "lhotse"
sys.path.insert(0, str(RECIPE))  # as running its scripts does

import cuts  # noqa: E402


def recording(id: str, path: Path | str, seconds: float = 1.0, **changes: object) -> dict:
    source = {"type": "file", "channels": [0], "source": str(path)}
    sizes = {"sampling_rate": RATE, "num_samples": int(seconds * RATE), "duration": seconds, "channel_ids": [0]}
    return {"id": id, "sources": [source], **sizes} | changes


def cut(id: str, whole: dict, start: float, duration: float, **said: object) -> dict:
    supervisions = [{"id": id, "recording_id": whole["id"], "start": 0.0, "duration": duration, "channel": 0, **said}]
    span = {"start": start, "duration": duration, "channel": 0}
    return {"id": id, **span, "supervisions": supervisions, "recording": whole, "type": "MonoCut"}


def lines(path: Path, *records: dict) -> Path:
    data = "".join(json.dumps(record) + "\n" for record in records).encode()
    path.write_bytes(gzip.compress(data) if path.suffix == ".gz" else data)
    return path


def run(script: str, *arguments: object) -> None:
    with mock.patch.object(sys, "argv", [script, *map(str, arguments)]):
        runpy.run_path(str(RECIPE / script), run_name="__main__")


def test_cuts_become_files_and_go_back(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    audio.write(tmp_path / "long.flac", speech_like(12.0), RATE)
    whole = recording("long", tmp_path / "long.flac", 12.0)
    pieces = [cut(f"c{i}", whole, float(i), 1.0, speaker="anna", text="sí") for i in range(11)]
    pieces.append(cut("all", whole, 0.0, 12.0, custom={"label": "talk"}))
    run("prepare.py", "--source", lines(tmp_path / "cuts.jsonl.gz", *pieces), "--sample-rate", 8000)
    parts = {name: manifest.read(f"data/lhotse/{name}.jsonl") for name in ("train", "valid", "test")}
    found = {u.id: u for part in parts.values() for u in part}
    assert len(found) == 12 and (found["c3"].speaker, found["c3"].text, found["c3"].num_samples) == ("anna", "sí", 8000)
    assert found["all"].num_samples == 96000 and found["all"].label == "talk"
    run("export.py", "data/lhotse/train.jsonl", "back.jsonl")
    again = cuts.read(Path("back.jsonl"))
    kept = [(u.id, u.path.absolute(), u.speaker, u.text, u.label, None, None) for u in parts["train"]]
    assert [(s.id, s.path, s.speaker, s.text, s.label, s.span, s.fault) for s in again] == kept


def test_three_manifests_are_the_split(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    paths = []
    for part, count in (("train", 3), ("dev", 2), ("test", 1)):
        records = []
        for i in range(count):
            audio.write(tmp_path / f"{part}{i}.wav", speech_like(0.6, seed=i), RATE)
            records.append(recording(f"{part}{i}", tmp_path / f"{part}{i}.wav", 0.6))
        paths.append(lines(tmp_path / f"{part}.jsonl", *records))
    run("prepare.py", "--source", *paths, "--sample-rate", RATE, "--output", "data/x")
    assert [len(manifest.read(f"data/x/{name}.jsonl")) for name in ("train", "valid", "test")] == [3, 2, 1]


def shard(folder: Path, number: int, ids: list[str]) -> None:
    """As lhotse's SharWriter writes: each recording as a file named by its cut, and what is said of it, in one tar."""
    folder.mkdir(exist_ok=True)
    cuts = []
    with tarfile.open(folder / f"recording.{number:06d}.tar", "w") as tar:
        for i, id in enumerate(ids):
            audio.write(folder / "clip.flac", speech_like(1.0, seed=10 * number + i), RATE)
            whole = recording(id, "")
            whole["sources"][0] |= {"type": "shar"}
            cuts.append(cut(id, whole, 0.0, 1.0, speaker="anna", text="sí"))
            for suffix, data in ((".flac", (folder / "clip.flac").read_bytes()), (".json", json.dumps(whole).encode())):
                info = tarfile.TarInfo(id + suffix)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    (folder / "clip.flac").unlink()
    lines(folder / f"cuts.{number:06d}.jsonl.gz", *cuts)


def test_shards_are_read_one_after_the_other(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shard(tmp_path / "shar", 0, ["a.1-0", "b/c", "d", "e", "f"])
    shard(tmp_path / "shar", 1, ["g", "h", "i"])
    options = ("prepare.py", "--source", "shar", "--sample-rate", RATE)
    run(*options)
    found = {u.id: u for name in ("train", "valid", "test") for u in manifest.read(f"data/lhotse/{name}.jsonl")}
    assert sorted(found) == ["a.1-0", "b/c", "d", "e", "f", "g", "h", "i"]
    assert found["b/c"].text == "sí" and found["h"].speaker == "anna"
    for id, seed in (("b/c", 1), ("h", 11)):
        waveform, _ = audio.read(found[id].path)
        assert (waveform - speech_like(1.0, seed=seed)).abs().max() < 1e-4
    places = {path: path.stat().st_ino for path in (tmp_path / "data").rglob("*.flac")}
    run(*options)
    assert places == {path: path.stat().st_ino for path in (tmp_path / "data").rglob("*.flac")}


def test_bad_shards(tmp_path):
    with pytest.raises(UserError, match="has no shards of Lhotse"):
        cuts.read_shards(tmp_path, tmp_path / "work")
    shard(tmp_path / "shar", 0, ["a", "b"])
    (alone, _) = cuts.read(tmp_path / "shar" / "cuts.000000.jsonl.gz")
    assert alone.fault == "it is in a shard: give the folder of the shards"
    data = (tmp_path / "shar" / "recording.000000.tar").read_bytes()
    (tmp_path / "shar" / "recording.000000.tar").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="recording.000000.tar can't be extracted"):
        cuts.read_shards(tmp_path / "shar", tmp_path / "work")
    (tmp_path / "shar" / "recording.000000.tar").unlink()
    with pytest.raises(UserError, match="No such archive: .*recording.000000.tar"):
        cuts.read_shards(tmp_path / "shar", tmp_path / "work")
    assert not list((tmp_path / "work").iterdir())


def test_what_is_no_plain_file_is_left_out_with_the_reason(tmp_path):
    url = recording("u", "https://x.org/a.wav")
    url["sources"][0]["type"] = "url"
    stereo = recording("s", "a.wav")
    stereo["sources"][0]["channels"] = [0, 1]
    changed = recording("c", "a.wav", transforms=[{"name": "Resample"}])
    found = cuts.read(lines(tmp_path / "r.jsonl", url, stereo, changed, recording("fine", "a.wav")))
    assert [bool(s.fault) for s in found] == [True, True, True, False]
    assert "'url'" in found[0].fault and "several channels" in found[1].fault and "on the fly" in found[2].fault


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("none.jsonl", None, "is not a manifest of Lhotse"),
        ("cuts.json", b"[]", "is not a manifest of Lhotse: give a file that ends in .jsonl or .jsonl.gz"),
        ("empty.jsonl", b"\n", "lists nothing"),
        ("text.jsonl", b"hello", "can't be read as JSON lines"),
        ("list.jsonl", b"[1]", "a line is not a mapping"),
        ("half.jsonl.gz", gzip.compress(b'{"id": 1}' * 999, mtime=0)[:30], "can't be read as JSON lines"),
        (
            "said.jsonl",
            b'{"id": "a", "start": 0}',
            "line 1, is not a recording or a single-channel cut .'sources' is missing",
        ),
        ("none.jsonl", b'{"id": "a", "sources": []}', "line 1, is not a recording"),
        ("mixed.jsonl", b'{"id": "a", "type": "MixedCut", "tracks": []}', "it is a MixedCut"),
    ],
)
def test_bad_manifests(tmp_path, name, content, expected):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(UserError, match=expected):
        cuts.read(tmp_path / name)


def test_odd_values_of_a_cut_are_taken_or_refused(tmp_path):
    cuts.write(
        tmp_path / "cuts.jsonl", [Utterance(id="a", path=tmp_path / "a.flac", sample_rate=RATE, num_samples=RATE)]
    )
    cut = json.loads((tmp_path / "cuts.jsonl").read_text())

    def read(**changes):
        (tmp_path / "odd.jsonl").write_text(json.dumps(cut | changes))
        return cuts.read(tmp_path / "odd.jsonl")

    (source,) = read(id=5, supervisions=[{"speaker": 103, "custom": {"label": 3}}])
    assert (source.id, source.speaker, source.label, source.text) == ("5", "103", "3", None)
    for change in ({"start": float("nan")}, {"supervisions": ["said"]}, {"supervisions": [{"custom": [3]}]}):
        with pytest.raises(UserError, match="line 1, is not a recording or a single-channel cut"):
            read(**change)


def test_a_cutset_has_a_name_that_lhotse_reads(tmp_path):
    one = Utterance(id="a", path=tmp_path / "a.flac", sample_rate=RATE, num_samples=RATE)
    with pytest.raises(UserError, match="end in .jsonl or .jsonl.gz"):
        cuts.write(tmp_path / "cuts.json", [one])
    assert not list(tmp_path.iterdir())


def test_lhotse_reads_ours_and_we_read_its_own(tmp_path):
    package = pytest.importorskip("lhotse", reason="pip install 'wavegan[lhotse]'")
    audio.write(tmp_path / "a.flac", speech_like(2.0), RATE)
    one = Utterance(id="a", path=tmp_path / "a.flac", sample_rate=RATE, num_samples=2 * RATE, speaker="s", label="l")
    cuts.write(tmp_path / "ours.jsonl.gz", [one])
    (theirs,) = package.CutSet.from_file(tmp_path / "ours.jsonl.gz")
    assert theirs.load_audio().shape == (1, 2 * RATE) and theirs.supervisions[0].speaker == "s"
    package.CutSet.from_cuts([theirs.truncate(offset=0.5, duration=1.0)]).to_file(tmp_path / "theirs.jsonl.gz")
    (source,) = cuts.read(tmp_path / "theirs.jsonl.gz")
    assert source.span == (0.5, 1.5) and (source.speaker, source.label) == ("s", "l")
    assert source.path == tmp_path / "a.flac"
    recordings = package.RecordingSet.from_recordings([package.Recording.from_file(tmp_path / "a.flac")])
    recordings.to_file(tmp_path / "recordings.jsonl.gz")
    assert cuts.read(tmp_path / "recordings.jsonl.gz")[0].id == "a"
