"""Training: the curves and samples of the runs in one folder, also while they run."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import NamedTuple

import gradio as gr
import numpy as np
import pictures
from PIL import Image
from stage import Sound, Stage, sound

from wavegan import UserError, audio

EVERY_SECONDS = 4
SETTLED_SECONDS = 3
MOST_CURVES = 12
MOST_POINTS = 500


def build(stage: Stage) -> None:
    def runs(request: gr.Request):  # noqa: ANN202
        """The runs that there are."""
        found = list(find_runs(stage.runs))
        return gr.Dropdown(found, value=found[0] if found else None)

    def curves(run: str, request: gr.Request):  # noqa: ANN202
        """The curves of a run: a picture, and in words where it stands."""
        return _curves(stage.runs, run)

    def choose(run: str, request: gr.Request):  # noqa: ANN202
        """What a run has to show: picture of the curves, where it stands, steps with samples, names of the samples,
        its last state.
        """
        folder = _folder(stage.runs, run)
        steps = find_samples(folder)
        names = sample_names(folder, steps[-1]) if steps else []
        last = steps[-1] if steps else 0
        return (
            *_curves(stage.runs, run),
            gr.Slider(0, max(last, 1), last),
            gr.Dropdown(names, value=names[0] if names else None),
            _state(folder),
        )

    def sample(run: str, step: float, name: str, request: gr.Request):  # noqa: ANN202
        """One sample of a run, at the step with samples that is nearest: sound, picture, and the step in words."""
        folder = _folder(stage.runs, run)
        return read_sample(folder, step, name)

    def watch(run: str | None, state: list[float], step: float):  # noqa: ANN202
        """A live run: everything again if it has written something, else nothing."""
        folder = find_runs(stage.runs).get(run or "")
        if folder is None or _state(folder) == state:
            return [gr.skip()] * 4
        steps = find_samples(folder)
        last = steps[-1] if steps else 0
        moved = gr.Slider(0, max(last, 1), last if step >= state[1] else step)
        return *_curves(stage.runs, run), moved, _state(folder)

    found = list(find_runs(stage.runs))
    if not found:
        gr.Markdown(
            f"No runs in `{stage.runs}` yet. Train one, `recipes/prompts/run.sh` for instance, or start the demo with "
            "`--runs DIR`; then press *Look again*."
        )
    state = gr.State([0.0, 0.0])
    any_name = {"allow_custom_value": True}  # runs and samples appear later; ours is the sentence for a wrong name
    with gr.Row():
        run = gr.Dropdown(found, value=found[0] if found else None, label="Run", scale=4, **any_name)
        again = gr.Button("Look again", scale=1, elem_id="look-again")
    standing = gr.Markdown(elem_id="standing")
    text = "Curves of the run, one small plot a metric"
    picture = gr.Image(label=text, alt_text=text, show_label=False, format="png", image_mode="RGBA", buttons=[])
    gr.Markdown("### What it sounded like")
    with gr.Row():
        step = gr.Slider(0, 1, 0, step=1, label="Step", elem_id="step")
        name = gr.Dropdown([], label="Sample", **any_name)
    shown = gr.Markdown(elem_id="sample-step")
    with gr.Row():
        with gr.Column(min_width=300):
            heard = gr.Audio(label="Sample", interactive=False, format="wav", elem_id="sample-sound", buttons=[])
        with gr.Column(min_width=300):
            text = "Spectrogram of the sample"
            seen = gr.Image(label=text, alt_text=text, show_label=False, format="png", buttons=["fullscreen"])
    everything, light = [picture, standing, step, name, state], {"show_progress": "hidden"}
    chosen = gr.on(None, stage.endpoint(choose), [run], everything, api_name="run", **light)  # on load and change
    again.click(stage.endpoint(runs), None, [run], api_name="runs")
    hear = {"fn": stage.endpoint(sample), "inputs": [run, step, name], "outputs": [heard, seen, shown], **light}
    gr.on([step.change, name.change], **hear, api_name="sample", trigger_mode="always_last")
    chosen.then(**hear, api_visibility="private")  # another run can have the same steps and names
    button = gr.Button("Curves", visible=False)  # the endpoint without the rest of `run`
    button.click(stage.endpoint(curves), [run], [picture, standing], api_name="curves")
    live = [picture, standing, step, state]
    gr.Timer(EVERY_SECONDS).tick(watch, [run, state, step], live, api_visibility="private", queue=False, **light)


class Curve(NamedTuple):
    steps: list[int]
    values: list[float]


def find_runs(root: Path) -> dict[str, Path]:
    """Run folders by their path below ``root``, which can be one itself, the latest first."""
    files = [*root.glob("metrics.jsonl"), *root.glob("*/metrics.jsonl"), *root.glob("*/*/metrics.jsonl")]
    files.sort(key=lambda path: path.stat().st_mtime, reverse=True)
    return {str(path.parent.relative_to(root)) if path.parent != root else root.name: path.parent for path in files}


def read_metrics(folder: Path) -> dict[str, Curve]:
    """The curves of metrics.jsonl; a line that is being written is left for the next look."""
    found: dict[str, Curve] = {}
    for line in (folder / "metrics.jsonl").read_text(encoding="utf-8").splitlines():
        try:
            values = json.loads(line)
        except ValueError:
            continue
        step = values.pop("step", 0)
        for name, value in values.items():
            curve = found.setdefault(name, Curve([], []))
            curve.steps.append(step)
            curve.values.append(np.nan if value is None else value)
    return found


def find_samples(folder: Path) -> list[int]:
    """Steps at which samples were written, all of them: a folder that changed a moment ago may lack some."""
    old = time.time() - SETTLED_SECONDS
    found = [path for path in folder.glob("samples/step-*") if path.name[5:].isdigit() and path.stat().st_mtime < old]
    return sorted(int(path.name[5:]) for path in found)


def sample_names(folder: Path, step: int) -> list[str]:
    return sorted(path.stem for path in _at(folder, step).glob("*.wav")) or sorted(
        path.stem for path in _at(folder, step).glob("*.png")
    )


def read_sample(folder: Path, step: float, name: str | None) -> tuple[Sound | None, Image.Image | None, str]:
    """Sound, picture and the step in words of the nearest step that has samples.

    Raises:
        UserError: a name that isn't there.
    """
    steps = find_samples(folder)
    if not steps or name is None:
        return None, None, "No samples yet: they come with the first validation (`trainer.valid_interval`)."
    nearest = min(steps, key=lambda s: abs(s - step))
    if name not in (known := sample_names(folder, nearest)):
        raise UserError(f"No sample '{name}' at step {nearest}. There are: {', '.join(known)}.")
    heard = None
    if (path := _at(folder, nearest) / f"{name}.wav").is_file():
        waveform, rate = audio.read(path)
        heard = sound(waveform, rate)
    pictures_of = [p for p in (path.with_suffix(".png"), path.with_name("grid.png")) if p.is_file()]
    seen = Image.open(pictures_of[0]).convert("RGB") if pictures_of else None
    return heard, seen, f"Step **{nearest:,}** of {steps[-1]:,}"


def _curves(root: Path, run: str) -> tuple[Image.Image, str]:
    folder = _folder(root, run)
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
    if run not in found:
        raise UserError(f"No run '{run}'. There are: {', '.join(found) or 'none yet'}.")
    return found[run]


def _state(folder: Path) -> list[float]:
    """What changes when a run writes: the time of its last metrics, the last step with samples."""
    steps = find_samples(folder)
    return [(folder / "metrics.jsonl").stat().st_mtime, float(steps[-1] if steps else 0)]


def _at(folder: Path, step: int) -> Path:
    return folder / "samples" / f"step-{step:08d}"
