"""Lhotse's manifests in and out: its corpora become ours, ours can be read by what reads Lhotse's. Needs no lhotse.

Read are JSON lines (gzipped or not) of recordings or of cuts of one channel, as ``lhotse prepare`` and
``CutSet.to_file`` write them (github.com/lhotse-speech/lhotse), and the shards of ``CutSet.to_shar``.
"""

from __future__ import annotations

import gzip
import json
import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from wavegan.core.errors import UserError
from wavegan.core.files import write_atomically
from wavegan.data.download import obtain
from wavegan.data.manifest import Utterance
from wavegan.data.source import Source

SUFFIXES = (".jsonl", ".jsonl.gz")
WHOLE_SECONDS = 0.01  # a cut that differs from its recording by less is all of it


def read(path: Path, kind: str = "file") -> list[Source]:
    """The recordings or cuts of a manifest as sources; relative paths are relative to the folder you stand in.

    Text and speaker of the first supervision come along. What can't be read (another program's output, an address, a
    recording changed on the fly) is a source with that fault; so is what isn't of the ``kind`` that is expected.

    Raises:
        UserError: no such file, another format, or a line that is no recording or cut.
    """
    sources = []
    for number, record in enumerate(_records(path), start=1):
        try:
            sources.append(_cut(record, kind) if "type" in record else _recording(record, kind))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else error
            raise UserError(
                f"{path}, line {number}, is no recording or cut of one channel ({what}). Give a CutSet of MonoCuts or "
                "a RecordingSet."
            ) from None
    if not sources:
        raise UserError(f"{path} lists nothing. Prepare the corpus with lhotse again.")
    return sources


def read_shards(folder: Path, work: Path) -> list[Source]:
    """The cuts of a folder of shards (Shar), cuts.N.jsonl.gz and recording.N.tar, which are unpacked into ``work``.

    Raises:
        UserError: no shards there, or one that is damaged.
    """
    sources = []
    for cuts in sorted(folder.glob("cuts.*.jsonl*")):
        shard = folder / f"recording.{cuts.name.split('.')[1]}.tar"
        unpacked = obtain(str(shard), str(shard), work)
        files = [path.relative_to(unpacked) for path in unpacked.rglob("*") if path.suffix not in (".json", "")]
        names = {file.with_suffix("").as_posix(): file for file in files}
        sources += [replace(s, path=unpacked / names.get(s.id, s.id)) for s in read(cuts, "shar")]
    if not sources:
        raise UserError(f"{folder} holds no shards of Lhotse: no cuts.000000.jsonl.gz and recording.000000.tar there.")
    return sources


def write(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write utterances as a CutSet, each a cut of a whole recording, paths absolute; the file appears whole.

    Raises:
        UserError: a name that doesn't end in .jsonl or .jsonl.gz, or a place that can't be written.
    """
    if not path.name.endswith(SUFFIXES):
        raise UserError(f"Cannot write {path}: Lhotse reads names that end in {' or '.join(SUFFIXES)}.")
    text = "".join(json.dumps(_as_cut(u), ensure_ascii=False) + "\n" for u in utterances).encode()
    write_atomically(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file() or not path.name.endswith(SUFFIXES):
        raise UserError(f"{path} is no manifest of Lhotse: give a file that ends in {' or '.join(SUFFIXES)}.")
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            for line in filter(str.strip, file):
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError("a line is no mapping")
                yield record
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} can't be read as JSON lines ({error}). Write it again.") from None


def _recording(record: dict[str, Any], kind: str, **more: Any) -> Source:
    (source, *others) = record["sources"]
    fault = None
    if others or len(source["channels"]) != 1:
        fault = "it has several channels or files: cut one channel out of it with lhotse"
    elif source["type"] == "shar" != kind:
        fault = "it lies in a shard: give the folder of the shards"
    elif source["type"] != kind:
        fault = f"it is no file but '{source['type']}': save it with lhotse (cuts.save_audios)"
    elif record.get("transforms"):
        fault = "lhotse changes it on the fly: save it with lhotse (cuts.save_audios)"
    return Source(Path(source["source"]), **({"id": str(record["id"]), "fault": fault} | more))


def _cut(record: dict[str, Any], kind: str) -> Source:
    if record["type"] != "MonoCut":
        raise TypeError(f"it is a {record['type']}")
    recording, said = record["recording"], (record.get("supervisions") or [{}])[0]
    begin, end = record["start"], record["start"] + record["duration"]
    if not math.isfinite(begin + end):
        raise ValueError(f"it begins at {begin} and ends at {end}")
    whole = begin < WHOLE_SECONDS and abs(end - recording["duration"]) < WHOLE_SECONDS
    who = {"speaker": said.get("speaker"), "text": said.get("text"), "label": (said.get("custom") or {}).get("label")}
    who = {key: str(value) for key, value in who.items() if value is not None}
    return _recording(recording, kind, id=str(record["id"]), span=None if whole else (begin, end), **who)


def _as_cut(utterance: Utterance) -> dict[str, Any]:
    u, seconds = utterance, utterance.seconds
    sources = [{"type": "file", "channels": [0], "source": str(u.path.absolute())}]
    sizes = {"sampling_rate": u.sample_rate, "num_samples": u.num_samples, "duration": seconds, "channel_ids": [0]}
    said = {"id": u.id, "recording_id": u.id, "start": 0.0, "duration": seconds, "channel": 0}
    said |= {key: value for key, value in (("text", u.text), ("speaker", u.speaker)) if value is not None}
    if u.label is not None:
        said["custom"] = {"label": u.label}
    recording = {"id": u.id, "sources": sources, **sizes}
    cut = {"id": u.id, "start": 0.0, "duration": seconds, "channel": 0, "supervisions": [said], "recording": recording}
    return cut | {"type": "MonoCut"}
