"""Sounds and pictures on their way to a visitor: each in a folder of its own, gone after half an hour.

Gradio would name a file after its contents, and write it again for the next visitor who asks the same, while the first
is still reading it. Its own cleaning ends for good when a file comes while it looks at the list.
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
    """A path that no one else has, where Gradio serves from."""
    folder = Path(os.environ["GRADIO_TEMP_DIR"]) / secrets.token_hex(16)
    folder.mkdir(parents=True)
    return folder / name


def player(label: str, **options) -> gr.Audio:  # noqa: ANN003
    """An audio player of finished files: Gradio would start ffprobe for each, to see whether a browser can play it."""
    component = gr.Audio(label=label, **options)
    component.postprocess = lambda path: path and FileData(path=path, orig_name=Path(path).name)
    return component


def keep_clean(blocks: gr.Blocks) -> None:
    """Delete old files, uploads among them, as long as the process lives."""

    def clean() -> None:
        while True:
            time.sleep(CLEAN_EVERY_SECONDS)
            shown = {path for component in blocks.blocks.values() for path in component.keep_in_cache}
            sweep(KEEP_SECONDS, shown)
            for listed in blocks.temp_file_sets:  # what Gradio would delete, by name; it only grows
                listed.clear()

    threading.Thread(target=clean, daemon=True).start()


def sweep(age: float, kept: Collection[str] = ()) -> None:
    """Delete files that are older than ``age`` seconds, but for those in ``kept``; and folders empty for so long."""
    latest = time.time() - age
    for folder, _, names in os.walk(os.environ["GRADIO_TEMP_DIR"], topdown=False):
        try:
            for path in (Path(folder, name) for name in names):
                if str(path) not in kept and path.lstat().st_ctime < latest:
                    path.unlink()
            if folder != os.environ["GRADIO_TEMP_DIR"] and os.stat(folder).st_ctime < latest:
                os.rmdir(folder)
        except OSError:  # not empty, or just gone
            continue
