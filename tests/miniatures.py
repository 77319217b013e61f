"""Corpora of a few speech-like clips in the layouts of the real ones, with their quirks."""

from __future__ import annotations

import functools
import json
from pathlib import Path

import numpy as np
import soundfile

from tests.conftest import speech_like

TIMES = 12  # clips of most miniatures: enough for a split


@functools.cache
def _speech(rate: int, seconds: float) -> np.ndarray:
    return speech_like(seconds, rate).numpy()


def clip(path: Path, rate: int, seconds: float = 0.6, channels: int = 1) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    waveform = _speech(rate, seconds)
    soundfile.write(path, np.stack([waveform] * channels, 1) if channels > 1 else waveform, rate)


def text(path: Path, *lines: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def ljspeech(folder: Path) -> None:
    """Quotation marks that don't pair; an apostrophe; an empty field; a clip too short to keep."""
    root = folder / "LJSpeech-1.1"
    ids = [f"LJ001-{i:04d}" for i in range(1, TIMES + 1)]
    for id in ids:
        clip(root / "wavs" / f"{id}.wav", 22050, 0.2 if id == ids[-1] else 0.6)
    texts = ['"an opening one only|"an opening one only', "in 1465|in fourteen sixty-five", "the printer's|"]
    text(root / "metadata.csv", *(f"{id}|{texts[i % 3]}" for i, id in enumerate(ids)))


def libritts(folder: Path, name: str = "LibriTTS") -> None:
    """A recording that isn't in the tables; each speaker has chapters of their own."""
    for part, speakers in (("train-clean-100", ("103", "1034")), ("dev-clean", ("84",)), ("test-clean", ("61",))):
        for speaker in speakers:
            chapter = folder / name / part / speaker / "1240"
            ids = [f"{speaker}_1240_000001_00000{i}" for i in range(4)]
            for id in ids:
                clip(chapter / f"{id}.wav", 24000)
            text(chapter / f"{speaker}_1240.trans.tsv", *(f'{id}\tMr. "A"\tMister "A"' for id in ids[:3]))
            text(chapter / f"{speaker}_1240.book.tsv", *(f"{id}\tMr. A\t{i}\t30.0" for i, id in enumerate(ids)))
    text(folder / name / "speakers.tsv", "READER\tGENDER\tSUBSET\tNAME")


def libritts_r(folder: Path) -> None:
    """As LibriTTS, and a list of recordings whose restoration failed."""
    libritts(folder, "LibriTTS_R")
    text(
        folder / "libritts_r_failed_speech_restoration_examples" / "train-clean-100_bad_sample_list.txt",
        "./train-clean-100/103/1240/103_1240_000001_000001.wav",
    )


def vctk(folder: Path) -> None:
    """Two microphones; p280 and p315 have the first only; the texts of p315 are lost; s5 is a speaker as well."""
    for i, speaker in enumerate(("p225", "p226", "p280", "p315", "s5", "p227", "p228", "p229")):
        for index in range(1, 3):
            id = f"{speaker}_{index:03d}"
            for mic in ("mic1",) if speaker in ("p280", "p315") else ("mic1", "mic2"):
                clip(folder / "wav48_silence_trimmed" / speaker / f"{id}_{mic}.flac", 48000)
            if speaker != "p315":
                text(folder / "txt" / speaker / f"{id}.txt", f"Please call Stella {i}.")
    text(folder / "wav48_silence_trimmed" / "log.txt", "trimmed")


def hifitts(folder: Path) -> None:
    """Manifests of JSON lines, official parts; one reader has clean and other recordings."""
    root = folder / "hi_fi_tts_v0"
    for reader, quality in (("92", "clean"), ("6097", "clean"), ("6097", "other")):
        for part in ("train", "dev", "test"):
            records = []
            for i in range(2):
                path = f"audio/{reader}_{quality}/10288/{part}_{i:04d}.flac"
                clip(root / path, 44100)
                records.append(
                    {"audio_filepath": path, "duration": 0.6, "text": "a page", "text_normalized": "A page."}
                )
            text(root / f"{reader}_manifest_{quality}_{part}.json", *map(json.dumps, records))


def jsut(folder: Path) -> None:
    """Two of the nine sub-corpora; a text with a colon of its own; macOS leftovers."""
    root = folder / "jsut_ver1.1"
    for subset, prefix in (("basic5000", "BASIC5000"), ("onomatopee300", "ONOMATOPEE300")):
        ids = [f"{prefix}_{i:04d}" for i in range(1, 7)]
        for id in ids:
            clip(root / subset / "wav" / f"{id}.wav", 48000)
        text(root / subset / "transcript_utf8.txt", *(f"{id}:水をマレーシアから:買う。" for id in ids))
    text(folder / "__MACOSX" / "jsut_ver1.1" / "basic5000" / "transcript_utf8.txt", "x:y")


def csmsc(folder: Path) -> None:
    """Labels in pairs of lines, the second being the pinyin; a labelled recording that is missing."""
    ids = [f"{i:06d}" for i in range(1, TIMES + 1)]
    for id in ids[:-1]:
        clip(folder / "BZNSYP" / "Wave" / f"{id}.wav", 48000)
    pairs = [line for id in ids for line in (f"{id}\t卡尔普#2陪外孙#1玩滑梯#4。", "\tka2 er2 pu3 pei2 wai4 sun1")]
    text(folder / "BZNSYP" / "ProsodyLabeling" / "000001-010000.txt", *pairs)


def kss(folder: Path) -> None:
    """Six fields; folders 1 to 4; stereo among mono."""
    names = [f"{1 + i % 4}/{1 + i % 4}_{i:04d}.wav" for i in range(TIMES)]
    for i, name in enumerate(names):
        clip(folder / "kss" / name, 44100, channels=1 + i % 2)
    text(folder / "transcript.v.1.4.txt", *(f"{n}|20분|이십 분|이십 분|0.6|20 minutes" for n in names))


def arctic(folder: Path) -> None:
    """Folders of readers; a listed recording that doesn't exist; quotation marks inside of a text."""
    for reader in ("slt", "bdl"):
        root = folder / f"cmu_us_{reader}_arctic"
        ids = [f"arctic_a{i:04d}" for i in range(1, 8)]
        for id in ids[:-1]:
            clip(root / "wav" / f"{id}.wav", 16000)
        text(root / "etc" / "txt.done.data", *(f'( {id} "Author of the danger trail, etc." )' for id in ids))


def m_ailabs(folder: Path) -> None:
    """Books below speakers below genders; a mixed one; forks of macOS; a listed recording that doesn't exist."""
    for place in ("female/eva_k/toten_seelen", "male/karlsson/altehous", "mix/mix/various"):
        root = folder / "de_DE" / "by_book" / place
        ids = [f"{root.name}_01_f{i:06d}" for i in range(1, 7)]
        for id in ids[:-1]:
            clip(root / "wavs" / f"{id}.wav", 16000)
        (root / "wavs" / f"._{ids[0]}.wav").write_bytes(b"\0\5\x16\7")
        text(root / "metadata.csv", *(f"{id}|in dem ich 1989 wohne|in dem ich wohne" for id in ids))
    text(folder / "de_DE" / "by_book" / "info.txt", "German")


def common_voice(folder: Path) -> None:
    """MP3; tables with a head; quotation marks that don't pair; a clip that is in no part."""
    root = folder / "cv-corpus-9.0-2022-04-27" / "de"
    head = "client_id\tpath\tsentence\tup_votes\tdown_votes\tage\tgender\taccents\tlocale\tsegment"
    for part, indices in (("train", range(6)), ("dev", range(6, 9)), ("test", range(9, 12))):
        lines = [f'{i:0128x}\tcommon_voice_de_{i}.mp3\t"Er sagte\t2\t0\t\t\t\tde\t' for i in indices]
        text(root / f"{part}.tsv", head, *lines)
    for i in range(13):
        clip(root / "clips" / f"common_voice_de_{i}.mp3", 32000)


def open_speech(folder: Path) -> None:
    """A line of JSON for each recording; valid and test speakers with clips that aren't chosen."""
    lines = []
    for i in range(TIMES):
        part = {0: "valid", 1: "valid", 2: "test", 3: "test"}.get(i, "train")
        record = {"path": f"common_voice/kab/{i}.flac", "speaker": f"s{i // 2}", "text": None, "split": part}
        clip(folder / record["path"], 22050)
        lines.append(json.dumps(record | ({"chosen": True} if i in (0, 2) else {})))
    text(folder / "metadata.jsonl", *lines)


def thorsten(folder: Path) -> None:
    """Two fields or three; no head."""
    ids = [f"{i:032x}" for i in range(TIMES)]
    for id in ids:
        clip(folder / "thorsten-de" / "wavs" / f"{id}.wav", 22050)
    text(
        folder / "thorsten-de" / "metadata.csv",
        *(f"{id}|Um 9 Uhr.{'|Um neun Uhr.' * (i % 2)}" for i, id in enumerate(ids)),
    )


def opencpop(folder: Path) -> None:
    """Whole songs beside the segments; seven fields; an official test list."""
    segments = folder / "Opencpop" / "segments"
    lines = [f"{2001000001 + i}|感受停在|g an sh ou|A#3 A#3|0.3 0.3|0.1 0.2|0 0" for i in range(TIMES)]
    for i in range(TIMES):
        clip(segments / "wavs" / f"{2001000001 + i}.wav", 44100)
    clip(folder / "Opencpop" / "wavs" / "2001.wav", 44100)
    text(segments / "transcriptions.txt", *lines)
    text(segments / "train.txt", *lines[2:])
    text(segments / "test.txt", *lines[:2])


def audiomnist(folder: Path) -> None:
    """Folders of speakers, below data."""
    root = folder / "AudioMNIST-master" / "data"
    for speaker in ("01", "02", "26", "60"):
        for digit in range(10):
            clip(root / speaker / f"{digit}_{speaker}_0.wav", 48000, 0.3)
    text(root / "audioMNIST_meta.txt", "{}")


def speech_commands(folder: Path) -> None:
    """Words, noises that are none, the official lists."""
    words = ("backward", "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
    for word in words:
        for speaker in ("0a7c2a8d", "0b09edd3", "0c5027de"):
            clip(folder / word / f"{speaker}_nohash_0.wav", 16000, 0.5)
    clip(folder / "_background_noise_" / "pink_noise.wav", 16000, 2.0)
    text(folder / "validation_list.txt", *(f"{word}/0b09edd3_nohash_0.wav" for word in words))
    text(folder / "testing_list.txt", *(f"{word}/0c5027de_nohash_0.wav" for word in words))


MINIATURES = {
    make.__name__: make
    for make in (
        ljspeech,
        libritts,
        libritts_r,
        vctk,
        hifitts,
        jsut,
        csmsc,
        kss,
        arctic,
        m_ailabs,
        common_voice,
        open_speech,
        thorsten,
        opencpop,
        audiomnist,
        speech_commands,
    )
}
