"""SC09: the ten digit words of Speech Commands v0.02 (Warden 2018, arXiv 1804.03209), 16 kHz. CC BY 4.0.

About 38,900 clips of up to a second by 2,600 speakers; the official validation and test lists.

    python recipes/sc09/prepare.py                               # downloads the archive (2.4 GB)
    python recipes/sc09/prepare.py --source ARCHIVE.tar.gz       # or the folder that holds testing_list.txt
"""

from __future__ import annotations

from pathlib import Path

from wavegan.archive import obtain
from wavegan.errors import UserError, reported
from wavegan.prepare import Source, arguments, prepare, write_manifests

SAMPLE_RATE = 16000
ARCHIVE = "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz"
SHA256 = "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58"
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
LISTS = {"valid": "validation_list.txt", "test": "testing_list.txt"}


def scan(folder: Path) -> list[Source]:
    """All digit clips, WORD/SPEAKER_nohash_N.wav."""
    paths = [path for word in WORDS for path in sorted((folder / word).glob("*.wav"))]
    if not paths:
        raise UserError(
            f"{folder} has no clips in folders {', '.join(WORDS)}. Give the unpacked Speech Commands folder."
        )
    return [Source(p, f"{p.parent.name}/{p.stem}", p.stem.split("_nohash_")[0], p.parent.name) for p in paths]


def read_lists(folder: Path) -> dict[str, str]:
    """Which part of the official split a clip is in, by id; what is in no list is for training."""
    places = {}
    for part, name in LISTS.items():
        if not (folder / name).is_file():
            raise UserError(f"{folder} has no {name}. Give the unpacked Speech Commands folder, version 0.02.")
        places |= {line.removesuffix(".wav"): part for line in (folder / name).read_text().splitlines()}
    return places


def main() -> None:
    parser = arguments(__doc__, "data/sc09")
    parser.add_argument("--source", default="download", help="archive or folder (default: download)")
    options = parser.parse_args()
    folder = obtain(options.source, ARCHIVE, options.output / "raw", SHA256)
    sources, places = scan(folder), read_lists(folder)
    report = prepare(sources, options.output, SAMPLE_RATE, min_seconds=0.2, num_workers=options.num_workers)
    print(report)
    parts = {part: [u for u in report.kept if places.get(u.id, "train") == part] for part in ("train", "valid", "test")}
    print(write_manifests(options.output, parts))


if __name__ == "__main__":
    with reported():
        main()
