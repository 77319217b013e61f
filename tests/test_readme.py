"""The documentation: its commands and Python blocks run, its links and files exist."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import speech_like
from wavegan import audio

ROOT = Path(__file__).parent.parent
DOCUMENTS = {path: (ROOT / path).read_text(encoding="utf-8") for path in ("README.md", "CONTRIBUTING.md")}
DOCUMENTS |= {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in ROOT.glob("recipes/**/*.md")}
README = DOCUMENTS["README.md"]


def blocks(language: str, document: str = "README.md") -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", DOCUMENTS[document], re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    audio.write(tmp_path / "IN.wav", speech_like(1.0), 16000)
    return tmp_path


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_run(folder, block):
    done = subprocess.run([sys.executable, "-c", block], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.usefixtures("forks")
def test_training_from_python_runs(recipe_file, tmp_path):
    (block,) = blocks("python", "recipes/TRAINING.md")
    recipe_file.rename(tmp_path / "recipe.yaml")
    done = subprocess.run([sys.executable, "-c", block], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    numbers = [int(line.split()[0]) for line in done.stdout.splitlines()]
    assert numbers == list(range(1, 31)) and "train/g/sample_l1" in done.stdout


def test_first_command_after_the_install(folder):
    (line,) = [line for line in "".join(blocks("bash")).splitlines() if line.startswith("pip install -e . && ")]
    command = line.removeprefix("pip install -e . && ").replace("wavegan", f"{sys.executable} -m wavegan")
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "number.wav: " in done.stdout and (folder / "number.wav").is_file()


def test_every_room_and_public_module_is_in_the_layout():
    for path in (ROOT / "wavegan").iterdir():
        if not path.name.startswith("_") and path.name not in ("py.typed", "pretrained"):
            assert f"`{path.stem}`" in DOCUMENTS["CONTRIBUTING.md"], path


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_and_file_exists(document):
    text, folder = DOCUMENTS[document].replace("recipes/NAME", "recipes/fsdd"), (ROOT / document).parent
    for name in re.findall(r"`((?:wavegan|recipes|tests)/[\w./-]+)`", text):
        assert (ROOT / name).exists(), name
    for name, anchor in re.findall(r"\]\(([\w./-]+)(?:#([\w-]+))?\)", text):
        assert (folder / name).exists(), name
        headings = re.findall(r"^#+ (.*)$", (folder / name).read_text(encoding="utf-8"), re.M) if anchor else []
        anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
        assert not anchor or anchor in anchors, f"{name}#{anchor}"
    for script in re.findall(r"recipes/\w+/\w+\.sh", text):
        assert os.access(ROOT / script, os.X_OK)


@pytest.mark.usefixtures("forks")
def test_commands_in_the_table_exist():
    done = subprocess.run([sys.executable, "-m", "wavegan", "--help"], capture_output=True, text=True)
    for name in re.findall(r"`wavegan (\w+) ", README):
        assert re.search(rf"^  {name} ", done.stdout, re.M), name
