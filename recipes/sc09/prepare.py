"""SC09: the ten digit words of Speech Commands v0.02 (Warden 2018, arXiv 1804.03209), 16 kHz. CC BY 4.0.

About 38,900 clips of up to a second by 2,600 speakers; the official validation and test lists.

    python recipes/sc09/prepare.py                               # downloads the archive (2.4 GB)
    python recipes/sc09/prepare.py --source ARCHIVE.tar.gz       # or the folder that holds testing_list.txt
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.layouts import SPEECH_COMMANDS_LISTS, speech_commands
from wavegan.prepare import Source

WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CORPUS = Corpus(
    name="sc09",
    title="Speech Commands v0.02",
    sample_rate=16000,
    layout=("zero", *SPEECH_COMMANDS_LISTS.values()),
    archives={
        "all": Archive(
            "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            2428923189,
            "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        )
    },
    min_seconds=0.2,
    most_valid=None,
)


def scan(root: Path) -> list[Source]:
    """WORD/SPEAKER_nohash_N.wav of the ten words."""
    return speech_commands(root, WORDS)


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
