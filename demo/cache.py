"""Sounds and pictures for visitors: each in a separate folder, deleted after half an hour.

Gradio would name a file after its contents and rewrite it for the next visitor with the same request while the first
is still downloading it. Its clean-up thread dies if a file appears while it iterates over the list.
"""

from __future__ import annotations

import os
import secrets
import threading
import time
from collections.abc import Collection
from pathlib import Path

import gradio as gr
from gradio.data_classes import FileData

CLEAN_EVERY_SECONDS, KEEP_SECONDS = 60, 1800


def fresh(name: str) -> Path:
    """Return an unused path in the folder that Gradio serves."""
    folder = Path(os.environ["GRADIO_TEMP_DIR"]) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder / name


def player(label: str, **options) -> gr.Audio:  # noqa: ANN003
    """An audio player of complete files, without Gradio's ffprobe process that checks each for browsers."""
    component = gr.Audio(label=label, **options)
    component.postprocess = lambda path: path and FileData(path=path, orig_name=Path(path).name)
    return component


def keep_clean(blocks: gr.Blocks) -> None:
    """Start a thread that deletes old files, including uploads."""

    def clean() -> None:
        while True:
            time.sleep(CLEAN_EVERY_SECONDS)
            shown = {path for component in blocks.blocks.values() for path in component.keep_in_cache}
            sweep(KEEP_SECONDS, shown)
            for listed in blocks.temp_file_sets:  # names that Gradio would delete; the list only grows
                listed.clear()

    threading.Thread(target=clean, daemon=True).start()


def sweep(age: float, kept: Collection[str] = ()) -> None:
    """Delete files older than ``age`` seconds, except those in ``kept``, and folders that have been empty as long."""
    latest = time.time() - age
    for folder, _, names in os.walk(os.environ["GRADIO_TEMP_DIR"], topdown=False):
        try:
            for path in (Path(folder, name) for name in names):
                if str(path) not in kept and path.lstat().st_ctime < latest:
                    path.unlink()
            if folder != os.environ["GRADIO_TEMP_DIR"] and os.stat(folder).st_ctime < latest:
                os.rmdir(folder)
        except OSError:  # not empty, or already deleted
            continue
