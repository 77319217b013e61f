"""Free Spoken Digit Dataset (Jackson 2018): 3,000 recordings of the ten digits, 6 speakers, 8 kHz. CC BY-SA 4.0.

Recordings 0 to 4 of each speaker and digit are the official test split; 5 and 6 are for validation. All are scaled to
the same peak, because the speakers' levels differ by a factor of ten.

    python recipes/fsdd/prepare.py                               # downloads the archive (16 MB)
    python recipes/fsdd/prepare.py --source ARCHIVE.tar.gz       # or a folder with `recordings` in it

GitHub generates its archives, and their bytes can change, so the SHA-256 of the recordings is checked instead. The
archive behind the published results has the SHA-256 21404fcebb7f03c6d6d632772d5dcaa8376c76cd0091e8682384e45d70d77a99.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.errors import UserError
from wavegan.prepare import Source

RECIPES = ("vocoder", "frames", "digits")
RECORDINGS_SHA256 = "f61c3c6fd35f7f93b0f520e6d1dc337b9186c8551f561ec4f613824665a11627"
NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[a-z]+)_(?P<index>\d+)\.wav")
CORPUS = Corpus(
    name="fsdd",
    title="Free Spoken Digit Dataset v1.0.10",
    sample_rate=8000,
    layout=("[0-9]_*_*.wav",),
    archives={
        "all": Archive("https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz")
    },
    count=3000,
    min_seconds=0.1,
    peak=0.7,
    most_valid=None,
)


def scan(root: Path) -> list[Source]:
    """List the folder recordings: DIGIT_SPEAKER_INDEX.wav."""
    matches = [(path, NAME.fullmatch(path.name)) for path in sorted(root.glob("*.wav"))]
    return [Source(p, p.stem, m["speaker"], m["digit"], part=place(int(m["index"]))) for p, m in matches if m]


def place(index: int) -> str:
    """Return the part of the split that a recording belongs to."""
    return "test" if index < 5 else "valid" if index < 7 else "train"


def check(sources: list[Source]) -> None:
    """Refuse recordings other than the published ones, by a hash of their names and contents, sorted by name."""
    sha = hashlib.sha256()
    for source in sorted(sources, key=lambda s: s.id):
        sha.update(source.id.encode() + hashlib.sha256(source.path.read_bytes()).digest())
    if sha.hexdigest() != RECORDINGS_SHA256:
        raise UserError(
            f"These {len(sources)} recordings have the SHA-256 {sha.hexdigest()}, the published ones "
            f"{RECORDINGS_SHA256}. Download the archive again; for other recordings, see recipes/labelled_folder."
        )


if __name__ == "__main__":
    main(CORPUS, scan, __doc__, check)
