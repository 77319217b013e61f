"""Speech Commands v0.02 (Warden 2018, arXiv 1804.03209): 105,829 clips of 35 words, 2,618 speakers, 16 kHz. CC BY 4.0.

Split by the official validation and test lists. recipes/sc09 has the ten digit words alone.

    python recipes/speech_commands/prepare.py                     # downloads the archive (2.4 GB)
    python recipes/speech_commands/prepare.py --source ARCHIVE    # or the folder of testing_list.txt
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import main
from wavegan.layouts import SPEECH_COMMANDS, speech_commands
from wavegan.prepare import Source

RECIPES = ("vocoder", "frames", "words")
CORPUS = SPEECH_COMMANDS


def scan(root: Path) -> list[Source]:
    """List WORD/SPEAKER_nohash_N.wav of all words."""
    return speech_commands(root)


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
