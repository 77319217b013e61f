"""LJ Speech 1.1 (Ito and Johnson 2017): 13,100 clips of one reader, 24 hours, 22.05 kHz. Public domain.

python recipes/ljspeech/prepare.py                            # downloads the archive (2.7 GB)
python recipes/ljspeech/prepare.py --source LJSpeech-1.1      # or an archive, or its URL elsewhere
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.layouts import ljspeech
from wavegan.prepare import Source

CORPUS = Corpus(
    name="ljspeech",
    title="LJ Speech 1.1",
    sample_rate=22050,
    layout=("metadata.csv", "wavs/LJ*.wav"),
    archives={
        "all": Archive(
            "https://data.keithito.com/data/speech/LJSpeech-1.1.tar.bz2",
            2748572632,
            "be1a30453f28eb8dd26af4101ae40cbf2c50413b1bb21936cbcdc6fae3de8aa5",
        )
    },
    count=13100,
)


def scan(root: Path) -> list[Source]:
    """List wavs/LJ001-0001.wav and so on, from metadata.csv."""
    return ljspeech(root, speaker="LJ")


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
