"""Corpora from their published addresses: download that can be resumed, checksum, safe extraction."""

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
DAMAGED += (NotImplementedError, RuntimeError)  # a zip by a method that Python hasn't, or under a password
DAMAGED += (KeyError, ValueError)  # a tar's link to what isn't in it, a field that is no number


class Refused(UserError):
    """The system refused (no room, no permission, a bad disk): no fault of the archive, which is kept."""


def obtain(
    source: str, url: str, folder: Path, checksum: str | None = None, check: Callable[[Path], None] | None = None
) -> Path:
    """The folder of a corpus: ``source`` itself if it is one, or what a downloaded or given archive holds.

    Args:
        source: "download", an archive, its address elsewhere, or a folder.
        url: where it was published.
        folder: where to download and unpack.
        checksum: SHA-256 or MD5 of the published archive; a given one is held to it if it has the published name.
            ``check`` raises UserError if the unpacked contents are not the published ones.

    Raises:
        UserError: no such file, no connection, no room, or other content than published; what is wrong is not kept.
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
    """Tells archives of one name apart, and one from what lay there before."""
    state = archive.stat()
    place = f"{archive.resolve()} {state.st_size} {state.st_mtime_ns}"
    return "-" + hashlib.sha256(os.fsencode(place)).hexdigest()[:8]


def file_name(address: str) -> str:
    """The last part of an address or path: "https://x.org/a.zip?download=1" -> "a.zip"."""
    return PurePosixPath(address.replace("\\", "/").split("?", 1)[0]).name


def fetch(url: str, folder: Path, checksum: str | None = None) -> Path:
    """Download ``url`` into ``folder``; interrupted, it goes on where it stopped. Returns the archive's path.

    Raises:
        UserError: no connection, no room on the disk, or not the expected content.
    """
    target = folder / file_name(url)
    if target.exists():  # from before, or put there by hand
        _check_digest(target, checksum)
    else:
        folder.mkdir(parents=True, exist_ok=True)
        partial = target.with_name(f"{target.name}.partial")
        try:
            _download(url, partial)
        except (OSError, ValueError, urllib.error.URLError, http.client.HTTPException) as error:
            raise UserError(
                f"Cannot download {url} ({error}). What arrived is kept: run it again to go on, or fetch the file by "
                f"hand as {target}."
            ) from None
        if checksum and (found := digest(partial, checksum)) != checksum:
            partial.unlink()
            raise UserError(f"{url} has the checksum {found}, expected {checksum}: not the published file. Removed.")
        partial.rename(target)
    return target


def _download(url: str, partial: Path) -> None:
    done = partial.stat().st_size if partial.exists() else 0
    request = urllib.request.Request(url, headers={"Range": f"bytes={done}-"} if done else {})
    try:
        response = urllib.request.urlopen(request, timeout=60)
    except urllib.error.HTTPError as error:
        if error.code == 416:  # nothing is left to send
            return
        raise
    with response, partial.open("ab" if response.status == 206 else "wb") as file:
        done = done if response.status == 206 else 0
        size = int(response.headers.get("Content-Length") or 0)
        if size > shutil.disk_usage(partial.parent).free:
            raise OSError(f"it needs {size / 1e9:.3g} GB, more than is free on the disk")
        with Bar(f"Downloading {partial.name.removesuffix('.partial')}, MB", -(-(done + size) // BLOCK)) as bar:
            while block := response.read(BLOCK):
                file.write(block)
                bar.update(file.tell() // BLOCK)
        if size and file.tell() < done + size:
            raise OSError("the connection ended early")


def _check_digest(archive: Path, expected: str | None) -> None:
    if expected and (found := digest(archive, expected)) != expected:
        raise UserError(f"{archive} has the checksum {found}, expected {expected}. Download it again.")


def unpack(archive: Path, folder: Path) -> None:
    """Extract a tar or zip archive into ``folder``, whole or not at all; paths that lead out of it are refused.

    Raises:
        UserError: damaged, unsafe, of another format, or larger than what is free on the disk.
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
            reason, advice = error.strerror, "Make room or mend the folder, or choose another --output"
            raise Refused(f"{archive} can't be extracted into {folder.parent} ({reason}). {advice}.") from None
        reason = "it is no whole tar or zip archive" if "\n" in str(error) else str(error)
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
            raise OSError(errno.ENOSPC, f"it holds {size / 1e9:.3g} GB, {free / 1e9:.3g} GB are free")
        file.extractall(folder)
