"""What the recipes of published corpora share: from an address, an archive or a folder to manifests, one command line.

A recipe's ``prepare.py`` says what the corpus is (``Corpus``) and which recordings lie in it (``scan``).
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
from wavegan.data.manifest import Utterance, split
from wavegan.data.preparation_report import Report
from wavegan.data.prepare import check_settings, check_workers, prepare, write_manifests
from wavegan.data.source import Settings, Source

DEPTH = 5  # folders to look into for a corpus: M-AILABS has its books that deep
MOST_VALID = 100  # recordings of a vocoder's validation: each is copied and scored every few hundred steps
Scan = Callable[[Path], list[Source]]


@dataclass(frozen=True)
class Archive:
    """A published file: its address, its size in bytes (or about), its SHA-256 or MD5, where they are known."""

    url: str
    size: int | None = None
    checksum: str | None = None


@dataclass(frozen=True)
class Corpus:
    """What a corpus is.

    ``layout``: patterns that all match in a folder that is the corpus or a part of it. ``archives``: by the name of
    the part that each holds; ``parts``: those that are downloaded unless others are asked for (none: all).
    ``by_hand``: how to get what has no address. ``count``: recordings of the whole. ``bad_lists``: pattern of the
    corpus's own lists of bad recordings. ``split_by``, ``num_valid`` and ``num_test`` are for what has no official
    split; ``most_valid``: of those, or of the official ones, are kept for validation.
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
    """The command line that every recipe's ``prepare.py`` has; each adds where its recordings come from."""
    parser = ArgumentParser(description=description, formatter_class=RawDescriptionHelpFormatter, allow_abbrev=False)
    parser.add_argument("--output", type=Path, default=Path(output), help=f"folder to write (default: {output})")
    parser.add_argument("--num-workers", type=int, help="files at once (default: one a core)")
    parser.add_argument("--limit", type=int, help="only so many recordings, spread over all (default: all)")
    rate = {"required": True, "help": "in Hz"} if sample_rate is None else {"help": "in Hz (default: %(default)s)"}
    parser.add_argument("--sample-rate", type=int, default=sample_rate, **rate)
    ways = {"nargs": "?", "choices": ["energy", "vad"], "const": "energy"}
    parser.add_argument("--trim", **ways, help="cut the silence at both ends, told by its energy or by silero-vad")
    parser.add_argument("--loudness", type=float, help="bring each recording to so many LUFS, such as -23")
    parser.add_argument("--memmap", action="store_true", help="for a corpus larger than memory: map it from the disk")
    return parser


def settings_of(options: Namespace, min_seconds: float = 0.5, peak: float | None = None) -> Settings:
    """What the command line asks for, checked before the long work; a loudness takes the place of a peak.

    Raises:
        UserError: an option that makes no sense, or ``--output`` was prepared otherwise.
    """
    limited((), options.limit)
    check_workers(options.num_workers)
    peak = peak if options.loudness is None else None
    settings = Settings(options.sample_rate, min_seconds, peak, options.trim, options.loudness)
    check_settings(options.output, settings)
    return settings


def check_apart(source: Path, output: Path) -> None:
    """Refuse an output among the recordings: another time, what was written would be taken for recordings.

    Raises:
        UserError: ``output`` lies in ``source``.
    """
    if Path(os.path.abspath(output)).is_relative_to(os.path.abspath(source)):
        raise UserError(
            f"{output} lies in {source}, whose sound files are all taken: what is written would be taken as well when "
            "it is run again. Stand in another folder, or give another --output."
        )


def run(options: Namespace, sources: Sequence[Source], settings: Settings) -> Report:
    """``prepare`` as the command line asks for it, its summary printed."""
    report = prepare(limited(sources, options.limit), options.output, settings, options.num_workers)
    print(report)
    return report


def main(
    corpus: Corpus, scan: Scan, description: str | None, check: Callable[[list[Source]], None] | None = None
) -> None:
    """The command line of a recipe's ``prepare.py``; ``check`` refuses recordings that are not the published ones."""
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
    parser.add_argument(
        "--source",
        nargs="+",
        default=[corpus.source],
        help=f"folders, archives, or addresses of archives (default: {corpus.source})",
    )
    parts = corpus.parts or tuple(corpus.archives)
    if len(corpus.archives) > 1:
        more = f"what to download, of {', '.join(corpus.archives)} (default: {', '.join(parts)})"
        parser.add_argument("--parts", nargs="+", choices=corpus.archives, metavar="PART", help=more)
    parser.set_defaults(parts=parts)
    return parser.parse_args()


def find(corpus: Corpus, scan: Scan, folders: Sequence[Path]) -> list[Source]:
    """All recordings of the corpus in some folders; those on its own lists of bad ones with that fault.

    Raises:
        UserError: a folder, or what is in it, is not this corpus in this version.
    """
    roots = [root for folder in folders for root in find_roots(folder, corpus.layout)]
    shown = ", ".join(map(str, folders))
    if not roots:
        raise _another(shown, corpus)
    lists = [path for folder in folders for path in folder.rglob(corpus.bad_lists)] if corpus.bad_lists else []
    if corpus.bad_lists and not lists:
        print(f"No {corpus.bad_lists} in {shown}: the recordings that {corpus.title} lists as bad are not left out.")
    try:
        sources = [source for root in roots for source in scan(root)]
        bad = {Path(line.strip()).stem for path in lists for line in path.read_text(encoding="utf-8").splitlines()}
    except (ValueError, LookupError, TypeError, AttributeError) as error:  # too few fields, other JSON, no UTF-8
        raise UserError(
            f"A table of {corpus.title} in {shown} can't be read ({error}). Unpack the archive again."
        ) from None
    if not sources:
        raise UserError(f"{shown} lists no recordings of {corpus.title}. Unpack the archive again.")
    return [replace(s, fault="on the corpus's own list of bad files") if s.id in bad else s for s in sources]


def _another(shown: str, corpus: Corpus) -> UserError:
    return UserError(
        f"{shown} is not {corpus.title}: no folder there has {' and '.join(corpus.layout)}. Give the folder or archive "
        "of that version."
    )


def find_roots(folder: Path, layout: Sequence[str], depth: int = DEPTH) -> list[Path]:
    """The folders, from ``folder`` down, in which every pattern of a layout matches; none lies inside another."""
    if all(any(folder.glob(pattern)) for pattern in layout):
        return [folder]
    if depth == 0:
        return []
    below = sorted(p for p in folder.iterdir() if p.is_dir() and not is_hidden(p.name))
    return [root for inner in below for root in find_roots(inner, layout, depth - 1)]


def divide(corpus: Corpus, utterances: list[Utterance], parts: dict[str, str | None]) -> dict[str, list[Utterance]]:
    """The corpus's own split; what it hasn't, or isn't there, is taken from the training part by a hash of the ids.

    Raises:
        UserError: too few recordings for three parts.
    """
    own = {name: [u for u in utterances if (parts[u.id] or "train") == name] for name in ("train", "valid", "test")}
    if not own["train"]:
        print(f"No recording is of the training part of {corpus.title}: all are split anew, not as it is published.")
        own = {"train": utterances, "valid": [], "test": []}
    if not own["valid"] or not own["test"]:
        units = len({u.speaker if corpus.split_by == "speaker" else u.id for u in own["train"]})
        num_valid, num_test = (max(1, min(n, units // 10)) for n in (corpus.num_valid, corpus.num_test))
        drawn = split(own["train"], num_valid, num_test, corpus.split_by)
        back = [u for name in ("valid", "test") if own[name] for u in drawn[name]]
        own = {
            "train": drawn["train"] + back,
            "valid": own["valid"] or drawn["valid"],
            "test": own["test"] or drawn["test"],
        }
    return own | {"valid": limited(own["valid"], corpus.most_valid)}


def _obtain(
    corpus: Corpus, sources: Sequence[str], parts: Sequence[str], folder: Path, check: Callable[[Path], None] | None
) -> list[Path]:
    """The folders that hold the corpus: as given, or downloaded and unpacked into ``folder``."""
    known = {file_name(archive.url): archive for archive in corpus.archives.values()}
    if sources != ["download"]:
        addresses = Counter(file_name(source) for source in set(sources) if "://" in source)
        if twins := [name for name, count in addresses.items() if count > 1]:
            raise UserError(f"Two addresses end in {twins[0]}. Download and unpack them, and give the folders.")
        named = [(source, known.get(file_name(source), Archive(source))) for source in sources]
        return [_obtain_one(corpus, source, archive, folder, check) for source, archive in named]
    if not corpus.archives:
        raise UserError(f"{corpus.title} can't be downloaded from here. {corpus.by_hand} Then give it by --source.")
    wanted = [corpus.archives[part] for part in parts]
    _check_space(corpus, wanted, folder)
    return [_obtain_one(corpus, "download", archive, folder, check) for archive in wanted]


def _obtain_one(
    corpus: Corpus, source: str, archive: Archive, folder: Path, check: Callable[[Path], None] | None
) -> Path:
    """``obtain``; what was unpacked of something else goes. A downloaded archive stays: it may have taken hours.

    Raises:
        UserError: as ``obtain``, or an archive with neither the corpus nor a list of its bad recordings.
    """
    before = set(folder.glob("*.unpacked"))
    found = obtain(source, archive.url, folder, archive.checksum, check)
    if found.parent != folder or find_roots(found, corpus.layout):
        return found
    if corpus.bad_lists and any(found.rglob(corpus.bad_lists)):
        return found
    if found not in before:
        shutil.rmtree(found)
    if source == "download" or "://" in source:
        kept = folder / file_name(archive.url if source == "download" else source)
        raise _another(f"{kept}, which can be removed,", corpus)
    raise _another(source, corpus)


def _check_space(corpus: Corpus, archives: Sequence[Archive], folder: Path) -> None:
    """Refuse to begin what can't end: an archive and at least as much again for what is in it."""
    needed = 0
    for archive in archives:
        target = folder / file_name(archive.url)
        partial = target.with_name(f"{target.name}.partial")
        there = next((p.stat().st_size for p in (target, partial) if p.exists()), 0)
        unpacked = target.with_name(f"{target.name}.unpacked").is_dir()
        needed += 0 if unpacked else 2 * (archive.size or 0) - there
    existing = next(p for p in (folder.absolute(), *folder.absolute().parents) if p.exists())
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise UserError(
            f"{corpus.title} needs {needed / 1e9:.3g} GB to download and unpack, {free / 1e9:.3g} GB are free in "
            f"{existing}. Choose another --output, or give what you have by --source."
        )
