"""How it works: the text of explained.md, and a picture drawn with the package's own modules."""

from __future__ import annotations

from pathlib import Path

import gradio as gr
import numpy as np
import pictures
import torch
from matplotlib.figure import Figure
from matplotlib.patches import ConnectionPatch
from stage import Stage

from wavegan import Synthesizer
from wavegan.models.discriminators import FramesConfig, ResolutionConfig

SEED = 3
TEXT = Path(__file__).with_name("explained.md")


def build(stage: Stage) -> None:
    before, after = TEXT.read_text(encoding="utf-8").split("<!-- picture -->")
    gr.Markdown(before)
    names = stage.names("latent")
    if names:
        text = "Noise and a label enter the generator; discriminators examine its clip in several ways"
        gr.Image(picture(stage.models[names[0]]), label=text, alt_text=text, **pictures.SHOWN)
    gr.Markdown(after)


def picture(model: Synthesizer):  # noqa: ANN201
    """A latent, the waveform generated from it, and the views of three discriminators."""
    task = model.config.task
    z = model.latent(1, SEED)
    label = list(task.vocabularies.get("label", ["1"]))[-1]
    clip = model.generate([label] if "label" in task.vocabularies else 1, seed=SEED, z=z)[0]
    images = views(torch.from_numpy(clip)[None, None], task)
    figure = Figure(figsize=(10, 4.6), layout="constrained")
    grid = figure.add_gridspec(len(images), 3, width_ratios=[1, 1.7, 2])
    noise, wave = figure.add_subplot(grid[:, 0]), figure.add_subplot(grid[:, 1])
    noise.imshow(z.reshape(-1, 8), cmap="coolwarm", vmin=-2.5, vmax=2.5)
    noise.set(xticks=[], yticks=[], title=f"noise, {task.latent_dim} numbers", xlabel=f'and a label: "{label}"')
    wave.plot(np.arange(len(clip)) / model.sample_rate, clip, color=pictures.BLUE, linewidth=0.5)
    size = sum(p.numel() for p in model.generator.parameters()) / 1e6
    wave.set(title=f"generator: {size:.1f} million weights", xlabel="seconds", yticks=[])
    axes = [figure.add_subplot(grid[i, 2]) for i in range(len(images))]
    for ax, (name, image) in zip(axes, images.items(), strict=True):
        ax.imshow(image, origin="lower", aspect="auto", cmap="magma", interpolation="nearest")
        ax.set_xticks([])
        ax.set_yticks([])
        ax.set_title(name)
    axes[-1].set_xlabel('each answers: "real" or "generated"')
    figure.get_layout_engine().set(wspace=0.15)
    for start, end in ((noise, wave), *((wave, ax) for ax in axes)):
        places = {"xyA": (1.02, 0.5), "coordsA": start.transAxes, "xyB": (-0.02, 0.5), "coordsB": end.transAxes}
        arrow = {"arrowstyle": "-|>", "mutation_scale": 14, "color": pictures.GREY}
        figure.add_artist(ConnectionPatch(**places, **arrow))
    return pictures.render(figure)


def views(clip: torch.Tensor, task) -> dict[str, np.ndarray]:  # noqa: ANN001
    """Inputs of three kinds of discriminators for a clip (1, 1, T), as images."""
    (resolution,) = ResolutionConfig(resolutions=[(512, 64, 256)]).build(task)
    (frames,) = FramesConfig(resolutions=[(256, 64, 64)]).build(task)
    period, samples = 5, clip[0, 0]
    with torch.inference_mode():
        spectrum = resolution.analyse(clip)[0, 0].T
        mel = frames.analyse(clip)[0]
    folded = samples[: len(samples) // period * period].reshape(-1, period).T
    middle = folded.shape[1] // 3
    return {
        "multi-resolution: a fine spectrogram": np.log(spectrum.numpy() + 1e-3),
        "frames: a mel spectrogram": mel.numpy(),
        f"multi-period: the waveform folded every {period} samples": folded[:, middle : middle + 160].numpy(),
    }
