"""Layouts that several corpora share: what lies in a folder, as sources."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from wavegan.core.errors import UserError
from wavegan.data.corpus import Archive, Corpus
from wavegan.data.source import Source

SPEECH_COMMANDS_LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}
SPEECH_COMMANDS = Corpus(
    name="speech_commands",
    title="Speech Commands v0.02",
    sample_rate=16000,
    layout=("zero", "backward", *SPEECH_COMMANDS_LISTS.values()),  # v0.01 has no "backward"
    archives={
        "all": Archive(
            "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            2428923189,
            "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        )
    },
    count=105829,
    min_seconds=0.2,
    most_valid=None,
)


def rows(path: Path, separator: str = "|") -> Iterator[list[str]]:
    """The fields of each line of a table without quoting: quotation marks in transcripts are never paired."""
    for line in path.read_text(encoding="utf-8-sig").split("\n"):  # splitlines() would split inside of texts
        if line.strip():
            yield [value.strip() for value in line.split(separator)]


def ljspeech(root: Path, speaker: str | None) -> list[Source]:
    """``metadata.csv``, lines "ID|text|normalised text", the last one sometimes missing, and ``wavs/ID.wav``."""
    found = [(id, [text for text in texts if text]) for id, *texts in rows(root / "metadata.csv")]
    return [Source(root / "wavs" / f"{id}.wav", id, speaker, text=texts[-1] if texts else None) for id, texts in found]


def libritts(root: Path, name: str) -> list[Source]:
    """A part of LibriTTS or LibriTTS-R: SPEAKER/CHAPTER/*.wav, of which the ``*.trans.tsv`` list what was kept.

    Raises:
        UserError: the other one of the two, which differs in nothing but the sound and the ``name`` of the folder.
    """
    if root.parent.name in {"LibriTTS", "LibriTTS_R"} - {name}:
        raise UserError(f"{root} is of {root.parent.name}, expected {name}. Use the recipe of that corpus.")
    part = {"dev": "valid", "test": "test"}.get(root.name.split("-")[0], "train")
    found = [(table.parent, *fields) for table in sorted(root.glob("*/*/*.trans.tsv")) for fields in rows(table, "\t")]
    return [
        Source(folder / f"{id}.wav", id, id.split("_")[0], text=texts[-1], part=part) for folder, id, *texts in found
    ]


def speech_commands(root: Path, words: tuple[str, ...] = ()) -> list[Source]:
    """WORD/SPEAKER_nohash_N.wav and the official lists; what is in none of them is for training.

    Folders that begin with "_" are noise, no words.
    """
    places = {line.strip(): part for part, name in SPEECH_COMMANDS_LISTS.items() for (line,) in rows(root / name, "\0")}
    every = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name[0] not in "._")
    paths = [path for word in words or every for path in sorted((root / word).glob("*_nohash_*.wav"))]
    sources = [Source(p, f"{p.parent.name}/{p.stem}", p.stem.split("_nohash_")[0], p.parent.name) for p in paths]
    return [replace(s, part=places.get(f"{s.id}.wav", "train")) for s in sources]
