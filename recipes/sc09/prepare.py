"""SC09: the ten digit words of Speech Commands v0.02 (Warden 2018, arXiv 1804.03209), 16 kHz. CC BY 4.0.

About 38,900 clips of up to one second by 2,600 speakers, split by the official validation and test lists.

    python recipes/sc09/prepare.py                               # downloads the archive (2.4 GB)
    python recipes/sc09/prepare.py --source ARCHIVE.tar.gz       # or the folder of testing_list.txt
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wavegan.corpus import main
from wavegan.layouts import SPEECH_COMMANDS, speech_commands
from wavegan.prepare import Source

RECIPES = ("vocoder", "frames", "digits")
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
CORPUS = replace(SPEECH_COMMANDS, name="sc09", title="Speech Commands v0.02, the digits", count=38908)


def scan(root: Path) -> list[Source]:
    """List WORD/SPEAKER_nohash_N.wav of the ten words."""
    return speech_commands(root, WORDS)


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
