"""Any folder of recordings: wav, flac, ogg or mp3, any sample rate, mono or not, in nested folders.

    python recipes/folder/prepare.py --wavs DIR [--output data/folder] [--sample-rate 16000]

Every recording becomes a mono 16-bit FLAC; files that can't be used are listed in OUTPUT/report.txt with the reason.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from wavegan.corpus import arguments, check_apart, run, settings_of
from wavegan.errors import reported
from wavegan.manifest import split
from wavegan.prepare import Source, sources_in, write_manifests

RECIPES = ("quarter_hour",)
BESIDE = "vocoder-16k"


def scan(folder: Path, speaker_folders: bool) -> list[Source]:
    """List all recordings; with ``speaker_folders``, the first level of folders names the speakers."""
    sources = sources_in(folder)
    if speaker_folders:
        sources = [replace(s, speaker=s.id.split("/")[0] if "/" in s.id else None) for s in sources]
    return sources


def main() -> None:
    parser = arguments(__doc__, "data/folder")
    parser.add_argument("--source", "--wavs", type=Path, required=True, help="the folder of recordings")
    parser.add_argument("--num-valid", type=int, help="files for validation (default: 2 %% of them, 1 to 24)")
    parser.add_argument("--num-test", type=int, help="files for the test (default: 4 %% of them, 1 to 60)")
    parser.add_argument("--speaker-folders", action="store_true", help="the first level of folders names the speakers")
    parser.add_argument("--split-by", choices=["file", "speaker"], default="file")
    options = parser.parse_args()
    check_apart(options.source, options.output)
    settings = settings_of(options)
    report = run(options, scan(options.source, options.speaker_folders), settings)
    units = len({u.speaker if options.split_by == "speaker" else u.id for u in report.kept})
    num_valid = min(max(units // 50, 1), 24) if options.num_valid is None else options.num_valid
    num_test = min(max(units // 25, 1), 60) if options.num_test is None else options.num_test
    parts = split(report.kept, num_valid, num_test, options.split_by)
    print(write_manifests(options.output, parts, options.memmap))


if __name__ == "__main__":
    with reported():
        main()
