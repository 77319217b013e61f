"""Hi-Fi TTS (Bakhturina 2021, arXiv 2104.01497): 292 hours, 10 readers, 44.1 kHz. CC BY 4.0.

python recipes/hifitts/prepare.py                             # downloads the archive (41 GB)
python recipes/hifitts/prepare.py --source hi_fi_tts_v0       # or an archive, or its URL elsewhere
"""

from __future__ import annotations

import json
from pathlib import Path

from wavegan.corpus import Archive, Corpus, main
from wavegan.prepare import Source

CORPUS = Corpus(
    name="hifitts",
    title="Hi-Fi TTS v0",
    sample_rate=44100,
    layout=("*_manifest_*_*.json", "audio"),
    archives={"all": Archive("https://www.openslr.org/resources/109/hi_fi_tts_v0.tar.gz", 41 * 10**9)},
)


def scan(root: Path) -> list[Source]:
    """List READER_manifest_QUALITY_PART.json: one line of JSON per audio/READER_QUALITY/BOOK/NAME.flac."""
    sources = []
    for manifest in sorted(root.glob("*_manifest_*_*.json")):
        reader, _, _, part = manifest.stem.split("_")
        for line in filter(str.strip, manifest.read_text(encoding="utf-8").split("\n")):
            record = json.loads(line)
            path = Path(record["audio_filepath"])
            name = path.with_suffix("").relative_to("audio").as_posix()
            split = {"dev": "valid"}.get(part, part)
            sources.append(Source(root / path, name, reader, text=record["text"], part=split))
    return sources


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
