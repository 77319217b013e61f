"""Open speech: 6.6 hours of 1,317 speakers in some 50 languages, collected from free recordings. CC0 and MIT.

Its sources are listed in README.md; the collection is one archive with metadata.jsonl, a line for each recording.

    python recipes/open_speech/prepare.py --source open-speech.tar     # or the folder with metadata.jsonl in it
"""

from __future__ import annotations

import json
from pathlib import Path

from wavegan.corpus import Corpus, main
from wavegan.prepare import Source

CORPUS = Corpus(
    name="open_speech",
    title="Open speech",
    sample_rate=22050,
    layout=("metadata.jsonl",),
    by_hand="Collect the recordings listed in recipes/open_speech/README.md.",
)


def scan(root: Path) -> list[Source]:
    """List the training recordings, and of validation and test speakers the ``chosen`` clean clips only.

    The other recordings of those speakers are left out, so that nothing of them is ever trained on.
    """
    sources = []
    for line in (root / "metadata.jsonl").read_text(encoding="utf-8").splitlines():
        record = json.loads(line)
        if record["split"] == "train" or record.get("chosen"):
            path = root / record["path"]
            id = Path(record["path"]).with_suffix("").as_posix()
            sources.append(Source(path, id, record["speaker"], text=record["text"], part=record["split"]))
    return sources


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
