"""The wheel contains all that the commands need: the package, the embedded models, the recipes and the demo."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PLACES = {"wavegan": "wavegan", "recipes": "wavegan/_recipes", "demo": "wavegan/_demo"}
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.png", "screenshots", "checkpoint")  # weights in progress


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> zipfile.ZipFile:
    """Built from a copy of the checkout, where it leaves nothing."""
    if int(metadata.version("setuptools").split(".")[0]) < 77:
        pytest.skip("old setuptools: pip install -e '.[dev]'")
    tree = tmp_path_factory.mktemp("tree")
    for name in PLACES:
        shutil.copytree(ROOT / name, tree / name, ignore=LEFT_OUT)
    for name in ("pyproject.toml", "setup.py", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tree)
    command = [sys.executable, "-c", "from setuptools.build_meta import build_wheel; build_wheel('dist')"]
    done = subprocess.run(command, cwd=tree, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (path,) = (tree / "dist").glob("*.whl")
    return zipfile.ZipFile(path)


def test_every_file_of_package_recipes_and_demo_is_in_the_wheel(wheel):
    expected = set()
    for name, place in PLACES.items():
        tree = Path(wheel.filename).parents[1] / name
        expected |= {f"{place}/{path.relative_to(tree).as_posix()}" for path in tree.rglob("*") if path.is_file()}
    built = {info.filename: info for info in wheel.infolist() if ".dist-info/" not in info.filename}
    assert built.keys() == expected
    assert {"wavegan/py.typed", "wavegan/pretrained/vocoder-16k/generator.safetensors"} <= built.keys()
    assert built["wavegan/_recipes/ljspeech/run.sh"].external_attr >> 16 & 0o111, "not executable"
    assert sum(info.compress_size for info in built.values()) < 10e6


def test_an_installed_package_lists_copies_and_finds_its_recipes(wheel, tmp_path):
    wheel.extractall(tmp_path / "installed")
    (tmp_path / "empty").mkdir()

    def run(*arguments: str) -> subprocess.CompletedProcess:
        environment = os.environ | {"PYTHONPATH": str(tmp_path / "installed")}
        command = [sys.executable, "-m", "wavegan", *arguments]
        return subprocess.run(command, cwd=tmp_path / "empty", env=environment, capture_output=True, text=True)

    assert "\nljspeech " in run("recipe", "list").stdout
    assert run("recipe", "copy", "ljspeech").returncode == 0
    copy = tmp_path / "empty" / "recipes" / "ljspeech"
    original = tmp_path / "installed" / "wavegan" / "_recipes" / "ljspeech"
    assert {path.name for path in copy.iterdir()} == {path.name for path in original.iterdir() if path.is_file()}
    done = run("recipe", "run", "fsdd", "--from", "3", "trainer.max_steps=1")
    assert done.returncode == 2 and "is for the training" in done.stderr
    done = run("demo", "--help")
    assert done.returncode == 0 and "usage: wavegan demo" in done.stdout, done.stderr
