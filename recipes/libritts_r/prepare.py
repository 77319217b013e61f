"""LibriTTS-R (Koizumi 2023, arXiv 2305.18802): LibriTTS, its sound restored; 585 hours, 24 kHz. CC BY 4.0.

The restoration failed for some recordings: the corpus lists them, and they are left out.

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
PARTS = ("dev_clean", "dev_other", "test_clean", "test_other", "train_clean_100", "train_clean_360", "train_other_500")
CORPUS = Corpus(
    name="libritts_r",
    title="LibriTTS-R",
    sample_rate=24000,
    layout=("*/*/*.trans.tsv",),
    archives={part.replace("_", "-"): Archive(f"{ADDRESS}/{part}.tar.gz") for part in PARTS}
    | {"failed": Archive(f"{ADDRESS}/libritts_r_failed_speech_restoration_examples.tar.gz")},
    parts=("train-clean-100", "dev-clean", "test-clean", "failed"),
    bad_lists="*_bad_sample_list.txt",
)


def scan(root: Path) -> list[Source]:
    """One part: the dev parts are for validation, the test parts for the test."""
    return libritts(root)


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
