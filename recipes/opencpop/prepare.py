"""Opencpop (Wang 2022, arXiv 2201.07429): 100 Mandarin pop songs by one singer, 5.2 hours, 44.1 kHz. CC BY-NC-ND 4.0.

Its authors send a download link on request.

    python recipes/opencpop/prepare.py --source Opencpop          # or an archive with segments/wavs in it
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Corpus, main
from wavegan.layouts import rows
from wavegan.prepare import Source

CORPUS = Corpus(
    name="opencpop",
    title="Opencpop",
    sample_rate=44100,
    layout=("transcriptions.txt", "test.txt", "wavs"),
    by_hand="Ask for it at https://wenet.org.cn/opencpop/.",
    count=3756,
)


def scan(root: Path) -> list[Source]:
    """List the folder segments: wavs/2001000001.wav, lines "ID|lyrics|phonemes|..."; test.txt is the official test."""
    test = {id for id, *_ in rows(root / "test.txt")}
    lines = [(id, lyrics) for id, lyrics, *_ in rows(root / "transcriptions.txt")]
    parts = {id: "test" if id in test else None for id, _ in lines}
    return [Source(root / "wavs" / f"{id}.wav", id, "opencpop", text=text, part=parts[id]) for id, text in lines]


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
