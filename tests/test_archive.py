"""Archives: a real server that is cut off, wrong checksums, unsafe and damaged files."""

from __future__ import annotations

import errno
import hashlib
import http.server
import io
import tarfile
import threading
import zipfile
from pathlib import Path
from unittest import mock

import numpy as np
import pytest

from wavegan import UserError
from wavegan.core.files import digest
from wavegan.data.download import fetch, obtain, unpack

CONTENT = bytes(range(256)) * 20000  # 5 MB


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, with ranges; the first answer stops in the middle."""

    requests: list[str | None] = []

    def do_GET(self):
        if self.path == "/chunked.tar":  # ends in the middle of a chunk
            self.protocol_version = "HTTP/1.1"
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            self.wfile.write(b"1000\r\nabc")
            return
        start = int((self.headers.get("Range") or "bytes=0-")[6:-1])
        self.requests.append(self.headers.get("Range"))
        if start >= len(CONTENT):
            self.send_error(416)
            return
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(CONTENT) - start))
        self.end_headers()
        stop = 2_000_000 if len(self.requests) == 1 else len(CONTENT)
        self.wfile.write(CONTENT[start:stop])

    def log_message(self, *arguments):
        pass


@pytest.fixture
def url():
    Handler.requests = []
    server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/corpus.tar"
    server.shutdown()
    server.server_close()


def test_an_interrupted_download_goes_on_where_it_stopped(url, tmp_path):
    with pytest.raises(UserError, match="run it again to go on"):
        fetch(url, tmp_path)
    assert not (tmp_path / "corpus.tar").exists()
    path = fetch(url, tmp_path)
    assert path.read_bytes() == CONTENT
    assert Handler.requests == [None, "bytes=2000000-"]
    assert fetch(url, tmp_path) == path and len(Handler.requests) == 2
    assert [p.name for p in tmp_path.iterdir()] == ["corpus.tar"]


def test_a_download_that_is_complete_but_unnamed_is_taken(url, tmp_path):
    (tmp_path / "corpus.tar.partial").write_bytes(CONTENT)
    assert fetch(url, tmp_path).read_bytes() == CONTENT


def test_wrong_content_is_removed(url, tmp_path):
    Handler.requests = ["not the first"]
    with pytest.raises(UserError, match="expected 1234: not the published file"):
        fetch(url, tmp_path, "1234")
    assert not list(tmp_path.iterdir())


def test_a_cut_chunked_answer_is_one_sentence(url, tmp_path):
    with pytest.raises(UserError, match="run it again to go on"):
        fetch(url.replace("corpus", "chunked"), tmp_path)


def test_no_server_is_one_sentence(tmp_path):
    with pytest.raises(UserError, match="Cannot download http://127.0.0.1:9/x.tar"):
        fetch("http://127.0.0.1:9/x.tar", tmp_path)


def tar_of(path: Path, members: dict[str, bytes]) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def test_unpacking_is_whole_or_not_at_all(tmp_path):
    archive, out = tar_of(tmp_path / "a.tar.gz", {"x/one.txt": b"1" * 100000, "x/two.txt": b"2"}), tmp_path / "out"
    with pytest.raises(UserError, match="expected abc. Download it again"):
        obtain(str(archive), "https://x.org/a.tar.gz", out, "abc")
    folder = obtain(str(archive), "https://x.org/a.tar.gz", out, digest(archive))
    assert (folder / "x/two.txt").read_bytes() == b"2"
    assert obtain(str(archive), "", out) == folder and obtain(str(folder), "", out) == folder
    cut = tmp_path / "cut.tar.gz"
    cut.write_bytes(archive.read_bytes()[:60])
    for bad in (cut, tar_of(tmp_path / "evil.tar.gz", {"../evil.txt": b"!"})):
        with pytest.raises(UserError, match="can't be extracted"):
            obtain(str(bad), "", tmp_path / "bad")
        assert not list((tmp_path / "bad").iterdir()) and not (tmp_path / "evil.txt").exists()
    with pytest.raises(UserError, match="No such archive"):
        obtain(str(tmp_path / "none.tar"), "", tmp_path / "bad")


def test_a_downloaded_archive_with_other_contents_is_removed(tmp_path):
    def refuse(folder: Path) -> None:
        raise UserError(f"{folder} isn't it")

    (tmp_path / "raw").mkdir()
    tar_of(tmp_path / "raw/corpus.tar", {"one.txt": b"1"})
    with pytest.raises(UserError, match="isn't it"):
        obtain("download", "http://127.0.0.1:9/corpus.tar", tmp_path / "raw", check=refuse)
    assert not list((tmp_path / "raw").iterdir())


def test_another_address_is_held_to_the_published_checksum_by_its_name(url, tmp_path):
    Handler.requests = ["not the first"]
    published = "https://x.org/files/corpus.tar?download=1"
    with pytest.raises(UserError, match="expected 1234: not the published file"):
        obtain(url, published, tmp_path, "1234")
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=r"corpus.tar can't be extracted"):  # it is none: the checksum was right
        obtain(url, published, tmp_path, hashlib.sha256(CONTENT).hexdigest())
    assert not list(tmp_path.iterdir())
    with pytest.raises(UserError, match=f"Cannot download ftx://x.org/a.zip.*by hand as {tmp_path}/a.zip"):
        obtain("ftx://x.org/a.zip", published, tmp_path)


def test_what_was_put_there_by_hand_is_checked_and_what_is_unpacked_needs_no_archive(tmp_path):
    archive, url = tar_of(tmp_path / "corpus.tar.gz", {"one.txt": b"1"}), "http://127.0.0.1:9/corpus.tar.gz"
    with pytest.raises(UserError, match="expected 1234. Download it again"):
        obtain("download", url, tmp_path, "1234")
    assert archive.exists()
    folder = obtain("download", url, tmp_path, digest(archive))
    archive.unlink()  # to save the disk
    assert obtain("download", url, tmp_path, "1234") == folder and (folder / "one.txt").is_file()


def zip_of(path: Path, members: dict[str, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return path


def test_damaged_locked_and_odd_archives(tmp_path):
    with tarfile.open(tmp_path / "bad.tar.xz", "w:xz") as tar:
        content = " ".join(map(str, np.random.default_rng(0).integers(1 << 40, size=50_000))).encode()
        info = tarfile.TarInfo("one.txt")
        info.size = len(content)
        tar.addfile(info, io.BytesIO(content))
    data = bytearray((tmp_path / "bad.tar.xz").read_bytes())
    data[len(data) // 2] ^= 255
    (tmp_path / "bad.tar.xz").write_bytes(data)
    data = bytearray(zip_of(tmp_path / "locked.zip", {"one.txt": b"1"}).read_bytes())
    for header, flags in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        data[data.index(header) + flags] |= 1  # under a password
    (tmp_path / "locked.zip").write_bytes(data)
    for name in ("bad.tar.xz", "locked.zip"):
        with pytest.raises(UserError, match=f"{name} can't be extracted .*Download it again"):
            unpack(tmp_path / name, tmp_path / "bad")
        assert not (tmp_path / "bad").exists()
    unpack(zip_of(tmp_path / "here.zip", {"./": b"", "./one.txt": b"1"}), tmp_path / "out")
    assert (tmp_path / "out" / "one.txt").read_bytes() == b"1"


def test_what_the_system_refuses_is_no_fault_of_the_archive(tmp_path, monkeypatch):
    archive = tar_of(tmp_path / "corpus.tar.gz", {"one.txt": b"1"})

    def refuse(*arguments, **options):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(tarfile.TarFile, "extractall", refuse)
    with pytest.raises(UserError, match="Permission denied.*fix the folder, or choose another --output"):
        obtain("download", "http://127.0.0.1:9/corpus.tar.gz", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [archive.name]


def test_a_link_to_what_is_not_in_the_archive(tmp_path):
    with tarfile.open(tmp_path / "links.tar", "w") as tar:
        link = tarfile.TarInfo("here")
        link.type, link.linkname = tarfile.LNKTYPE, "nowhere"
        tar.addfile(link)
    with pytest.raises(UserError, match="links.tar can't be extracted .*nowhere.*Download it again"):
        unpack(tmp_path / "links.tar", tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["links.tar"]


def test_archives_of_one_name_are_told_apart(tmp_path):
    places = []
    for language in ("de", "fr"):
        (tmp_path / language).mkdir()
        places.append(str(tar_of(tmp_path / language / "clips.tar.gz", {f"{language}.txt": b"1"})))
    folders = [obtain(place, place, tmp_path / "raw") for place in places]
    assert [[path.name for path in folder.iterdir()] for folder in folders] == [["de.txt"], ["fr.txt"]]
    tar_of(Path(places[0]), {"another.txt": b"12"})
    assert (obtain(places[0], places[0], tmp_path / "raw") / "another.txt").is_file()


def test_a_published_md5_is_a_checksum_too(tmp_path):
    archive = tar_of(tmp_path / "a.tar.gz", {"one.txt": b"1"})
    md5 = hashlib.md5(archive.read_bytes()).hexdigest()
    assert obtain(str(archive), "https://x.org/a.tar.gz", tmp_path / "out", md5).is_dir()
    with pytest.raises(UserError, match="has the checksum .*, expected 0{32}"):
        obtain(str(archive), "https://x.org/a.tar.gz", tmp_path / "other", "0" * 32)


@pytest.mark.parametrize("name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "C:/evil.txt", "..\\evil.txt"])
def test_zip_archives_stay_in_their_folder(tmp_path, name):
    bad = zip_of(tmp_path / "bad.zip", {"good.txt": b"1", name: b"!"})
    with pytest.raises(UserError, match="would be outside the destination"):
        unpack(bad, tmp_path / "sub" / "out")
    assert not list((tmp_path / "sub").iterdir()) and not list(tmp_path.rglob("evil.txt"))


def test_zip_archives_are_whole_or_not_at_all(tmp_path):
    archive = zip_of(tmp_path / "a.zip", {"x/one.txt": bytes(range(256)) * 1000, "x/two.txt": b"2"})
    unpack(archive, tmp_path / "out")
    assert (tmp_path / "out/x/two.txt").read_bytes() == b"2"
    data = bytearray(archive.read_bytes())
    (tmp_path / "half.zip").write_bytes(data[: len(data) // 2])
    data[60] ^= 255  # inside of the first member
    (tmp_path / "flipped.zip").write_bytes(data)
    (tmp_path / "other.rar").write_bytes(b"Rar!\x1a\x07\x00")
    for name in ("half.zip", "flipped.zip", "other.rar"):
        with pytest.raises(UserError, match=f"{name} can't be extracted .* or unpack it and give the folder"):
            unpack(tmp_path / name, tmp_path / "bad")
    with mock.patch("shutil.disk_usage", return_value=mock.Mock(free=1000)):
        with pytest.raises(UserError, match="GB, 1e-06 GB are free.*choose another --output"):
            obtain("download", "http://127.0.0.1:9/a.zip", tmp_path)
    assert archive.exists()
    assert not (tmp_path / "bad").exists() and not list(tmp_path.glob(".*"))
