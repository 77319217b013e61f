"""Any folder of labelled clips, one sub-folder per class: words, drums, birds.

    python recipes/labelled_folder/prepare.py --wavs DIR [--output data/labelled_folder] [--sample-rate 16000]

About a tenth of the clips of each class is for the test and a twentieth for validation, at least one each.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from wavegan.audio import is_hidden
from wavegan.corpus import arguments, check_apart, run, settings_of
from wavegan.errors import UserError, reported
from wavegan.manifest import Utterance, split
from wavegan.prepare import Source, limited, rates, sources_in, write_manifests

RECIPES = ("vocoder", "frames", "clips")
FEWEST = 3  # clips of a class: one each for training, validation and test


def scan(folder: Path) -> list[Source]:
    """List all clips; the first level of folders names the classes.

    Raises:
        UserError: fewer than two classes, or a class with too few clips.
    """
    sources = [replace(s, label=s.id.split("/")[0]) for s in sources_in(folder) if "/" in s.id]
    classes = sorted(p.name for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name))
    if len(classes) < 2:
        raise UserError(
            f"{folder} has {len(classes)} sub-folders; each class is one, and there should be at least two."
        )
    check_classes(Counter(s.label for s in sources), classes, folder)
    return sources


def check_classes(counts: Counter, classes: list[str], folder: Path) -> None:
    if few := [f"{name} ({counts[name]})" for name in classes if counts[name] < FEWEST]:
        raise UserError(
            f"Too few clips in {folder}: {', '.join(few)}. A class needs at least {FEWEST}; add clips or "
            "take the folder out."
        )


def check_rates(sources: list[Source]) -> None:
    """Refuse mixed sample rates: each class would sound bright in some clips and dull in others."""
    counts = rates([source.path for source in sources])
    if len(counts) > 1:
        shown = ", ".join(f"{count} at {rate} Hz" for rate, count in counts.most_common())
        raise UserError(
            f"The clips have different sample rates: {shown}. Add --mixed to bring all to one; those with a "
            "lower rate will sound duller."
        )


def split_classes(utterances: list[Utterance]) -> dict[str, list[Utterance]]:
    parts: dict[str, list[Utterance]] = {"train": [], "valid": [], "test": []}
    for label in sorted({u.label for u in utterances}):
        clips = [u for u in utterances if u.label == label]
        for name, part in split(clips, max(1, len(clips) // 20), max(1, len(clips) // 10)).items():
            parts[name] += part
    return parts


def main() -> None:
    parser = arguments(__doc__, "data/labelled_folder")
    parser.add_argument("--source", "--wavs", type=Path, required=True, help="the folder of class folders")
    parser.add_argument("--mixed", action="store_true", help="accept clips of different sample rates")
    options = parser.parse_args()
    check_apart(options.source, options.output)
    settings = settings_of(options, min_seconds=0.05, peak=0.7)
    sources = limited(scan(options.source), options.limit)
    classes = sorted({s.label for s in sources})
    check_classes(Counter(s.label for s in sources), classes, options.source)
    if not options.mixed:
        check_rates(sources)
    report = run(options, sources, settings)
    check_classes(Counter(u.label for u in report.kept), classes, options.source)
    print(write_manifests(options.output, split_classes(report.kept), options.memmap))


if __name__ == "__main__":
    with reported():
        main()
