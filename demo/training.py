"""Training: the curves and samples of the runs in one folder, also while they run."""

from __future__ import annotations

import functools
import json
import time
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
        """What a run has to show, the latest one if this one isn't there: the run and which there are, picture of the
        curves, where it stands in words, the last step with samples, the samples' names, one sample's sound and
        picture, and its step in words.
        """
        found = find_runs(stage.runs)
        run = run if run in found else next(iter(found), None)
        return gr.Dropdown(list(found), value=run), *_everything(found.get(run or ""))

    def curves(run: str, request: gr.Request):  # noqa: ANN202
        """The curves of a run: a picture, and in words where it stands."""
        return _curves(_folder(stage.runs, run))

    def sample(run: str, step: float, name: str | None, request: gr.Request):  # noqa: ANN202
        """One sample of a run, at the step with samples that is nearest: sound, picture, and the step in words."""
        return read_sample(_folder(stage.runs, run), step, name)

    def watch(run: str | None, state: list[float], step: float, name: str | None, request: gr.Request):  # noqa: ANN202
        """A live run: everything again if it has written something, else nothing."""
        folder = find_runs(stage.runs).get(run or "")
        if folder is None or _state(folder) == state:
            return [gr.skip()] * 8
        return _everything(folder, None if step >= state[1] else step, name)

    found = list(find_runs(stage.runs))
    if not found:
        gr.Markdown(
            f"No runs in `{stage.runs}` yet. Train one, `recipes/prompts/run.sh` for instance, or start the demo with "
            "`--runs DIR`; then press *Look again*."
        )
    any_name = {"allow_custom_value": True}  # runs and samples appear later; ours is the sentence for a wrong name
    state = gr.State([0.0, 0.0])
    with gr.Row():
        run = gr.Dropdown(found, value=found[0] if found else None, label="Run", scale=4, **any_name)
        again = gr.Button("Look again", scale=1, elem_id="look-again")
    standing = gr.Markdown(elem_id="standing")
    text = "Curves of the run, one small plot a metric"
    drawn = gr.Image(label=text, alt_text=text, **pictures.SHOWN)
    gr.Markdown("## What it sounded like")
    with gr.Row():
        step = gr.Slider(0, MOST_STEPS, 0, step=1, label="Step", elem_id="step")
        name = gr.Dropdown([], label="Sample", **any_name)
    shown = gr.Markdown(elem_id="sample-step")
    with gr.Row():
        with gr.Column(min_width=300):
            heard = cache.player("Sample", interactive=False, format="wav", elem_id="sample-sound", buttons=[])
        with gr.Column(min_width=300):
            text = "Spectrogram of the sample"
            seen = gr.Image(label=text, alt_text=text, show_label=False, format="png", buttons=["fullscreen"])
    everything = [drawn, standing, step, name, heard, seen, shown, state]
    quiet, private = {"show_progress": "hidden", **QUEUE}, {"api_visibility": "private", **QUEUE}
    gr.on(None, stage.endpoint(show), [run], [run, *everything], api_name="run", **quiet)  # on load and change
    again.click(stage.endpoint(show), [run], [run, *everything], **private)
    event = {"api_name": "sample", "trigger_mode": "always_last", **quiet}
    gr.on([step.input, name.input], stage.endpoint(sample), [run, step, name], [heard, seen, shown], **event)
    button = gr.Button("Curves", visible=False)  # the endpoint without the rest of `run`
    button.click(stage.endpoint(curves), [run], [drawn, standing], api_name="curves", **QUEUE)
    inputs = [run, state, step, name]
    gr.Timer(EVERY_SECONDS).tick(stage.endpoint(watch), inputs, everything, show_progress="hidden", **private)


class Curve(NamedTuple):
    steps: list[int]
    values: list[float]


def find_runs(root: Path) -> dict[str, Path]:
    """Run folders by their path below ``root``, which can be one itself, the latest first."""
    files = [*root.glob("metrics.jsonl"), *root.glob("*/metrics.jsonl"), *root.glob("*/*/metrics.jsonl")]
    times = {path: time for path in files if (time := _modified(path)) is not None}
    ordered = sorted(times, key=lambda path: times[path], reverse=True)
    return {str(path.parent.relative_to(root)) if path.parent != root else root.name: path.parent for path in ordered}


def read_metrics(folder: Path) -> dict[str, Curve]:
    """The curves of metrics.jsonl; a line that is being written is left for the next look."""
    found: dict[str, Curve] = {}
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        if not isinstance(values, dict) or not _is_number(step := values.pop("step", None)):
            continue
        for name, value in values.items():
            if value is None or _is_number(value):
                curve = found.setdefault(name, Curve([], []))
                curve.steps.append(int(step))
                curve.values.append(np.nan if value is None else value)
    return found


def find_samples(folder: Path) -> list[int]:
    """Steps at which samples were written, all of them: a folder that changed a moment ago may lack some."""
    old = time.time() - SETTLED_SECONDS
    found = [path for path in folder.glob("samples/step-*") if path.name[5:].isdigit() and _modified(path, old)]
    return sorted(int(path.name[5:]) for path in found if sample_names(folder, int(path.name[5:])))


def sample_names(folder: Path, step: int) -> list[str]:
    """Names of the sounds of a step; where there are none, of its pictures."""
    place = _at(folder, step)
    return sorted(path.stem for path in place.glob("*.wav")) or sorted(path.stem for path in place.glob("*.png"))


def read_sample(folder: Path, step: float, name: str | None) -> tuple[str | None, str | None, str]:
    """Sound, picture and the step in words of the nearest step that has samples; of its first sample without a name.

    Raises:
        UserError: a name that isn't there, or a sound that can't be read.
    """
    steps = find_samples(folder)
    if not steps:
        return None, None, "No samples yet: they come with the first validation (`trainer.valid_interval`)."
    nearest = min(steps, key=lambda s: abs(s - step))
    known = sample_names(folder, nearest)
    name = name or known[0]
    if name not in known:
        raise UserError(f"No sample '{name}' at step {nearest}. There are: {', '.join(known)}.")
    heard, path = None, _at(folder, nearest) / f"{name}.wav"
    if path.is_file():
        try:
            heard = sound(*audio.read(path))
        except UserError as error:
            raise UserError(named_plainly(str(error), path)) from None
    drawn = [p for p in (path.with_suffix(".png"), path.with_name("grid.png")) if p.is_file()]
    seen = picture(Image.open(drawn[0]).convert("RGB")) if drawn else None
    return heard, seen, f"Step **{nearest:,}** of {steps[-1]:,}"


def _everything(folder: Path | None, step: float | None = None, name: str | None = None) -> list[Any]:
    """Values of all components that show a run, at a step or the last one; its state is from before it was read."""
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
    """Of one state of the file: many visitors watch one run."""
    found = read_metrics(folder)
    ordered = sorted(found, key=lambda name: (not name.startswith("valid"), name))
    if not ordered:
        return pictures.curves({}), "Nothing logged yet."
    last = max(curve.steps[-1] for curve in found.values())
    thinned = {name: _thin(found[name]) for name in ordered[:MOST_CURVES]}
    valid = [name for name in ordered if name.startswith("valid/")]
    latest = ", ".join(f"{name.removeprefix('valid/')} {found[name].values[-1]:.4g}" for name in valid)
    return pictures.curves(thinned), f"Step **{last:,}**" + (f"; last validation: {latest}" if latest else "")


def _thin(curve: Curve) -> Curve:
    step = -(-len(curve.steps) // MOST_POINTS)
    return Curve(curve.steps[::step], curve.values[::step])


def _folder(root: Path, run: str | None) -> Path:
    """Only a run that is listed: a visitor can't name a folder elsewhere."""
    found = find_runs(root)
    if not isinstance(run, str) or run not in found:
        raise UserError(f"No run '{run}'. There are: {', '.join(found) or 'none yet'}.")
    return found[run]


def _state(folder: Path) -> list[float]:
    """What changes when a run writes: the time of its last metrics, the last step with samples."""
    steps = find_samples(folder)
    return [_modified(folder / "metrics.jsonl") or 0.0, float(steps[-1] if steps else 0)]


def _modified(path: Path, before: float | None = None) -> float | None:
    """When a file or folder changed last; None if it has gone, or, with ``before``, changed later."""
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
