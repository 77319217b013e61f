"""LibriTTS-R (Koizumi 2023, arXiv 2305.18802): LibriTTS after speech restoration, 585 hours, 24 kHz. CC BY 4.0.

The restoration failed for some recordings, which the corpus lists; they are left out.

    python recipes/libritts_r/prepare.py                          # train-clean-100, dev-clean, test-clean (10 GB)
    python recipes/libritts_r/prepare.py --parts train-clean-360 dev-clean test-clean failed
    python recipes/libritts_r/prepare.py --source LibriTTS_R libritts_r_failed_speech_restoration_examples
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.layouts import libritts
from wavegan.prepare import Source

ADDRESS = "https://www.openslr.org/resources/141"
PARTS = {  # in GB, and MD5s as published
    "dev_clean": (1.3, "2c1f5312914890634cc2d15783032ff3"),
    "dev_other": (1.0, "62d3a80ad8a282b6f31b3904f0507e4f"),
    "test_clean": (1.3, "4d373d453eb96c0691e598061bbafab7"),
    "test_other": (1.0, "dbc0959d8bdb6d52200595cabc9995ae"),
    "train_clean_100": (8.1, "6df668d8f5f33e70876bfa33862ad02b"),
    "train_clean_360": (28, "382eb3e64394b3da6a559f864339b22c"),
    "train_other_500": (46, "a37a8e9f4fe79d20601639bf23d1add8"),
}
CORPUS = Corpus(
    name="libritts_r",
    title="LibriTTS-R",
    sample_rate=24000,
    layout=("*/*/*.trans.tsv",),
    archives={
        part.replace("_", "-"): Archive(f"{ADDRESS}/{part}.tar.gz", round(size * 1e9), md5)
        for part, (size, md5) in PARTS.items()
    }
    | {"failed": Archive(f"{ADDRESS}/libritts_r_failed_speech_restoration_examples.tar.gz")},
    parts=("train-clean-100", "dev-clean", "test-clean", "failed"),
    bad_lists="*_bad_sample_list.txt",
)


def scan(root: Path) -> list[Source]:
    """List one part: the dev parts are for validation, the test parts for the test."""
    return libritts(root, "LibriTTS_R")


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
