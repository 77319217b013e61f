"""The recipes of published corpora, on miniatures in their real layouts: what scan() finds, prepared, trained."""

from __future__ import annotations

import runpy
import shutil
import sys
from pathlib import Path
from unittest import mock

import pytest
import torch

from tests.miniatures import MINIATURES, clip, text
from wavegan import UserError, audio
from wavegan.audio import loudness
from wavegan.data import manifest
from wavegan.data.corpus import Corpus, divide, find
from wavegan.data.source import Source
from wavegan.models.discriminators import Discriminators
from wavegan.training import runs
from wavegan.training.presets import FAMILIES, recipe_text
from wavegan.training.recipe import load_recipe
from wavegan.training.trainer import Trainer

RECIPES = Path(__file__).parent.parent / "recipes"
RATES = (16000, 22050, 24000, 32000, 44100, 48000)
TINY = ["trainer.max_steps=2", "trainer.num_samples=0", "trainer.accelerator=cpu", "data.global_batch_size=1"]
TINY_SPECTRAL = ["generator.dim=16", "generator.num_blocks=1", "trainer.adversarial_start=0.5"]
TINY_JUDGES = ["discriminators.0.channels=[4, 8]", "discriminators.1.channels=2"]
SMALL = {
    "hifigan_v1": [
        "generator.upsample_initial_channel=16",
        "generator.resblock_kernel_sizes=[3]",
        "generator.resblock_dilation_sizes=[[1]]",
        "discriminators.0.channels=[4, 8]",
        "discriminators.1.channels=[16, 16, 16, 16, 16, 16, 16]",
    ],
    "spectral_small": TINY_SPECTRAL + TINY_JUDGES,
    "spectral_large": TINY_SPECTRAL + TINY_JUDGES,
}


def script(name: str) -> dict:
    return runpy.run_path(str(RECIPES / name / "prepare.py"))


def scanned(name: str, folder: Path) -> dict[str, Source]:
    """What a recipe finds in a miniature of its corpus, by id; ids are unique."""
    MINIATURES[name](folder)
    recipe = script(name)
    sources = find(recipe["CORPUS"], recipe["scan"], [folder])
    found = {source.id: source for source in sources}
    assert len(found) == len(sources)
    return found


def prepare(name: str, *options: object) -> None:
    """A recipe's prepare.py as the command line runs it, in this process."""
    path = RECIPES / name / "prepare.py"
    argv, folders = [str(path), *map(str, options)], [str(path.parent), *sys.path]
    with mock.patch.object(sys, "argv", argv), mock.patch.object(sys, "path", folders):
        runpy.run_path(str(path), run_name="__main__")


def refused(capsys: pytest.CaptureFixture, name: str, *options: object) -> str:
    """The one sentence that a recipe's prepare.py ends with."""
    with pytest.raises(SystemExit) as stop:
        prepare(name, *options)
    error = capsys.readouterr().err
    assert stop.value.code == 2 and "error: " in error and "Traceback" not in error
    return error


def test_ljspeech(tmp_path):
    found = scanned("ljspeech", tmp_path)
    assert len(found) == 12  # quotation marks in the texts join no lines
    assert found["LJ001-0001"].text == '"an opening one only' and found["LJ001-0002"].text == "in fourteen sixty-five"
    assert found["LJ001-0003"].text == "the printer's"  # where the normalised text is empty, the other one


def test_libritts(tmp_path):
    found = scanned("libritts", tmp_path)
    assert len(found) == 12 and "103_1240_000001_000003" not in found  # a file that no table lists
    one = found["1034_1240_000001_000002"]
    assert (one.speaker, one.text, one.part) == ("1034", 'Mister "A"', "train") and one.path.is_file()
    assert {s.part for s in found.values() if s.speaker in ("84", "61")} == {"valid", "test"}


def test_libritts_r(tmp_path):
    found = scanned("libritts_r", tmp_path)
    assert [s.id for s in found.values() if s.fault] == ["103_1240_000001_000001"]


def test_libritts_r_without_its_list_of_failures_says_so(tmp_path, capsys):
    MINIATURES["libritts_r"](tmp_path)
    recipe = script("libritts_r")
    sources = find(recipe["CORPUS"], recipe["scan"], [tmp_path / "LibriTTS_R"])
    assert len(sources) == 12 and not any(s.fault for s in sources)
    assert "No *_bad_sample_list.txt in" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "other"), [("libritts", "libritts_r"), ("libritts_r", "libritts")])
def test_libritts_and_its_restored_twin_are_not_mistaken_for_each_other(name, other, tmp_path):
    MINIATURES[other](tmp_path)
    recipe = script(name)
    with pytest.raises(UserError, match="is part of LibriTTS.*, expected LibriTTS.*Use the recipe of that corpus"):
        find(recipe["CORPUS"], recipe["scan"], [tmp_path])


def test_vctk(tmp_path):
    found = scanned("vctk", tmp_path)
    assert len(found) == 16
    assert found["p225_001"].path.name == "p225_001_mic2.flac" and found["p225_001"].text == "Please call Stella 0."
    assert found["p280_002"].path.name == "p280_002_mic1.flac" and found["p280_002"].text
    assert found["p315_001"].text is None and found["s5_001"].speaker == "s5"


def test_hifitts(tmp_path):
    found = scanned("hifitts", tmp_path)
    assert len(found) == 18 and {s.speaker for s in found.values()} == {"92", "6097"}
    assert found["6097_other/10288/dev_0001"].part == "valid" and found["92_clean/10288/test_0000"].part == "test"


def test_jsut(tmp_path):
    found = scanned("jsut", tmp_path)
    assert len(found) == 12 and found["onomatopee300/ONOMATOPEE300_0003"].text == "水をマレーシアから:買う。"


def test_csmsc(tmp_path):
    found = scanned("csmsc", tmp_path)
    assert len(found) == 12 and found["000001"].text == "卡尔普陪外孙玩滑梯。"


@pytest.mark.parametrize("flat", [False, True])
def test_kss(tmp_path, flat):
    if flat:  # as espnet's recipe wants it: the folders beside the transcript
        MINIATURES["kss"](tmp_path)
        for folder in list((tmp_path / "kss").iterdir()):
            folder.rename(tmp_path / folder.name)
        (tmp_path / "kss").rmdir()
        recipe = script("kss")
        found = {s.id: s for s in find(recipe["CORPUS"], recipe["scan"], [tmp_path])}
    else:
        found = scanned("kss", tmp_path)
    assert len(found) == 12 and found["2_0001"].text == "이십 분" and found["2_0001"].path.is_file()


def test_arctic(tmp_path):
    found = scanned("arctic", tmp_path)
    assert len(found) == 14 and found["slt/arctic_a0001"].speaker == "slt" and found["bdl/arctic_a0001"].path.is_file()
    assert found["slt/arctic_a0001"].text == "Author of the danger trail, etc."


def test_m_ailabs(tmp_path):
    found = scanned("m_ailabs", tmp_path / "mixed")  # a folder above the corpus says nothing of its voices
    assert len(found) == 18 and {s.speaker for s in found.values()} == {"eva_k", "karlsson", None}
    assert found["karlsson/altehous/altehous_01_f000001"].text == "in dem ich wohne"


def test_open_speech(tmp_path):
    found = scanned("open_speech", tmp_path)
    parts = {id: source.part for id, source in found.items()}
    assert len(parts) == 10 and parts["common_voice/kab/0"] == "valid" and parts["common_voice/kab/2"] == "test"
    assert "common_voice/kab/1" not in parts and "common_voice/kab/3" not in parts
    assert found["common_voice/kab/5"].speaker == "s2"


def test_common_voice(tmp_path):
    found = scanned("common_voice", tmp_path)
    assert len(found) == 12 and "common_voice_de_12" not in found
    one = found["common_voice_de_7"]
    assert (one.part, one.text, len(one.speaker)) == ("valid", '"Er sagte', 12)


def test_thorsten(tmp_path):
    found = list(scanned("thorsten", tmp_path).values())
    assert [s.text for s in found[:2]] == ["Um 9 Uhr.", "Um neun Uhr."]


def test_opencpop(tmp_path):
    found = scanned("opencpop", tmp_path)
    assert len(found) == 12 and [s.id for s in found.values() if s.part == "test"] == ["2001000001", "2001000002"]


def test_audiomnist(tmp_path):
    found = scanned("audiomnist", tmp_path)
    assert len(found) == 40 and (found["7_26_0"].label, found["7_26_0"].speaker) == ("7", "26")


def test_speech_commands_and_its_digits(tmp_path):
    found = scanned("speech_commands", tmp_path)
    assert len(found) == 33 and {s.label for s in found.values()} >= {"backward", "zero"}
    assert [found[f"nine/{s}_nohash_0"].part for s in ("0a7c2a8d", "0b09edd3", "0c5027de")] == [
        "train",
        "valid",
        "test",
    ]
    digits = script("sc09")
    assert len(find(digits["CORPUS"], digits["scan"], [tmp_path])) == 30


KEPT = {"ljspeech": 11, "libritts_r": 11, "csmsc": 11, "arctic": 12, "m_ailabs": 15}  # others keep all


@pytest.fixture(scope="module")
def trained_presets() -> set[tuple[str, int]]:
    """Presets and sample rates that a test has trained: they differ between corpora in name and data only."""
    return set()


@pytest.mark.parametrize("name", MINIATURES)
def test_prepared_and_trained(name, tmp_path, monkeypatch, capsys, trained_presets):
    """The command line on a miniature, then two steps of each recipe made small: loss, validation, checkpoint.

    A preset that another corpus has trained at this rate is built, with its data, and not trained again.
    """
    monkeypatch.chdir(tmp_path)
    MINIATURES[name](tmp_path / "source")
    corpus = script(name)["CORPUS"]
    prepare(name, "--source", "source")
    out = capsys.readouterr().out
    parts = {part: manifest.read(f"data/{name}/{part}.jsonl") for part in ("train", "valid", "test")}
    kept = [u for part in parts.values() for u in part]
    assert f"Kept {KEPT.get(name, len(kept))} recordings" in out and f"{corpus.sample_rate} Hz" in out
    assert all(u.sample_rate == corpus.sample_rate for u in kept)
    if name in KEPT:
        assert "left out" in (tmp_path / f"data/{name}/report.txt").read_text()
    for family in FAMILIES:
        trainer = runs.start_run(RECIPES / name / f"{family}.yaml", [*TINY, *SMALL[family]], tmp_path / family)
        assert len(trainer.segments.batch(0).waveform) == trainer.recipe.data.global_batch_size
        if (family, corpus.sample_rate) not in trained_presets:
            assert_trains(trainer)
            trained_presets.add((family, corpus.sample_rate))


def assert_trains(trainer: Trainer) -> None:
    assert trainer.train() == 0 and trainer.step == 2 and (trainer.folder / "generator.safetensors").is_file()


@pytest.mark.parametrize(("name", "last"), [("audiomnist", "digits"), ("speech_commands", "words")])
def test_generators_of_labelled_corpora_train(name, last, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    MINIATURES[name](tmp_path / "source")
    data = "data/audiomnist_16k" if name == "audiomnist" else f"data/{name}"
    prepare(name, "--source", "source", "--sample-rate", 16000, "--output", data)
    tiny = {
        "vocoder": [*TINY_SPECTRAL, *TINY_JUDGES],
        "frames": ["generator.channels=16", "discriminators.0.channels=8"],
        last: ["generator.channels=16", "generator.vocoder.dim=16", "generator.vocoder.num_blocks=1"]
        + ["discriminators.0.channels=8", "discriminators.1.channels=4", "discriminators.2.channels=[4, 8]"],
    }
    for stage, overrides in tiny.items():
        run = tmp_path / "runs" / (name if stage == last else f"{name}-{stage}")
        assert_trains(runs.start_run(RECIPES / name / f"{stage}.yaml", [*TINY, *overrides], run))


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("rate", RATES)
def test_recipes_build_at_every_rate(family, rate, tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(recipe_text(family, "mine", rate))
    recipe = load_recipe(path)
    features = recipe.task.features
    assert 0.007 < features.hop_length / rate < 0.012 and features.n_fft == 4 * features.hop_length
    generator = recipe.generator.build(recipe.task)
    with torch.no_grad():
        waveform = generator(torch.zeros(1, features.n_mels, 3))
    assert waveform.shape == (1, 1, 3 * features.hop_length)
    assert Discriminators(recipe.discriminators, recipe.task).members


def test_recipe_files_are_what_the_presets_give():
    written = runpy.run_path(str(RECIPES / "write.py"))["texts"]()
    differ = [str(path) for path, text in written.items() if path.read_text(encoding="utf-8") != text]
    assert not differ, "run recipes/write.py"
    assert {path.parent.name for path in written} == set(MINIATURES)


def test_presets_refuse_rates_they_were_not_made_for():
    with pytest.raises(UserError, match="from 8000 to 96000 Hz, got 4000"):
        recipe_text("hifigan_v1", "mine", 4000)


def test_a_loudness_takes_the_place_of_a_peak_and_silence_can_be_trimmed(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    MINIATURES["audiomnist"](tmp_path / "source")
    prepare("audiomnist", "--source", "source", "--loudness", -30, "--trim", "--sample-rate", 16000)
    for utterance in manifest.read("data/audiomnist/train.jsonl"):
        assert abs(loudness.loudness(audio.read(utterance.path)[0], 16000) + 30) < 0.1


@pytest.mark.parametrize("name", [path.parent.name for path in RECIPES.glob("*/prepare.py")])
def test_every_recipe_has_the_same_command_line(name, capsys):
    with pytest.raises(SystemExit) as stop:
        prepare(name, "--help")
    shown = capsys.readouterr().out
    options = ("source", "output", "num-workers", "limit", "sample-rate", "trim", "loudness", "memmap")
    assert stop.value.code == 0 and all(f"--{option}" in shown for option in options)


# Bad input


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--loudness", 5], "between -70 and 0 LUFS"),
        (["--sample-rate", 16], "between 1000 and 384000 Hz"),
        (["--source", "http://x.org/1/a.tgz", "http://x.org/2/a.tgz"], "Two addresses end in a.tgz"),
    ],
)
def test_what_can_be_known_before_a_download_is_said_before_it(options, expected, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    with mock.patch("urllib.request.urlopen", side_effect=AssertionError):
        assert expected in refused(capsys, "ljspeech", *options)


def test_another_version_is_refused_with_the_one_expected(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    clip(tmp_path / "VCTK-Corpus" / "wav48" / "p225" / "p225_001.wav", 48000)
    text(tmp_path / "VCTK-Corpus" / "txt" / "p225" / "p225_001.txt", "Please call Stella.")
    error = refused(capsys, "vctk", "--source", "VCTK-Corpus")
    assert "VCTK-Corpus is not VCTK 0.92: no folder there has wav48_silence_trimmed and txt" in error
    MINIATURES["speech_commands"](tmp_path / "v1")
    for path in (tmp_path / "v1" / "backward").iterdir():
        path.unlink()
    (tmp_path / "v1" / "backward").rmdir()
    for name in ("speech_commands", "sc09"):
        assert "is not Speech Commands v0.02" in refused(capsys, name, "--source", "v1")
    assert not (tmp_path / "data").exists()


def test_an_archive_of_another_corpus_leaves_nothing_but_itself(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    MINIATURES["ljspeech"](tmp_path / "source")
    archive = Path(shutil.make_archive("LJSpeech-1.1", "gztar", "source"))
    error = refused(capsys, "thorsten", "--source", archive.name)
    assert "LJSpeech-1.1.tar.gz is not Thorsten-Voice v02: no folder there has metadata.csv and wavs/" in error
    assert archive.is_file() and not list(tmp_path.rglob("*.unpacked"))
    assert "is not Thorsten-Voice v02" in refused(capsys, "thorsten", "--source", "source/")
    assert (tmp_path / "source").is_dir()
    prepare("ljspeech", "--source", archive.name)


@pytest.mark.parametrize(
    ("name", "table", "content"),
    [
        ("kss", "transcript.v.1.4.txt", b"1/1_0000.wav\n"),
        ("hifitts", "hi_fi_tts_v0/92_manifest_clean_train.json", b"{\n"),
        ("hifitts", "hi_fi_tts_v0/92_manifest_clean_dev.json", b"{}\n"),
        ("hifitts", "hi_fi_tts_v0/92_manifest_clean_dev.json", b"[1]\n"),
        ("hifitts", "hi_fi_tts_v0/92_manifest_clean_dev.json", b'{"audio_filepath": null}\n'),
        ("libritts_r", "dev_bad_sample_list.txt", b"\xff\xfe"),
        ("ljspeech", "LJSpeech-1.1/metadata.csv", "LJ001-0001|caf\u00e9".encode("latin-1")),
    ],
)
def test_a_damaged_table_is_one_sentence(name, table, content, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    MINIATURES[name](tmp_path / "source")
    (tmp_path / "source" / table).write_bytes(content)
    error = refused(capsys, name, "--source", "source")
    assert f"A table of {script(name)['CORPUS'].title} in source can't be read" in error
    assert not (tmp_path / "data").exists()


def test_what_has_to_be_fetched_by_hand_is_said(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    error = refused(capsys, "kss")
    assert "KSS 1.4 can't be downloaded from here. Get it from https://www.kaggle.com" in error
    assert "Cannot download" not in error and not (tmp_path / "data").exists()


def test_two_recordings_of_one_id_and_nothing_to_use(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    MINIATURES["ljspeech"](tmp_path / "a")
    MINIATURES["ljspeech"](tmp_path / "b")
    assert "have the same id 'LJ001-0001'" in refused(capsys, "ljspeech", "--source", "a", "b")
    for path in (tmp_path / "a").rglob("*.wav"):
        path.write_bytes(b"")
    error = refused(capsys, "ljspeech", "--source", "a")
    assert "None of 12 recordings can be used" in error and "empty file" in error
    assert not list(tmp_path.rglob("*.jsonl"))
    assert "--limit must be at least 1" in refused(capsys, "ljspeech", "--source", "b", "--limit", 0)


def test_a_disk_too_small_is_told_before_the_download(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    usage = mock.Mock(free=10**9)
    with mock.patch("shutil.disk_usage", return_value=usage):
        error = refused(capsys, "ljspeech")
    assert "LJ Speech 1.1 needs 5.5 GB to download and unpack, 1 GB are free" in error and "--source" in error
    assert not (tmp_path / "data").exists()


def test_limit_spreads_over_the_corpus_and_can_be_raised(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    MINIATURES["thorsten"](tmp_path / "source")
    prepare("thorsten", "--source", "source", "--limit", 4)
    assert "Found 12 of the 22668 recordings of Thorsten-Voice v02" in capsys.readouterr().out
    before = {p: p.stat().st_ino for p in (tmp_path / "data").rglob("*.flac")}
    assert len(before) == 4
    prepare("thorsten", "--source", "source")
    after = {p: p.stat().st_ino for p in (tmp_path / "data").rglob("*.flac")}
    assert len(after) == 12 and before.items() <= after.items()


def test_a_missing_part_of_the_official_split_is_drawn_from_training(capsys):
    corpus = Corpus("x", "X", 16000, ())
    utterances = [
        manifest.Utterance(id=f"u{i}", path=Path(f"{i}.flac"), sample_rate=16000, num_samples=16000) for i in range(40)
    ]
    places = {u.id: "test" if i < 4 else None for i, u in enumerate(utterances)}
    parts = divide(corpus, utterances, places)
    assert [u.id for u in parts["test"]] == ["u0", "u1", "u2", "u3"]
    assert len(parts["valid"]) == 3 and len(parts["train"]) == 33
    assert not capsys.readouterr().out
    only_valid = divide(corpus, utterances, dict.fromkeys(places, "valid"))
    assert "No recording is in the training part of X" in capsys.readouterr().out
    assert [len(only_valid[name]) for name in ("train", "valid", "test")] == [32, 4, 4]
