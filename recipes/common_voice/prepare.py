"""Common Voice (Ardila 2020, arXiv 1912.06670): sentences read by volunteers in many languages. CC0.

Each release of a language is one archive; the Mozilla Data Collective requires an account to download it.

    python recipes/common_voice/prepare.py --source ARCHIVE.tar.gz     # or the folder with clips in it
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Corpus, main
from wavegan.layouts import rows
from wavegan.prepare import Source

PARTS = {"train": "train", "dev": "valid", "test": "test"}
CORPUS = Corpus(
    name="common_voice",
    title="Common Voice",
    sample_rate=32000,
    layout=("clips", *(f"{name}.tsv" for name in PARTS)),
    by_hand="Get a language from https://datacollective.mozillafoundation.org.",
)
SPEAKER_LENGTH = 12  # characters of the speaker's hash, enough to be unique


def scan(root: Path) -> list[Source]:
    """List one language: clips/*.mp3, and train.tsv, dev.tsv and test.tsv with a header line and without quoting."""
    sources = []
    for name, part in PARTS.items():
        header, *lines = rows(root / f"{name}.tsv", "\t")
        for line in lines:
            record = dict(zip(header, line, strict=False))
            speaker, path = record["client_id"][:SPEAKER_LENGTH], root / "clips" / record["path"]
            sources.append(Source(path, path.stem, speaker, text=record["sentence"], part=part))
    return sources


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
