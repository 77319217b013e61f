"""CSTR VCTK 0.92 (Yamagishi, Veaux, MacDonald 2019): 110 speakers of English, 48 kHz. CC BY 4.0.

Each sentence was recorded by two microphones. The second is used, which has less low-frequency noise, or the first
where there is no second (all of p280 and p315). The texts of p315 are lost. Whole speakers are reserved for validation
and test.

    python recipes/vctk/prepare.py                                # downloads the archive (11.7 GB)
    python recipes/vctk/prepare.py --source VCTK-Corpus-0.92.zip  # or a folder, or its URL elsewhere
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.prepare import Source

CORPUS = Corpus(
    name="vctk",
    title="VCTK 0.92",
    sample_rate=48000,
    layout=("wav48_silence_trimmed", "txt"),
    archives={
        "all": Archive(
            "https://datashare.ed.ac.uk/bitstream/handle/10283/3443/VCTK-Corpus-0.92.zip",
            11747302977,
            "f96258be9fdc2cbff6559541aae7ea4f59df3fcaf5cf963aae5ca647357e359c",
        )
    },
    split_by="speaker",
    num_valid=2,
    num_test=8,
)


def scan(root: Path) -> list[Source]:
    """List wav48_silence_trimmed/p225/p225_001_mic2.flac, txt/p225/p225_001.txt."""
    chosen: dict[str, Path] = {}
    for path in sorted((root / "wav48_silence_trimmed").glob("*/*_mic[12].flac")):  # the second replaces the first
        chosen[path.stem.rsplit("_", 1)[0]] = path
    recordings = [(id, path, path.parent.name) for id, path in chosen.items()]
    texts = root / "txt"
    return [Source(path, id, who, text=_text(texts / who / f"{id}.txt")) for id, path, who in recordings]


def _text(path: Path) -> str | None:
    return path.read_text(encoding="utf-8").strip() if path.is_file() else None


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
