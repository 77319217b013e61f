"""CSMSC, also BZNSYP or Baker (Databaker): 10,000 sentences of one Mandarin reader, 12 hours, 48 kHz. Non-commercial.

It is published as a RAR archive, which Python can't read: unpack it and pass the folder.

    python recipes/csmsc/prepare.py --source BZNSYP               # the folder of Wave and ProsodyLabeling
"""

from __future__ import annotations

import re
from pathlib import Path

from wavegan.corpus import Corpus, main
from wavegan.prepare import Source

LABELS = "ProsodyLabeling/000001-010000.txt"
CORPUS = Corpus(
    name="csmsc",
    title="CSMSC (BZNSYP, 10,000 sentences)",
    sample_rate=48000,
    layout=("Wave", LABELS),
    by_hand="Get BZNSYP.rar from https://www.data-baker.com/open_source.html and unpack it.",
    count=10000,
)
LINE = re.compile(r"(\d{6})\s+(\S.*)")  # every second line is the pinyin of the line before
BREAK = re.compile(r"#\d")


def scan(root: Path) -> list[Source]:
    """List Wave/000001.wav and so on; the marks of prosodic breaks are removed from the texts."""
    lines = (root / LABELS).read_text(encoding="utf-8-sig").split("\n")
    matches = [match.groups() for match in map(LINE.match, lines) if match]
    return [Source(root / "Wave" / f"{id}.wav", id, "baker", text=BREAK.sub("", text).strip()) for id, text in matches]


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
