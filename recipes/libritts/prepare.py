"""LibriTTS (Zen 2019, arXiv 1904.02882): 585 hours, 2,456 readers, 24 kHz. CC BY 4.0.

python recipes/libritts/prepare.py                            # train-clean-100, dev-clean, test-clean (10 GB)
python recipes/libritts/prepare.py --parts train-clean-100 train-clean-360 dev-clean test-clean
python recipes/libritts/prepare.py --source LibriTTS          # or archives of its parts
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.layouts import libritts
from wavegan.prepare import Source

PARTS = {
    "dev-clean": (1291469655, "da0864e1bd26debed35da8a869dd5c04dfc27682921936de7cff9c8a254dbe1a"),
    "dev-other": (924804676, "d413eda26f3a152ac7c9cf3658ef85504dfb1b625296e5fa83727f5186cca79c"),
    "test-clean": (1230670113, "234ea5b25859102a87024a4b9b86641f5b5aaaf1197335c95090cde04fe9a4f5"),
    "test-other": (964502297, "33a5342094f3bba7ccc2e0500b9e72d558f72eb99328ac8debe1d9080402f10d"),
    "train-clean-100": (7723686890, "c5608bf1ef74bb621935382b8399c5cdd51cd3ee47cec51f00f885a64c6c7f6b"),
    "train-clean-360": (27504073644, "ce7cff44dcac46009d18379f37ef36551123a1dc4e5c8e4eb73ae57260de4886"),
    "train-other-500": (44565031479, "e35f7e34deeb2e2bdfe4403d88c8fdd5fbf64865cae41f027a185a6965f0a5df"),
}
CORPUS = Corpus(
    name="libritts",
    title="LibriTTS",
    sample_rate=24000,
    layout=("*/*/*.trans.tsv",),
    archives={
        part: Archive(f"http://www.openslr.org/resources/60/{part}.tar.gz", size, sha256)
        for part, (size, sha256) in PARTS.items()
    },
    parts=("train-clean-100", "dev-clean", "test-clean"),
)


def scan(root: Path) -> list[Source]:
    """List one part: the dev parts are for validation, the test parts for the test."""
    return libritts(root, "LibriTTS")


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
