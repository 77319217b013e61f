"""Speech Commands v0.02 (Warden 2018, arXiv 1804.03209): 105,829 clips of 35 words, 2,618 speakers, 16 kHz. CC BY 4.0.

The official validation and test lists. The ten digit words alone are recipes/sc09.

    python recipes/speech_commands/prepare.py                     # downloads the archive (2.4 GB)
    python recipes/speech_commands/prepare.py --source ARCHIVE    # or the folder that holds testing_list.txt
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.layouts import SPEECH_COMMANDS_LISTS, speech_commands
from wavegan.prepare import Source

CORPUS = Corpus(
    name="speech_commands",
    title="Speech Commands v0.02",
    sample_rate=16000,
    layout=("backward", *SPEECH_COMMANDS_LISTS.values()),  # v0.01 has no "backward"
    archives={
        "all": Archive(
            "https://storage.googleapis.com/download.tensorflow.org/data/speech_commands_v0.02.tar.gz",
            2428923189,
            "af14739ee7dc311471de98f5f9d2c9191b18aedfe957f4a6ff791c709868ff58",
        )
    },
    count=105829,
    min_seconds=0.2,
    most_valid=None,
)


def scan(root: Path) -> list[Source]:
    """WORD/SPEAKER_nohash_N.wav of all words."""
    return speech_commands(root)


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
