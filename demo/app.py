"""The demo: speech GANs in a browser, without network or GPU.

pip install -e '.[demo]'
python demo/app.py [--checkpoint DIR ...] [--runs DIR] [--port N] [--share]
"""

from __future__ import annotations

import argparse
import atexit
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

# Before gradio is imported: no telemetry, no version check, and a folder for sounds that is deleted on exit.
os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
if "GRADIO_TEMP_DIR" not in os.environ:
    os.environ["GRADIO_TEMP_DIR"] = tempfile.mkdtemp(prefix="wavegan-demo-")
    atexit.register(shutil.rmtree, os.environ["GRADIO_TEMP_DIR"], ignore_errors=True)

import cache  # noqa: E402
import digits  # noqa: E402
import explained  # noqa: E402
import gradio as gr  # noqa: E402
import training  # noqa: E402
import vocoder  # noqa: E402
from gate import Gate  # noqa: E402
from stage import Limits, Stage, load  # noqa: E402
from starlette.middleware import Middleware  # noqa: E402

from wavegan.core.errors import UserError, reported  # noqa: E402

CSS = "td { white-space: normal } td:last-child { white-space: nowrap }"  # numbers don't wrap on a phone


class Tab(NamedTuple):
    """``reads``: the tab appears if a loaded model reads this kind of input; None: always."""

    title: str
    reads: str | None
    build: Callable[[Stage], None]


TABS = [
    Tab("Digits", "latent", digits.build),
    Tab("Vocoder", "mel", vocoder.build),
    Tab("Training", None, training.build),
    Tab("How it works", None, explained.build),
]


def build(stage: Stage) -> gr.Blocks:
    with gr.Blocks(title="wavegan", analytics_enabled=False) as blocks:
        gr.Markdown("# wavegan\nGANs that generate speech waveforms.")
        with gr.Tabs():
            for tab in TABS:
                if tab.reads is None or stage.names(tab.reads):
                    with gr.Tab(tab.title):
                        tab.build(stage)
    cache.keep_clean(blocks)
    return blocks.queue(max_size=64, default_concurrency_limit=4)


def main() -> None:
    options = parse()
    limits = Limits(options.max_seconds, options.max_megabytes, options.max_requests)
    stage = Stage(load(options.checkpoint), options.runs, limits, options.behind_proxy)
    most = {"most_bytes": round(limits.megabytes * 1e6), "most_requests": limits.requests}
    gate = Middleware(Gate, **most, behind_proxy=options.behind_proxy)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # atexit functions run
    blocks = build(stage)
    try:
        _, address, public = blocks.launch(
            server_name=options.host,
            server_port=options.port,
            share=options.share,
            max_file_size=round(limits.megabytes * 1e6),
            app_kwargs={"middleware": [gate]},
            css=CSS,
            footer_links=["api", "settings"],
            theme=gr.themes.Default(font=["system-ui", "sans-serif"], font_mono=["ui-monospace", "monospace"]),
            ssr_mode=False,
            quiet=True,
            prevent_thread_lock=True,
        )
    except OSError as error:
        if "empty port" not in str(error):
            raise
        place = f"Port {options.port}" if options.port else "Every port from 7860"
        raise UserError(f"{place} is taken, or --host is not an address of this machine: give another.") from None
    places = f"{address} and, for everyone, {public}" if public else f"{address} (--share adds a public link)"
    print(f"The demo is at {places}. Ctrl-C ends it.", flush=True)
    blocks.block_thread()


def parse() -> argparse.Namespace:
    description = "Generate and copy speech in a browser, and watch training runs."
    parser = argparse.ArgumentParser(prog="wavegan demo", description=description)
    add, default = parser.add_argument, "(default: %(default)g)"
    add("--checkpoint", type=Path, action="append", default=[], metavar="DIR", help="additional model; can be repeated")
    add("--runs", type=Path, default=Path("runs"), metavar="DIR", help="folder of training runs (default: runs)")
    add("--port", type=between(1, 65535, int), help="default: the first free one from 7860")
    add("--host", help="address to listen on (default: 127.0.0.1, this machine only)")
    add("--share", action="store_true", help="a public address for three days through Gradio's tunnel")
    on_space = bool(os.environ.get("SPACE_ID"))
    add("--behind-proxy", action="store_true", default=on_space, help="identify visitors by X-Forwarded-For")
    size = f"limit of an upload {default}"
    add("--max-seconds", type=between(0.1, 3600), default=Limits.seconds, help=size)
    add("--max-megabytes", type=between(0.1, 1000), default=Limits.megabytes, help=size)
    minute = f"limit per visitor and minute {default}"
    add("--max-requests", type=between(1, 1e9, int), default=Limits.requests, help=minute)
    return parser.parse_args()


def between(least: float, most: float, kind: type = float) -> Callable[[str], float]:
    """An argparse type: a number in a range."""

    def read(text: str) -> float:
        value = kind(text)
        if not least <= value <= most:
            raise argparse.ArgumentTypeError(f"should be a number from {least:g} to {most:g}, got {text}")
        return value

    return read


if __name__ == "__main__":
    with reported():
        main()
