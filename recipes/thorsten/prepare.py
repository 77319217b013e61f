"""Thorsten-Voice v02, "neutral" (Müller 2021): 22,668 sentences of one German reader, 23 hours, 22.05 kHz. CC0.

python recipes/thorsten/prepare.py                            # downloads the archive (3.0 GB)
python recipes/thorsten/prepare.py --source thorsten-de       # or an archive, or its URL elsewhere
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.layouts import ljspeech
from wavegan.prepare import Source

CORPUS = Corpus(
    name="thorsten",
    title="Thorsten-Voice v02",
    sample_rate=22050,
    layout=("metadata.csv", "wavs/[0-9a-f]*.wav"),  # those of LJ Speech start with LJ
    archives={"all": Archive("https://www.openslr.org/resources/95/thorsten-de_v02.tgz", 3002716611)},
    count=22668,
)


def scan(root: Path) -> list[Source]:
    """List the layout of LJ Speech; some lines have no normalised text."""
    return ljspeech(root, speaker="thorsten")


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
