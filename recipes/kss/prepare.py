"""KSS 1.4 (Park 2018): 12,853 clips of one Korean reader, 12 hours, 44.1 kHz. CC BY-NC-SA 4.0.

Kaggle requires an account: download the archive manually. Some clips are stereo; they are mixed to mono.

    python recipes/kss/prepare.py --source archive.zip            # or the folder of transcript.v.1.4.txt
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Corpus, main
from wavegan.layouts import rows
from wavegan.prepare import Source

TRANSCRIPT = "transcript.v.1.4.txt"
CORPUS = Corpus(
    name="kss",
    title="KSS 1.4",
    sample_rate=44100,
    layout=(TRANSCRIPT,),
    by_hand="Get it from https://www.kaggle.com/datasets/bryanpark/korean-single-speaker-speech-dataset by hand.",
    count=12853,
)


def scan(root: Path) -> list[Source]:
    """List lines "1/1_0000.wav|original|expanded|decomposed|seconds|English"; folders 1 to 4 are here or in kss."""
    folder = root / "kss" if (root / "kss").is_dir() else root
    lines = [(path, expanded) for path, _, expanded, *_ in rows(root / TRANSCRIPT)]
    return [Source(folder / path, Path(path).stem, "kss", text=text) for path, text in lines]


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
