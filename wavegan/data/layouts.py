"""Sources from folder layouts that several corpora share."""

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
    """Yield the fields of each line of a table without quoting: quotation marks in transcripts aren't paired."""
    for line in path.read_text(encoding="utf-8-sig").split("\n"):  # splitlines() would split inside texts
        if line.strip():
            yield [value.strip() for value in line.split(separator)]


def ljspeech(root: Path, speaker: str | None) -> list[Source]:
    """Read ``metadata.csv``, lines "ID|text|normalised text" with an optional last field, and ``wavs/ID.wav``."""
    table = [(id, [text for text in texts if text]) for id, *texts in rows(root / "metadata.csv")]
    return [Source(root / "wavs" / f"{id}.wav", id, speaker, text=texts[-1] if texts else None) for id, texts in table]


def libritts(root: Path, name: str) -> list[Source]:
    """Read a part of LibriTTS or LibriTTS-R, SPEAKER/CHAPTER/*.wav as listed in the ``*.trans.tsv``; UserError for the
    other corpus of the two, whose layout differs only in the ``name`` of the folder.
    """
    if root.parent.name in {"LibriTTS", "LibriTTS_R"} - {name}:
        raise UserError(f"{root} is part of {root.parent.name}, expected {name}. Use the recipe of that corpus.")
    part = {"dev": "valid", "test": "test"}.get(root.name.split("-")[0], "train")
    lines = [(table.parent, *fields) for table in sorted(root.glob("*/*/*.trans.tsv")) for fields in rows(table, "\t")]
    return [
        Source(folder / f"{id}.wav", id, id.split("_")[0], text=texts[-1], part=part) for folder, id, *texts in lines
    ]


def speech_commands(root: Path, words: tuple[str, ...] = ()) -> list[Source]:
    """Read WORD/SPEAKER_nohash_N.wav and the official lists; files in none of them are for training.

    Folders that begin with "_" are noise, not words.
    """
    lists = SPEECH_COMMANDS_LISTS.items()
    part_of = {line.strip(): part for part, name in lists for (line,) in rows(root / name, "\0")}
    all_words = sorted(path.name for path in root.iterdir() if path.is_dir() and path.name[0] not in "._")
    paths = [path for word in words or all_words for path in sorted((root / word).glob("*_nohash_*.wav"))]
    sources = [Source(p, f"{p.parent.name}/{p.stem}", p.stem.split("_nohash_")[0], p.parent.name) for p in paths]
    return [replace(s, part=part_of.get(f"{s.id}.wav", "train")) for s in sources]
