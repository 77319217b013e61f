"""AudioMNIST (Becker 2018, arXiv 1807.03418): 30,000 spoken digits by 60 speakers, 48 kHz. MIT.

50 takes of each digit by each speaker. Whole speakers are reserved for validation and test.

    python recipes/audiomnist/prepare.py                          # downloads the repository
    python recipes/audiomnist/prepare.py --source AudioMNIST      # or an archive of it
    python recipes/audiomnist/prepare.py --sample-rate 16000 --output data/audiomnist_16k     # for digits.yaml
"""

from __future__ import annotations

import re
from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.prepare import Source

RECIPES = ("vocoder", "frames", "digits")
CORPUS = Corpus(
    name="audiomnist",
    title="AudioMNIST",
    sample_rate=48000,
    layout=("audioMNIST_meta.txt", "*/*_*_*.wav"),
    archives={"all": Archive("https://github.com/soerenab/AudioMNIST/archive/refs/heads/master.zip")},
    count=30000,
    min_seconds=0.1,
    peak=0.7,
    split_by="speaker",
    num_valid=6,
    num_test=12,
    most_valid=None,
)
NAME = re.compile(r"(?P<digit>[0-9])_(?P<speaker>\d\d)_(?P<index>\d+)\.wav")


def scan(root: Path) -> list[Source]:
    """List the folder data: SPEAKER/DIGIT_SPEAKER_INDEX.wav."""
    matches = [(path, NAME.fullmatch(path.name)) for path in sorted(root.glob("*/*.wav"))]
    return [Source(path, path.stem, m["speaker"], m["digit"]) for path, m in matches if m]


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
