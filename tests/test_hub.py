"""Names, folders, foreign files and repositories of the Hugging Face Hub, which a small server here plays."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from wavegan import Synthesizer, UserError
from wavegan.checkpoints import hub, native

COMMIT = "0123456789" * 4
FILES = {
    name: (hub.PRETRAINED / "vocoder-16k" / name).read_bytes() for name in ("config.json", "generator.safetensors")
}
HARMFUL = {"run_me.py": b"raise SystemExit('was run')", "bigvgan_discriminator_optimizer.pt": b"0" * 100}
HARMFUL |= {"bigvgan_generator_3msteps.pt": b"not the last"}
SCRIPT = """
import json, sys
from pathlib import Path
from wavegan import Synthesizer, UserError
from wavegan.checkpoints import hub
found = {}
for name in sys.argv[1:]:
    try:
        model = Synthesizer.from_pretrained(name)
        found[name] = [model.config.name, sorted(p.name for p in hub.find_checkpoint(name).iterdir())]
    except UserError as error:
        found[name] = str(error)
print(json.dumps(found))
"""


class Hub(BaseHTTPRequestHandler):
    """The part of the Hub's protocol that a download needs, for one repository, user/model."""

    def do_GET(self) -> None:
        path = self.path.split("?")[0]
        files = FILES | HARMFUL
        if path in ("/api/models/user/model/revision/main", "/api/models/user/model/revision/v1"):
            listed = [{"rfilename": name} for name in files]
            return self.answer(json.dumps({"id": "user/model", "sha": COMMIT, "siblings": listed}).encode())
        if path.startswith("/api/models/user/model/tree/"):
            rows = [
                {"type": "file", "path": n, "size": len(d), "oid": hashlib.sha1(d).hexdigest()}
                for n, d in files.items()
            ]
            return self.answer(json.dumps(rows).encode())
        prefix, _, name = path.rpartition("/")
        if prefix == f"/user/model/resolve/{COMMIT}" and name in files:
            return self.answer(files[name])
        self.answer(b"{}", 404, {"X-Error-Code": "RepoNotFound"})

    do_HEAD = do_GET

    def answer(self, data: bytes, status: int = 200, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        fields = {
            "Content-Length": str(len(data)),
            "ETag": f'"{hashlib.sha1(data).hexdigest()}"',
            "X-Repo-Commit": COMMIT,
        }
        for name, value in (fields | (headers or {})).items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(data)

    def log_message(self, *arguments: object) -> None:
        pass


def load(home: Path, *names: str, **environment: str) -> dict:
    environment = os.environ | {"HF_HOME": str(home), "HF_HUB_DISABLE_PROGRESS_BARS": "1"} | environment
    done = subprocess.run([sys.executable, "-c", SCRIPT, *names], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.usefixtures("forks")
def test_a_repository_is_fetched_by_an_allow_list_and_kept(tmp_path):
    pytest.importorskip("huggingface_hub")
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    Thread(target=server.serve_forever, daemon=True).start()
    address = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_address[1]}"}
    try:
        found = load(tmp_path, "user/model", "user/model@v1", "user/none", **address)
    finally:
        server.shutdown()
        server.server_close()
    assert found["user/model"] == found["user/model@v1"] == ["vocoder-16k", sorted(FILES)]  # and nothing harmful
    assert "No model or checkpoint folder 'user/none'" in found["user/none"] and "exist" in found["user/none"]
    offline = load(tmp_path, "user/model", "user/other", HF_HUB_OFFLINE="1", **address)
    assert offline["user/model"] == found["user/model"]
    assert "can't be reached, and 'user/other' isn't in its cache" in offline["user/other"]


def test_without_the_package_one_sentence_says_what_to_install(monkeypatch):
    monkeypatch.setattr(hub, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'wavegan\[hub\]'"):
        Synthesizer.from_pretrained("user/model")


@pytest.mark.parametrize(
    "name", ["none", "a/b/c", "../nowhere", "runs/none/", "", "a b/c", "x" * 300, Path("user/model")]
)
def test_what_is_no_repository_is_not_looked_up(name, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(hub, "_download", None)
    with pytest.raises(UserError, match="No model or checkpoint folder .*Models in the package: .*vocoder-16k"):
        Synthesizer.from_pretrained(name)


def test_a_file_of_a_checkpoint_means_its_folder(tmp_path):
    shutil.copytree(hub.PRETRAINED / "vocoder-16k", tmp_path / "model")
    for name in (native.CONFIG, native.GENERATOR):
        assert Synthesizer.from_pretrained(tmp_path / "model" / name).config.name == "vocoder-16k"
