"""What the README says, done."""

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
README = (ROOT / "README.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", README, re.DOTALL)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    audio.write(tmp_path / "IN.wav", speech_like(1.0), 16000)
    return tmp_path


@pytest.mark.parametrize("block", blocks("python"))
def test_python_blocks_run(folder, block):
    done = subprocess.run([sys.executable, "-c", block], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_first_command_after_the_install(folder):
    (line,) = [line for line in "".join(blocks("bash")).splitlines() if line.startswith("pip install -e . && ")]
    command = line.removeprefix("pip install -e . && ").replace("wavegan", f"{sys.executable} -m wavegan")
    done = subprocess.run(command, shell=True, cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "number.wav: " in done.stdout and (folder / "number.wav").is_file()


def test_every_file_is_in_the_layout_and_every_link_exists():
    for path in (ROOT / "wavegan").glob("*.py"):
        if not path.name.startswith("_"):
            assert path.name in README, f"{path.name} is missing in the README"
    for name in re.findall(r"`((?:wavegan|recipes)/[\w./-]+)`", README) + re.findall(r"\]\(([\w./-]+)\)", README):
        assert (ROOT / name).exists(), name
    for script in re.findall(r"recipes/\w+/\w+\.sh", README):
        assert os.access(ROOT / script, os.X_OK)


def test_commands_in_the_table_exist():
    done = subprocess.run([sys.executable, "-m", "wavegan", "--help"], capture_output=True, text=True)
    for name in re.findall(r"`wavegan (\w+) ", README):
        assert re.search(rf"^  {name} ", done.stdout, re.M), name
