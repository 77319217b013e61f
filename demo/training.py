"""Training: curves and samples of the runs in a folder, updated while they train."""

from __future__ import annotations

import functools
import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import cache
import gradio as gr
import numpy as np
import pictures
from PIL import Image
from stage import Stage, named_plainly, picture, sound

from wavegan import UserError, audio

EVERY_SECONDS = 4
SETTLED_SECONDS = 3
MOST_CURVES = 12
MOST_POINTS = 500
MOST_STEPS = 10**9
QUEUE = {"concurrency_id": "training", "concurrency_limit": 1}


def build(stage: Stage) -> None:
    def show(run: str | None, request: gr.Request):  # noqa: ANN202
        """All data of a run, or of the latest one if it doesn't exist: the list of runs, a picture of the curves, the
        progress in words, the last step with samples, the samples' names, sound and picture of one sample, and its
        step in words.
        """
        runs = find_runs(stage.runs)
        run = run if run in runs else next(iter(runs), None)
        return gr.Dropdown(list(runs), value=run), *_everything(runs.get(run or ""))

    def curves(run: str, request: gr.Request):  # noqa: ANN202
        """The curves of a run: a picture, and the progress in words."""
        return _curves(_folder(stage.runs, run))

    def sample(run: str, step: float, name: str | None, request: gr.Request):  # noqa: ANN202
        """One sample of a run at the nearest step with samples: sound, picture, and the step in words."""
        return read_sample(_folder(stage.runs, run), step, name)

    def watch(run: str | None, state: list[float], step: float, name: str | None, request: gr.Request):  # noqa: ANN202
        """Update the page if the run has written anything."""
        folder = find_runs(stage.runs).get(run or "")
        if folder is None or _state(folder) == state:
            return [gr.skip()] * 8
        return _everything(folder, None if step >= state[1] else step, name)

    _layout(stage, show, curves, sample, watch)


def _layout(stage: Stage, show: Callable, curves: Callable, sample: Callable, watch: Callable) -> None:
    names = list(find_runs(stage.runs))
    if not names:
        gr.Markdown(
            f"No runs in `{stage.runs}` yet. Train one, for example with `recipes/prompts/run.sh`, or start the demo "
            "with `--runs DIR`; then press *Look again*."
        )
    any_name = {"allow_custom_value": True}  # runs and samples appear later; a wrong name gets our error message
    state = gr.State([0.0, 0.0])
    with gr.Row():
        run = gr.Dropdown(names, value=names[0] if names else None, label="Run", scale=4, **any_name)
        again = gr.Button("Look again", scale=1, elem_id="look-again")
    standing = gr.Markdown(elem_id="standing")
    text = "Curves of the run, one small plot per metric"
    drawn = gr.Image(label=text, alt_text=text, **pictures.SHOWN)
    gr.Markdown("## Samples during training")
    with gr.Row():
        step = gr.Slider(0, MOST_STEPS, 0, step=1, label="Step", elem_id="step")
        name = gr.Dropdown([], label="Sample", **any_name)
    shown = gr.Markdown(elem_id="sample-step")
    with gr.Row():
        with gr.Column(min_width=300):
            audio_player = cache.player("Sample", interactive=False, format="wav", elem_id="sample-sound", buttons=[])
        with gr.Column(min_width=300):
            text = "Spectrogram of the sample"
            image = gr.Image(label=text, alt_text=text, show_label=False, format="png", buttons=["fullscreen"])
    everything = [drawn, standing, step, name, audio_player, image, shown, state]
    quiet, private = {"show_progress": "hidden", **QUEUE}, {"api_visibility": "private", **QUEUE}
    gr.on(None, stage.endpoint(show), [run], [run, *everything], api_name="run", **quiet)  # on load and change
    again.click(stage.endpoint(show), [run], [run, *everything], **private)
    event = {"api_name": "sample", "trigger_mode": "always_last", **quiet}
    gr.on([step.input, name.input], stage.endpoint(sample), [run, step, name], [audio_player, image, shown], **event)
    button = gr.Button("Curves", visible=False)  # an endpoint for the curves alone
    button.click(stage.endpoint(curves), [run], [drawn, standing], api_name="curves", **QUEUE)
    inputs = [run, state, step, name]
    gr.Timer(EVERY_SECONDS).tick(stage.endpoint(watch), inputs, everything, show_progress="hidden", **private)


class Curve(NamedTuple):
    steps: list[int]
    values: list[float]


def find_runs(root: Path) -> dict[str, Path]:
    """Run folders by their path relative to ``root``, which can be a run itself, the latest first."""
    files = [*root.glob("metrics.jsonl"), *root.glob("*/metrics.jsonl"), *root.glob("*/*/metrics.jsonl")]
    times = {path: time for path in files if (time := _modified(path)) is not None}
    ordered = sorted(times, key=lambda path: times[path], reverse=True)
    return {str(path.parent.relative_to(root)) if path.parent != root else root.name: path.parent for path in ordered}


def read_metrics(folder: Path) -> dict[str, Curve]:
    """Read the curves of metrics.jsonl; an incomplete line is left for the next time."""
    curves: dict[str, Curve] = {}
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if not isinstance(values, dict) or not _is_number(step := values.pop("step", None)):
            continue
        for name, value in values.items():
            if value is None or _is_number(value):
                curve = curves.setdefault(name, Curve([], []))
                curve.steps.append(int(step))
                curve.values.append(np.nan if value is None else value)
    return curves


def find_samples(folder: Path) -> list[int]:
    """Steps with samples, except folders that changed a moment ago and may be incomplete."""
    old = time.time() - SETTLED_SECONDS
    paths = [path for path in folder.glob("samples/step-*") if path.name[5:].isdigit() and _modified(path, old)]
    return sorted(int(path.name[5:]) for path in paths if sample_names(folder, int(path.name[5:])))


def sample_names(folder: Path, step: int) -> list[str]:
    """Names of the sounds of a step, or of its pictures if it has none."""
    place = _at(folder, step)
    return sorted(path.stem for path in place.glob("*.wav")) or sorted(path.stem for path in place.glob("*.png"))


def read_sample(folder: Path, step: float, name: str | None) -> tuple[str | None, str | None, str]:
    """Sound, picture and step in words of a sample at the nearest step with samples; of its first one without a name.

    Raises:
        UserError: no sample of this name, or a sound that can't be read.
    """
    steps = find_samples(folder)
    if not steps:
        return None, None, "No samples yet: the first validation writes them (`trainer.valid_interval`)."
    nearest = min(steps, key=lambda s: abs(s - step))
    known = sample_names(folder, nearest)
    name = name or known[0]
    if name not in known:
        raise UserError(f"No sample '{name}' at step {nearest}. There are: {', '.join(known)}.")
    clip, path = None, _at(folder, nearest) / f"{name}.wav"
    if path.is_file():
        try:
            clip = sound(*audio.read(path))
        except UserError as error:
            raise UserError(named_plainly(str(error), path)) from None
    drawn = [p for p in (path.with_suffix(".png"), path.with_name("grid.png")) if p.is_file()]
    image = picture(Image.open(drawn[0]).convert("RGB")) if drawn else None
    return clip, image, f"Step **{nearest:,}** of {steps[-1]:,}"


def _everything(folder: Path | None, step: float | None = None, name: str | None = None) -> list[Any]:
    """Values of all components for a run, at a step or the last one; its state dates from before it was read."""
    if folder is None:
        return [None, "", gr.Slider(value=0), gr.Dropdown([], value=None), None, None, "", [0.0, 0.0]]
    state, steps = _state(folder), find_samples(folder)
    last = steps[-1] if steps else 0
    step = last if step is None else min(step, last)
    known = sample_names(folder, min(steps, key=lambda s: abs(s - step))) if steps else []
    name = name if name in known else next(iter(known), None)
    controls = gr.Slider(maximum=max(last, 1), value=step), gr.Dropdown(known, value=name)
    return [*_curves(folder), *controls, *read_sample(folder, step, name), state]


def _curves(folder: Path) -> tuple[str, str]:
    status = (folder / "metrics.jsonl").stat()
    drawn, standing = _drawn_curves(folder, status.st_mtime_ns, status.st_size)
    return picture(drawn), standing


@functools.lru_cache(maxsize=16)
def _drawn_curves(folder: Path, modified: int, size: int) -> tuple[Image.Image, str]:
    """Cached by the state of the file, for many visitors who watch one run."""
    read = read_metrics(folder)
    ordered = sorted(read, key=lambda name: (not name.startswith("valid"), name))
    if not ordered:
        return pictures.curves({}), "Nothing logged yet."
    last = max(curve.steps[-1] for curve in read.values())
    thinned = {name: _thin(read[name]) for name in ordered[:MOST_CURVES]}
    valid = [name for name in ordered if name.startswith("valid/")]
    latest = ", ".join(f"{name.removeprefix('valid/')} {read[name].values[-1]:.4g}" for name in valid)
    return pictures.curves(thinned), f"Step **{last:,}**" + (f"; last validation: {latest}" if latest else "")


def _thin(curve: Curve) -> Curve:
    step = -(-len(curve.steps) // MOST_POINTS)
    return Curve(curve.steps[::step], curve.values[::step])


def _folder(root: Path, run: str | None) -> Path:
    """Return the folder of a listed run: visitors can't name any other."""
    runs = find_runs(root)
    if not isinstance(run, str) or run not in runs:
        raise UserError(f"No run '{run}'. There are: {', '.join(runs) or 'none yet'}.")
    return runs[run]


def _state(folder: Path) -> list[float]:
    """The time of a run's last metrics and its last step with samples, which change when it writes."""
    steps = find_samples(folder)
    return [_modified(folder / "metrics.jsonl") or 0.0, float(steps[-1] if steps else 0)]


def _modified(path: Path, before: float | None = None) -> float | None:
    """Time of the last change of a file or folder; None if it is gone, or changed after ``before``."""
    try:
        modified = path.stat().st_mtime
    except OSError:
        return None
    if path.name == "metrics.jsonl" and not path.is_file():
        return None
    return modified if before is None or modified < before else None


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _at(folder: Path, step: int) -> Path:
    return folder / "samples" / f"step-{step:08d}"
