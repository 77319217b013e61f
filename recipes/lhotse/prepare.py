"""Any corpus prepared by Lhotse: converts a CutSet or RecordingSet (JSON lines) to manifests.

    lhotse prepare ljspeech LJSpeech-1.1 manifests                # for example
    python recipes/lhotse/prepare.py --source manifests/ljspeech_recordings_all.jsonl.gz --sample-rate 22050

Three manifests, for training, validation and test, keep a split: --source train.jsonl.gz dev.jsonl.gz test.jsonl.gz
Instead of a manifest, a folder of shards (Shar) can be given; they are unpacked into OUTPUT/raw one after the other.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cuts

from wavegan.corpus import Corpus, arguments, divide, run, settings_of
from wavegan.errors import UserError, reported
from wavegan.prepare import Source, write_manifests

PARTS = ("train", "valid", "test")


def scan(manifests: list[Path], work: Path) -> list[Source]:
    """List the recordings or cuts of one manifest or folder of shards, or of three, one per part of the split."""
    if len(manifests) not in (1, 3):
        raise UserError(f"Give one manifest, or three: train, validation, test; got {len(manifests)}.")
    parts = PARTS if len(manifests) == 3 else (None,)
    lists = [cuts.read_shards(path, work) if path.is_dir() else cuts.read(path) for path in manifests]
    return [replace(s, part=part) for sources, part in zip(lists, parts, strict=True) for s in sources]


def main() -> None:
    parser = arguments(__doc__, "data/lhotse", sample_rate=None)
    parser.add_argument("--source", type=Path, nargs="+", required=True, help="one manifest, or three")
    options = parser.parse_args()
    settings = settings_of(options)
    sources = scan(options.source, options.output / "raw")
    report = run(options, sources, settings)
    corpus = Corpus("lhotse", "Lhotse", options.sample_rate, layout=())
    parts = divide(corpus, report.kept, {s.id: s.part for s in sources})
    print(write_manifests(options.output, parts, options.memmap))


if __name__ == "__main__":
    with reported():
        main()
