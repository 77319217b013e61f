"""Manifests: JSON lines of utterances, the only door from corpora into training."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from pathlib import Path

from wavegan.core import config
from wavegan.core.config import Config
from wavegan.core.errors import UserError
from wavegan.core.files import write_atomically


class Utterance(Config):
    """One recording: one line of a manifest. Relative paths are relative to the manifest's folder. ``mel``: a mel of
    this recording that an acoustic model made (.npy or .npz), to fine-tune a vocoder on instead of the recording's own.
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
    """Read a manifest; relative paths come back below its folder.

    Raises:
        UserError: the file is missing or empty, a line is not an utterance, or two share an id.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"No such manifest: {path}. Prepare the corpus first (see recipes/README.md).")
    try:
        lines = path.read_text(encoding="utf-8").split("\n")  # splitlines() would split inside of texts
    except UnicodeDecodeError:
        raise UserError(f"{path} is no manifest: it is not text.") from None
    utterances = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except json.JSONDecodeError as error:
            raise UserError(f"{path}, line {number}, is not JSON: {error.msg}.") from None
        utterance = config.parse(Utterance, record, f"{path}, line {number},")
        paths = {name: path.parent / found for name in ("path", "mel") if (found := getattr(utterance, name))}
        utterances.append(utterance.model_copy(update=paths))
    if not utterances:
        raise UserError(f"{path} lists no utterances. Prepare the corpus again.")
    seen: set[str] = set()
    for utterance in utterances:
        if utterance.id in seen:
            raise UserError(f"{path} has two utterances with the id '{utterance.id}'. Ids must be unique.")
        seen.add(utterance.id)
    return utterances


def write(path: Path | str, utterances: Iterable[Utterance]) -> None:
    """Write a manifest, whole or not at all; paths below its folder become relative to it, others absolute."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = []
    for utterance in utterances:
        for name in ("path", "mel"):
            if own := getattr(utterance, name):
                below = own.is_relative_to(path.parent)
                place = own.relative_to(path.parent) if below else own.absolute()
                utterance = utterance.model_copy(update={name: place})
        lines.append(json.dumps(utterance.model_dump(mode="json", exclude_none=True), ensure_ascii=False))
    write_atomically(path, "".join(line + "\n" for line in lines).encode())


def split(
    utterances: Sequence[Utterance],
    num_valid: int,
    num_test: int,
    by: str = "file",
    held_out_speakers: Iterable[str] = (),
) -> dict[str, list[Utterance]]:
    """Deterministic train / valid / test split.

    The order is that of a hash of the id (or speaker), so it doesn't depend on the machine or on the order of the
    files. ``by="speaker"`` counts speakers instead of files. Utterances of ``held_out_speakers`` go
    into a fourth list, "held_out", and nowhere else.

    Raises:
        UserError: nothing would be left to train on, or a held-out speaker isn't there.
    """
    if min(num_valid, num_test) < 1:
        raise UserError(f"A split needs at least 1 for validation and 1 for test, got {num_valid} and {num_test}.")
    if by not in ("file", "speaker"):
        raise UserError(f"A split goes by 'file' or by 'speaker', got '{by}'.")
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
    place = {k: "valid" if i < num_valid else "test" for i, k in enumerate(ranked[: num_valid + num_test])}
    parts: dict[str, list[Utterance]] = {"train": [], "valid": [], "test": []}
    for utterance in pool:
        parts[place.get(key(utterance), "train")].append(utterance)
    if held_out:
        parts["held_out"] = [u for u in utterances if u.speaker in held_out]
    return parts
