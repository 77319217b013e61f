"""Corpora from their published addresses: resumable download, checksum, safe extraction."""

from __future__ import annotations

import errno
import hashlib
import http.client
import lzma
import os
import shutil
import tarfile
import urllib.error
import urllib.request
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath

from wavegan.core.errors import UserError
from wavegan.core.files import BLOCK, digest
from wavegan.core.progress import Bar

DAMAGED = (tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError, EOFError, OSError)
DAMAGED += (NotImplementedError, RuntimeError)  # a zip with an unsupported method or a password
DAMAGED += (KeyError, ValueError)  # a tar with a dangling link or an invalid field


class Refused(UserError):
    """An error of the operating system (no space, no permission), after which the archive is kept."""


def obtain(
    source: str, url: str, folder: Path, checksum: str | None = None, check: Callable[[Path], None] | None = None
) -> Path:
    """Return the folder of a corpus: ``source`` if it is a folder, or an archive unpacked in ``folder``.

    ``source``: "download", an archive, its address elsewhere, or a folder. ``url``: the published address.
    ``checksum``: SHA-256 or MD5 of every archive of its name. ``check`` raises UserError for other contents
    than the published ones.

    Raises:
        UserError: no such file, no connection, no space, or other content than published, which is removed.
    """
    if Path(source).is_dir() and source != "download":
        if check:
            check(Path(source))
        return Path(source)
    remote = source == "download" or "://" in source
    address = url if source == "download" else source
    expected = checksum if file_name(address) == file_name(url) else None
    archive = folder / file_name(address) if remote else Path(source)
    if not remote and not archive.is_file():
        raise UserError(f"No such archive: {archive}.")
    unpacked = folder / f"{archive.name}{'' if remote else _mark(archive)}.unpacked"
    if remote and not unpacked.is_dir():
        fetch(address, folder, expected)
    elif not unpacked.is_dir():
        _check_digest(archive, expected)
    try:
        unpack(archive, unpacked)
        if check:
            check(unpacked)
    except Refused:
        raise
    except UserError:
        shutil.rmtree(unpacked, ignore_errors=True)
        if remote:
            archive.unlink(missing_ok=True)
        raise
    return unpacked


def _mark(archive: Path) -> str:
    """A hash of path, size and time, which distinguishes archives of the same name and versions of one archive."""
    state = archive.stat()
    version = f"{archive.resolve()} {state.st_size} {state.st_mtime_ns}"
    return "-" + hashlib.sha256(os.fsencode(version)).hexdigest()[:8]


def file_name(address: str) -> str:
    """The last part of an address or path: "https://x.org/a.zip?download=1" -> "a.zip"."""
    return PurePosixPath(address.replace("\\", "/").split("?", 1)[0]).name


def fetch(url: str, folder: Path, checksum: str | None = None) -> Path:
    """Download ``url`` into ``folder``, resuming an interrupted download; returns the path of the archive.

    Raises:
        UserError: no connection, not enough disk space, or another checksum.
    """
    target = folder / file_name(url)
    if target.exists():  # from an earlier run, or downloaded by hand
        _check_digest(target, checksum)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        try:
            _download(url, partial)
        except (OSError, ValueError, urllib.error.URLError, http.client.HTTPException) as error:
            raise UserError(
                f"Cannot download {url} ({error}). The first part is kept: run it again to go on, or download the file "
                f"by hand as {target}."
            ) from None
        if checksum and (actual := digest(partial, checksum)) != checksum:
            partial.unlink()
            raise UserError(f"{url} has the checksum {actual}, expected {checksum}: not the published file. Removed.")
        partial.rename(target)
    return target


def _download(url: str, partial: Path) -> None:
    done = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # the download was complete
            return
        raise
    with response, partial.open("ab" if response.status == 206 else "wb") as file:
        done = done if response.status == 206 else 0
        size = int(response.headers.get("Content-Length") or 0)
        if size > shutil.disk_usage(partial.parent).free:
            raise OSError(f"it needs {size / 1e9:.3g} GB, more than the disk has free")
        with Bar(f"Downloading {partial.name.removesuffix('.partial')}, MB", -(-(done + size) // BLOCK)) as bar:
            while block := response.read(BLOCK):
                file.write(block)
                bar.update(file.tell() // BLOCK)
        if size and file.tell() < done + size:
            raise OSError("the connection ended early")


def _check_digest(archive: Path, expected: str | None) -> None:
    if expected and (actual := digest(archive, expected)) != expected:
        raise UserError(f"{archive} has the checksum {actual}, expected {expected}. Download it again.")


def unpack(archive: Path, folder: Path) -> None:
    """Extract a tar or zip archive into ``folder``, atomically; paths outside of it are an error.

    Raises:
        UserError: damaged, unsafe, another format, or not enough disk space.
    """
    if folder.is_dir():
        return
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        if zipfile.is_zipfile(archive):
            _unzip(archive, partial)
        else:
            with tarfile.open(archive) as tar:
                tar.extractall(partial, filter="data")
        partial.rename(folder)
    except DAMAGED as error:
        if isinstance(error, OSError) and error.errno:
            reason, advice = error.strerror, "Free some space or fix the folder, or choose another --output"
            raise Refused(f"{archive} can't be extracted into {folder.parent} ({reason}). {advice}.") from None
        reason = "it is not a complete tar or zip archive" if "\n" in str(error) else str(error)
        advice = "Download it again, or unpack it and give the folder"
        raise UserError(f"{archive} can't be extracted ({reason}). {advice}.") from None
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unzip(archive: Path, folder: Path) -> None:
    with zipfile.ZipFile(archive) as file:
        members = file.infolist()
        for member in members:
            path = PurePosixPath(member.filename.replace("\\", "/"))
            if path.is_absolute() or ".." in path.parts or ":" in "".join(path.parts[:1]):
                raise zipfile.BadZipFile(f"'{member.filename}' would be outside the destination")
        size, free = sum(member.file_size for member in members), shutil.disk_usage(folder).free
        if size > free:
            raise OSError(errno.ENOSPC, f"it contains {size / 1e9:.3g} GB, {free / 1e9:.3g} GB are free")
        file.extractall(folder)
