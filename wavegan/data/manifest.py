"""Manifests: JSON Lines of utterances, the only input format of training."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

from wavegan.core import config
from wavegan.core.config import Config
from wavegan.core.errors import UserError
from wavegan.core.files import write_atomically


class Utterance(Config):
    """A recording, one line of a manifest. Relative paths are relative to the manifest's folder. ``mel``: a mel of this
    recording predicted by an acoustic model (.npy or .npz), to fine-tune a vocoder on instead of the recording's own.
    """

    id: str
    path: Path
    sample_rate: int
    num_samples: int
    label: str | None = None
    speaker: str | None = None
    text: str | None = None
    mel: Path | None = None

    @property
    def seconds(self) -> float:
        return self.num_samples / self.sample_rate


def read(path: Path | str) -> list[Utterance]:
    """Read a manifest; relative paths are joined with its folder.

    Raises:
        UserError: the file is missing or empty, a line is not an utterance, or two share an id.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"No such manifest: {path}. Prepare the corpus first (see recipes/README.md).")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines() would split inside texts
    except UnicodeDecodeError:
        raise UserError(f"{path} is not a manifest: it is not text.") from None
    utterances = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number}, is not JSON: {error.msg}.") from None
        utterance = config.parse(Utterance, record, f"{path}, line {number},")
        paths = {name: path.parent / file for name in ("path", "mel") if (file := getattr(utterance, name))}
        utterances.append(utterance.model_copy(update=paths))
    if not utterances:
        raise UserError(f"{path} lists no utterances. Prepare the corpus again.")
    if twins := [id for id, count in Counter(u.id for u in utterances).items() if count > 1]:
        raise UserError(f"{path} has two utterances with the id '{twins[0]}'. Ids must be unique.")
    return utterances


def write(path: Path | str, utterances: Iterable[Utterance]) -> None:
    """Write a manifest, atomically; paths below its folder become relative to it, others absolute."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for utterance in utterances:
        for name in ("path", "mel"):
            if file := getattr(utterance, name):
                file = file.relative_to(path.parent) if file.is_relative_to(path.parent) else file.absolute()
                utterance = utterance.model_copy(update={name: file})
        lines.append(json.dumps(utterance.model_dump(mode="json", exclude_none=True), ensure_ascii=False))
    write_atomically(path, "".join(line + "\n" for line in lines).encode())


def split(
    utterances: Sequence[Utterance],
    num_valid: int,
    num_test: int,
    by: str = "file",
    held_out_speakers: Iterable[str] = (),
) -> dict[str, list[Utterance]]:
    """Split into train, valid and test deterministically.

    Ids (or speakers) are ordered by a hash, so that the split doesn't depend on the machine or the order of files.
    ``by="speaker"`` counts speakers instead of files. Utterances of ``held_out_speakers`` are in a fourth list,
    "held_out", and nowhere else.

    Raises:
        UserError: nothing would be left to train on, or a held-out speaker doesn't exist.
    """
    if min(num_valid, num_test) < 1:
        raise UserError(f"A split needs at least 1 for validation and 1 for test, got {num_valid} and {num_test}.")
    if by not in ("file", "speaker"):
        raise UserError(f"A split is by 'file' or by 'speaker', got '{by}'.")
    held_out = set(held_out_speakers)
    if missing := held_out - {u.speaker for u in utterances}:
        known = ", ".join(sorted({u.speaker or "-" for u in utterances}))
        raise UserError(f"No such speaker: {', '.join(sorted(missing))}. There are: {known}.")
    if by == "speaker" and (unnamed := [u.id for u in utterances if u.speaker is None]):
        raise UserError(f"{len(unnamed)} utterances have no speaker ('{unnamed[0]}', ...): split by file instead.")
    key = (lambda u: u.speaker) if by == "speaker" else (lambda u: u.id)
    pool = [u for u in utterances if u.speaker not in held_out]
    ranked = sorted({key(u) for u in pool}, key=lambda k: hashlib.sha256(k.encode()).hexdigest())
    if len(ranked) <= num_valid + num_test:
        unit = "speakers" if by == "speaker" else "files"
        raise UserError(
            f"{len(ranked)} {unit} can't give {num_valid} for validation, {num_test} for test and some to train on. "
            "Add recordings or ask for fewer."
        )
    part_of = {k: "valid" if i < num_valid else "test" for i, k in enumerate(ranked[: num_valid + num_test])}
    parts: dict[str, list[Utterance]] = {"train": [], "valid": [], "test": []}
    for utterance in pool:
        parts[part_of.get(key(utterance), "train")].append(utterance)
    if held_out:
        parts["held_out"] = [u for u in utterances if u.speaker in held_out]
    return parts
