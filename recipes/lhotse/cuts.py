"""Read and write Lhotse's manifests, without lhotse.

Reads JSON lines (gzipped or not) of recordings or single-channel cuts, as ``lhotse prepare`` and ``CutSet.to_file``
write them (github.com/lhotse-speech/lhotse), and the shards of ``CutSet.to_shar``.
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
WHOLE_SECONDS = 0.01  # a cut that differs from its recording by less is the whole recording


def read(path: Path, kind: str = "file") -> list[Source]:
    """Read the recordings or cuts of a manifest; relative paths are relative to the working directory.

    Sources have the text and speaker of the first supervision. A recording that can't be read (another program's
    output, a URL, transformed on the fly) or isn't of the expected ``kind`` becomes a source with that fault.

    Raises:
        UserError: no such file, another format, or a line that isn't a recording or cut.
    """
    sources = []
    for number, record in enumerate(_records(path), start=1):
        try:
            sources.append(_cut(record, kind) if "type" in record else _recording(record, kind))
        except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
            what = f"{error} is missing" if isinstance(error, KeyError) else error
            raise UserError(
                f"{path}, line {number}, is not a recording or a single-channel cut ({what}). Give a CutSet of "
                "MonoCuts or a RecordingSet."
            ) from None
    if not sources:
        raise UserError(f"{path} lists nothing. Prepare the corpus with lhotse again.")
    return sources


def read_shards(folder: Path, work: Path) -> list[Source]:
    """Read the cuts of a folder of shards (Shar), cuts.N.jsonl.gz and recording.N.tar; unpacks these into ``work``.

    Raises:
        UserError: no shards in the folder, or a damaged one.
    """
    sources = []
    for cuts in sorted(folder.glob("cuts.*.jsonl*")):
        shard = folder / f"recording.{cuts.name.split('.')[1]}.tar"
        unpacked = obtain(str(shard), str(shard), work)
        files = [path.relative_to(unpacked) for path in unpacked.rglob("*") if path.suffix not in (".json", "")]
        names = {file.with_suffix("").as_posix(): file for file in files}
        sources += [replace(s, path=unpacked / names.get(s.id, s.id)) for s in read(cuts, "shar")]
    if not sources:
        raise UserError(f"{folder} has no shards of Lhotse, such as cuts.000000.jsonl.gz and recording.000000.tar.")
    return sources


def write(path: Path, utterances: Iterable[Utterance]) -> None:
    """Write utterances as a CutSet of whole recordings, with absolute paths, atomically.

    Raises:
        UserError: a name that doesn't end in .jsonl or .jsonl.gz, or a folder that can't be written.
    """
    if not path.name.endswith(SUFFIXES):
        raise UserError(f"Cannot write {path}: Lhotse reads names that end in {' or '.join(SUFFIXES)}.")
    text = "".join(json.dumps(_as_cut(u), ensure_ascii=False) + "\n" for u in utterances).encode()
    write_atomically(path, gzip.compress(text, mtime=0) if path.suffix == ".gz" else text)


def _records(path: Path) -> Iterator[dict[str, Any]]:
    if not path.is_file() or not path.name.endswith(SUFFIXES):
        raise UserError(f"{path} is not a manifest of Lhotse: give a file that ends in {' or '.join(SUFFIXES)}.")
    opened = gzip.open if path.suffix == ".gz" else open
    try:
        with opened(path, "rt", encoding="utf-8") as file:
            for line in filter(str.strip, file):
                record = json.loads(line)
                if not isinstance(record, dict):
                    raise ValueError("a line is not a mapping")
                yield record
    except (ValueError, EOFError, OSError) as error:
        raise UserError(f"{path} can't be read as JSON lines ({error}). Write it again.") from None


def _recording(record: dict[str, Any], kind: str, **more: Any) -> Source:
    (source, *others) = record["sources"]
    fault = None
    if others or len(source["channels"]) != 1:
        fault = "it has several channels or files: cut one channel out of it with lhotse"
    elif source["type"] == "shar" != kind:
        fault = "it is in a shard: give the folder of the shards"
    elif source["type"] != kind:
        fault = f"it is not a file but '{source['type']}': save it with lhotse (cuts.save_audios)"
    elif record.get("transforms"):
        fault = "lhotse transforms it on the fly: save it with lhotse (cuts.save_audios)"
    return Source(Path(source["source"]), **({"id": str(record["id"]), "fault": fault} | more))


def _cut(record: dict[str, Any], kind: str) -> Source:
    if record["type"] != "MonoCut":
        raise TypeError(f"it is a {record['type']}")
    recording, supervision = record["recording"], (record.get("supervisions") or [{}])[0]
    begin, end = record["start"], record["start"] + record["duration"]
    if not math.isfinite(begin + end):
        raise ValueError(f"it begins at {begin} and ends at {end}")
    whole = begin < WHOLE_SECONDS and abs(end - recording["duration"]) < WHOLE_SECONDS
    fields = {key: supervision.get(key) for key in ("speaker", "text")}
    fields["label"] = (supervision.get("custom") or {}).get("label")
    fields = {key: str(value) for key, value in fields.items() if value is not None}
    return _recording(recording, kind, id=str(record["id"]), span=None if whole else (begin, end), **fields)


def _as_cut(utterance: Utterance) -> dict[str, Any]:
    u, seconds = utterance, utterance.seconds
    sources = [{"type": "file", "channels": [0], "source": str(u.path.absolute())}]
    sizes = {"sampling_rate": u.sample_rate, "num_samples": u.num_samples, "duration": seconds, "channel_ids": [0]}
    supervision = {"id": u.id, "recording_id": u.id, "start": 0.0, "duration": seconds, "channel": 0}
    supervision |= {key: value for key, value in (("text", u.text), ("speaker", u.speaker)) if value is not None}
    if u.label is not None:
        supervision["custom"] = {"label": u.label}
    recording = {"id": u.id, "sources": sources, **sizes}
    cut = {"id": u.id, "start": 0.0, "duration": seconds, "channel": 0, "supervisions": [supervision]}
    return cut | {"recording": recording, "type": "MonoCut"}
