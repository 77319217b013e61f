"""M-AILABS (Solak 2019): 999 hours of audiobooks in nine languages and countries, 16 kHz. BSD-style terms.

Each recording has half a second of silence at both ends, which --trim removes. A few listed recordings don't exist.

    python recipes/m_ailabs/prepare.py --trim                     # en_UK, 45 hours (3.5 GiB)
    python recipes/m_ailabs/prepare.py --trim --parts de_DE fr_FR
    python recipes/m_ailabs/prepare.py --trim --source de_DE      # or archives
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.layouts import ljspeech
from wavegan.prepare import Source

GIB = 2**30
SIZES = {"de_DE": 20, "en_UK": 3.5, "en_US": 7.5, "es_ES": 8.3, "it_IT": 9.5, "uk_UK": 6.7, "ru_RU": 3.6, "fr_FR": 15}
SIZES |= {"pl_PL": 4.2}  # in GiB, as published
ADDRESS = "https://data.solak.de/data/Training/stt_tts/{}.tgz"
CORPUS = Corpus(
    name="m_ailabs",
    title="M-AILABS",
    sample_rate=16000,
    layout=("metadata.csv", "wavs"),
    archives={part: Archive(ADDRESS.format(part), round(size * GIB)) for part, size in SIZES.items()},
    parts=("en_UK",),
)


def scan(root: Path) -> list[Source]:
    """List one book, de_DE/by_book/female/SPEAKER/BOOK: metadata.csv and wavs. Mixed voices have no speaker."""
    below = root.parts[root.parts.index("by_book") :] if "by_book" in root.parts else root.parts[-3:]
    speaker = None if {"mix", "mixed"} & set(below) else root.parent.name
    return [replace(s, id=f"{root.parent.name}/{root.name}/{s.id}") for s in ljspeech(root, speaker)]


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
