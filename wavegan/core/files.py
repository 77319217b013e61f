"""Atomic writes, checks of output paths, checksums."""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from wavegan.core.errors import UserError

BLOCK = 1 << 20
MD5_LENGTH = 32


def digest(path: Path, like: str = "") -> str:
    """SHA-256 of a file in hexadecimal, or its MD5 if ``like``, a published checksum, is one."""
    sha = hashlib.md5(usedforsecurity=False) if len(like) == MD5_LENGTH else hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            sha.update(block)
    return sha.hexdigest()


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a sibling path to write to; it replaces ``path`` on success and is removed on an error."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        yield partial
        os.replace(partial, path)
    except OSError as error:
        raise UserError(f"Cannot write {path}: {error.strerror}. What was there before is untouched.") from None
    finally:
        partial.unlink(missing_ok=True)


def make_folder(path: Path) -> None:
    """Create an output folder and its parents before a long computation.

    Raises:
        UserError: it is a file, or can't be created or written to.
    """
    if path.exists() and not path.is_dir():
        raise UserError(f"{path} is a file, expected an output folder. Give another name.")
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"Cannot create the folder {path}: {error.strerror}.") from None
    if not os.access(path, os.W_OK):
        raise UserError(f"Cannot write in {path}: no permission.")


def check_folder(path: Path) -> None:
    """Refuse a folder that can't be made or written to, without making it.

    Raises:
        UserError: it or a folder above it is a file or can't be written.
    """
    place = next(p for p in (path, *path.absolute().parents) if p.exists())
    if not place.is_dir():
        raise UserError(f"Cannot make the folder {path}: {place} is a file. Choose another folder.")
    if not os.access(place, os.W_OK):
        raise UserError(f"Cannot make the folder {path}: no permission to write in {place}.")


def check_target(path: Path, suffix: str | None = None) -> None:
    """Check that a file can be written, before a long computation.

    Raises:
        UserError: wrong suffix, ``path`` is a folder, or its folder is missing or read-only.
    """
    if suffix and path.suffix.lower() != suffix:
        raise UserError(f"Cannot write {path}: the name should end in {suffix}.")
    if path.is_dir():
        raise UserError(f"Cannot write {path}: it is a folder. Give a file name.")
    if not path.parent.is_dir():
        raise UserError(f"Cannot write {path}: there is no folder {path.parent}. Create it first.")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"Cannot write {path}: no permission to write in {path.parent}.")


def write_atomically(path: Path, data: bytes | memoryview) -> None:
    """Write, flush to disk and rename: readers see the old file or the new one, even after a power cut."""
    with replacing(path) as partial:
        write_durably(partial, data)


def write_durably(path: Path, data: bytes | memoryview) -> None:
    """Write and flush to disk."""
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())


def write_json(path: Path, value: Any) -> None:
    """Write JSON atomically, as ``to_json``."""
    write_atomically(path, to_json(value).encode())


def to_json(value: Any) -> str:
    """JSON text; NaN, which JSON doesn't have, becomes null."""
    return json.dumps(_finite(value), indent=1)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and math.isnan(value) else value
