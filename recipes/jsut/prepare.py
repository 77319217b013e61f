"""JSUT 1.1 (Sonobe 2017, arXiv 1711.00354): 10 hours of one Japanese reader, 48 kHz. Custom licence.

python recipes/jsut/prepare.py                                # downloads the archive
python recipes/jsut/prepare.py --source jsut_ver1.1           # or an archive, or its URL elsewhere
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.layouts import rows
from wavegan.prepare import Source

CORPUS = Corpus(
    name="jsut",
    title="JSUT 1.1",
    sample_rate=48000,
    layout=("basic5000/transcript_utf8.txt", "basic5000/wav"),
    archives={"all": Archive("http://ss-takashi.sakura.ne.jp/corpus/jsut_ver1.1.zip")},
    count=7696,
)


def scan(root: Path) -> list[Source]:
    """List nine sub-corpora: SUBSET/wav/ID.wav, and lines "ID:text" in SUBSET/transcript_utf8.txt."""
    lines = [(table.parent, row) for table in sorted(root.glob("*/transcript_utf8.txt")) for row in rows(table, ":")]
    return [
        Source(folder / "wav" / f"{id}.wav", f"{folder.name}/{id}", "jsut", text=":".join(text))
        for folder, (id, *text) in lines
    ]


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
