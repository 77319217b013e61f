"""The command line of corpus preparation: from an address, an archive or a folder to manifests.

A recipe's ``prepare.py`` describes its corpus (``Corpus``) and lists the recordings of a folder (``scan``).
"""

from __future__ import annotations

import os
import shutil
from argparse import ArgumentParser, Namespace, RawDescriptionHelpFormatter
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from wavegan.audio.files import is_hidden
from wavegan.core.errors import UserError, reported
from wavegan.core.sequences import limited
from wavegan.data.download import file_name, obtain
from wavegan.data.executors import EXECUTORS
from wavegan.data.manifest import Utterance, split
from wavegan.data.preparation_report import Report
from wavegan.data.prepare import check_settings, check_workers, prepare, write_manifests
from wavegan.data.source import Settings, Source

DEPTH = 5  # levels of folders to search for a corpus: the books of M-AILABS are that deep
MOST_VALID = 100  # recordings of a vocoder's validation, which copies and scores each every few hundred steps
Scan = Callable[[Path], list[Source]]


@dataclass(frozen=True)
class Archive:
    """A published file: its address and, if known, its approximate size in bytes and its SHA-256 or MD5."""

    url: str
    size: int | None = None
    checksum: str | None = None


@dataclass(frozen=True)
class Corpus:
    """Description of a corpus.

    ``layout``: patterns that all match in a folder of the corpus or of a part of it. ``archives``: by the name of their
    part; ``parts``: those to download by default (empty: all). ``by_hand``: how to get a corpus without an address.
    ``count``: recordings of the whole corpus. ``bad_lists``: pattern of the corpus's own lists of bad recordings.
    ``split_by``, ``num_valid``, ``num_test``: the split where there is no official one; ``most_valid``: limit of the
    recordings for validation in either.
    """

    name: str
    title: str
    sample_rate: int
    layout: tuple[str, ...]
    archives: dict[str, Archive] = field(default_factory=dict)
    parts: tuple[str, ...] = ()
    by_hand: str = ""
    count: int | None = None
    bad_lists: str | None = None
    min_seconds: float = 0.5
    peak: float | None = None
    split_by: str = "file"
    num_valid: int = 100
    num_test: int = 200
    most_valid: int | None = MOST_VALID
    source: str = "download"


def arguments(description: str | None, output: str, sample_rate: int | None = 16000) -> ArgumentParser:
    """The options of every ``prepare.py``; each adds those for the source of its recordings."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--output", type=Path, default=Path(output), help=f"folder to write (default: {output})")
    parser.add_argument("--num-workers", type=int, help="parallel conversions (default: one per core)")
    choices = {"choices": sorted(EXECUTORS), "default": "threads"}
    parser.add_argument("--executor", **choices, help="what runs the conversions (default: threads)")
    parser.add_argument("--limit", type=int, help="number of recordings, evenly spaced over all (default: all)")
    rate = {"required": True, "help": "in Hz"} if sample_rate is None else {"help": "in Hz (default: %(default)s)"}
    parser.add_argument("--sample-rate", type=int, default=sample_rate, **rate)
    ways = {"nargs": "?", "choices": ["energy", "vad"], "const": "energy"}
    parser.add_argument("--trim", **ways, help="cut silence at both ends, detected by energy or by silero-vad")
    parser.add_argument("--loudness", type=float, help="loudness of each recording in LUFS, such as -23")
    parser.add_argument("--memmap", action="store_true", help="map samples from disk, for a corpus larger than memory")
    return parser


def settings_of(options: Namespace, min_seconds: float = 0.5, peak: float | None = None) -> Settings:
    """Settings of the command line, checked before a long computation; a loudness replaces a peak.

    Raises:
        UserError: an invalid option, or ``--output`` was prepared with other settings.
    """
    limited((), options.limit)
    check_workers(options.num_workers)
    peak = peak if options.loudness is None else None
    settings = Settings(options.sample_rate, min_seconds, peak, options.trim, options.loudness)
    check_settings(options.output, settings)
    return settings


def check_apart(source: Path, output: Path) -> None:
    """Raise UserError if ``output`` is inside ``source``, where a second run would read it as recordings."""
    if Path(os.path.abspath(output)).is_relative_to(os.path.abspath(source)):
        raise UserError(
            f"{output} is inside {source}, so that a second run would read what this one writes as recordings. Start "
            "in another folder, or give another --output."
        )


def run(options: Namespace, sources: Sequence[Source], settings: Settings) -> Report:
    """Prepare ``sources`` with the options of the command line, and print the summary."""
    sources = limited(sources, options.limit)
    report = prepare(sources, options.output, settings, options.num_workers, options.executor)
    print(report)
    return report


def main(
    corpus: Corpus, scan: Scan, description: str | None, check: Callable[[list[Source]], None] | None = None
) -> None:
    """Run a recipe's ``prepare.py``; ``check`` raises UserError if the recordings aren't the published ones."""
    with reported():
        options = _options(corpus, description)
        settings = settings_of(options, corpus.min_seconds, corpus.peak)
        for source in () if corpus.layout else options.source:
            check_apart(Path(source), options.output)
        look = (lambda folder: check(find(corpus, scan, [folder]))) if check else None
        folders = _obtain(corpus, options.source, options.parts, options.output / "raw", look)
        sources = find(corpus, scan, folders)
        if corpus.count and len(sources) != corpus.count:
            print(f"Found {len(sources)} of the {corpus.count} recordings of {corpus.title}.")
        report = run(options, sources, settings)
        parts = divide(corpus, report.kept, {s.id: s.part for s in sources})
        print(write_manifests(options.output, parts, options.memmap))


def _options(corpus: Corpus, description: str | None) -> Namespace:
    parser = arguments(description, f"data/{corpus.name}", corpus.sample_rate)
    kinds = f"folders, archives, or addresses of archives (default: {corpus.source})"
    parser.add_argument("--source", nargs="+", default=[corpus.source], help=kinds)
    parts = corpus.parts or tuple(corpus.archives)
    if len(corpus.archives) > 1:
        more = f"parts to download, of {', '.join(corpus.archives)} (default: {', '.join(parts)})"
        parser.add_argument("--parts", nargs="+", choices=corpus.archives, metavar="PART", help=more)
    parser.set_defaults(parts=parts)
    return parser.parse_args()


def find(corpus: Corpus, scan: Scan, folders: Sequence[Path]) -> list[Source]:
    """List the recordings of a corpus in folders; those on its lists of bad recordings have that fault.

    Raises:
        UserError: a folder or its contents aren't this version of the corpus.
    """
    roots = [root for folder in folders for root in find_roots(folder, corpus.layout)]
    shown = ", ".join(map(str, folders))
    if not roots:
        raise _another(shown, corpus)
    lists = [path for folder in folders for path in folder.rglob(corpus.bad_lists)] if corpus.bad_lists else []
    if corpus.bad_lists and not lists:
        print(f"No {corpus.bad_lists} in {shown}: the recordings that {corpus.title} lists as bad are kept.")
    try:
        sources = [source for root in roots for source in scan(root)]
        bad = {Path(line.strip()).stem for path in lists for line in path.read_text(encoding="utf-8").splitlines()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # too few fields, other JSON, no UTF-8
        raise UserError(
            f"A table of {corpus.title} in {shown} can't be read ({error}). Unpack the archive again."
        ) from None
    if not sources:
        raise UserError(f"{shown} has no recordings of {corpus.title}. Unpack the archive again.")
    return [replace(s, fault="on the corpus's own list of bad files") if s.id in bad else s for s in sources]


def _another(shown: str, corpus: Corpus) -> UserError:
    return UserError(
        f"{shown} is not {corpus.title}: no folder there has {' and '.join(corpus.layout)}. Give the folder or archive "
        "of that version."
    )


def find_roots(folder: Path, layout: Sequence[str], depth: int = DEPTH) -> list[Path]:
    """List the folders, from ``folder`` down, in which every pattern of a layout matches; none is inside another."""
    if all(any(folder.glob(pattern)) for pattern in layout):
        return [folder]
    if depth == 0:
        return []
    below = sorted(p for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name))
    return [root for inner in below for root in find_roots(inner, layout, depth - 1)]


def divide(corpus: Corpus, utterances: list[Utterance], parts: dict[str, str | None]) -> dict[str, list[Utterance]]:
    """Split by the official parts; a missing part is taken from the training part by a hash of the ids."""
    names = ("train", "valid", "test")
    train, valid, test = ([u for u in utterances if (parts[u.id] or "train") == name] for name in names)
    if not train:
        print(f"No recording is in the training part of {corpus.title}: the split differs from the published one.")
        train, valid, test = utterances, [], []
    if not valid or not test:
        units = len({u.speaker if corpus.split_by == "speaker" else u.id for u in train})
        num_valid, num_test = (max(1, min(n, units // 10)) for n in (corpus.num_valid, corpus.num_test))
        drawn = split(train, num_valid, num_test, corpus.split_by)
        train = drawn["train"] + (drawn["valid"] if valid else []) + (drawn["test"] if test else [])
        valid, test = valid or drawn["valid"], test or drawn["test"]
    return {"train": train, "valid": limited(valid, corpus.most_valid), "test": test}


def _obtain(
    corpus: Corpus, sources: Sequence[str], parts: Sequence[str], folder: Path, check: Callable[[Path], None] | None
) -> list[Path]:
    """The folders of the corpus: as given, or downloaded and unpacked into ``folder``."""
    known = {file_name(archive.url): archive for archive in corpus.archives.values()}
    if sources != ["download"]:
        addresses = Counter(file_name(source) for source in set(sources) if "://" in source)
        if twins := [name for name, count in addresses.items() if count > 1]:
            raise UserError(f"Two addresses end in {twins[0]}. Download and unpack them, and give the folders.")
        named = [(source, known.get(file_name(source), Archive(source))) for source in sources]
        return [_obtain_one(corpus, source, archive, folder, check) for source, archive in named]
    if not corpus.archives:
        raise UserError(f"{corpus.title} can't be downloaded from here. {corpus.by_hand} Then give it by --source.")
    archives = [corpus.archives[part] for part in parts]
    _check_space(corpus, archives, folder)
    return [_obtain_one(corpus, "download", archive, folder, check) for archive in archives]


def _obtain_one(
    corpus: Corpus, source: str, archive: Archive, folder: Path, check: Callable[[Path], None] | None
) -> Path:
    """Obtain one folder. Another corpus is an error; its archive, whose download may have taken hours, is kept."""
    before = set(folder.glob("*.unpacked"))
    unpacked = obtain(source, archive.url, folder, archive.checksum, check)
    if unpacked.parent != folder or find_roots(unpacked, corpus.layout):
        return unpacked
    if corpus.bad_lists and any(unpacked.rglob(corpus.bad_lists)):
        return unpacked
    if unpacked not in before:
        shutil.rmtree(unpacked)
    if source == "download" or "://" in source:
        kept = folder / file_name(archive.url if source == "download" else source)
        raise _another(f"{kept}, which can be removed,", corpus)
    raise _another(source, corpus)


def _check_space(corpus: Corpus, archives: Sequence[Archive], folder: Path) -> None:
    """Check that archives and at least as much again for their contents fit on the disk."""
    needed = 0
    for archive in archives:
        target = folder / file_name(archive.url)
        partial = target.with_name(f"{target.name}.partial")
        done = next((p.stat().st_size for p in (target, partial) if p.exists()), 0)
        unpacked = target.with_name(f"{target.name}.unpacked").is_dir()
        needed += 0 if unpacked else 2 * (archive.size or 0) - done
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise UserError(
            f"{corpus.title} needs {needed / 1e9:.3g} GB to download and unpack, {free / 1e9:.3g} GB are free in "
            f"{existing}. Choose another --output, or give the recordings that you have by --source."
        )
