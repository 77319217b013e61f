"""Free Spoken Digit Dataset (Jackson 2018): 3,000 recordings of the ten digits, 6 speakers, 8 kHz. CC BY-SA 4.0.

The recordings 0 to 4 of each speaker and digit are the official test split; 5 and 6 are kept for validation. Each is
scaled to the same peak: the speakers' levels differ by a factor of ten.

    python recipes/fsdd/prepare.py                               # downloads the archive (16 MB)
    python recipes/fsdd/prepare.py --source ARCHIVE.tar.gz       # or a folder that holds `recordings`

GitHub packs its archives anew now and then, so what is checked is the SHA-256 of the recordings in them. The archive
that our results come from has the SHA-256 21404fcebb7f03c6d6d632772d5dcaa8376c76cd0091e8682384e45d70d77a99.
"""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from wavegan.archive import obtain
from wavegan.errors import UserError, reported
from wavegan.manifest import Utterance
from wavegan.prepare import Source, arguments, prepare, write_manifests

SAMPLE_RATE = 8000
ARCHIVE = "https://github.com/Jakobovski/free-spoken-digit-dataset/archive/refs/tags/v1.0.10.tar.gz"
RECORDINGS_SHA256 = "f61c3c6fd35f7f93b0f520e6d1dc337b9186c8551f561ec4f613824665a11627"
NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>[a-z]+)_(?P<index>\d+)\.wav")


def scan(folder: Path) -> list[Source]:
    """All recordings below ``folder``, named DIGIT_SPEAKER_INDEX.wav."""
    found = [(path, NAME.fullmatch(path.name)) for path in sorted(folder.rglob("*.wav"))]
    sources = [Source(path, path.stem, speaker=m["speaker"], label=m["digit"]) for path, m in found if m]
    if not sources:
        raise UserError(f"{folder} holds no recordings named like 7_jackson_32.wav. Give the folder above them.")
    return sources


def check(folder: Path) -> None:
    """Refuse recordings that are not the published ones: a hash of their names and contents, sorted by name."""
    sources, sha = scan(folder), hashlib.sha256()
    for source in sorted(sources, key=lambda s: s.id):
        sha.update(source.id.encode() + hashlib.sha256(source.path.read_bytes()).digest())
    if sha.hexdigest() != RECORDINGS_SHA256:
        raise UserError(
            f"These {len(sources)} recordings have the SHA-256 {sha.hexdigest()}, the published ones "
            f"{RECORDINGS_SHA256}. Download the archive again; for other recordings, see recipes/labelled_folder."
        )


def place(utterance: Utterance) -> str:
    """Which part of the split an utterance belongs to."""
    index = int(utterance.id.rsplit("_", 1)[1])
    return "test" if index < 5 else "valid" if index < 7 else "train"


def main() -> None:
    parser = arguments(__doc__, "data/fsdd")
    parser.add_argument("--source", default="download", help="archive or folder (default: download)")
    options = parser.parse_args()
    sources = scan(obtain(options.source, ARCHIVE, options.output / "raw", check=check))
    report = prepare(sources, options.output, SAMPLE_RATE, min_seconds=0.1, peak=0.7, num_workers=options.num_workers)
    print(report)
    parts: dict[str, list[Utterance]] = {"train": [], "valid": [], "test": []}
    for utterance in report.kept:
        parts[place(utterance)].append(utterance)
    print(write_manifests(options.output, parts))


if __name__ == "__main__":
    with reported():
        main()
