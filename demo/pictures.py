"""Pictures that are readable on light and dark pages: no background, grey text."""

from __future__ import annotations

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from wavegan.audio.pictures import decibels

GREY, BLUE, ORANGE = "#757575", "#4f8fd0", "#e07b39"
RANGE_DB = 80
SHOWN = {"show_label": False, "format": "png", "image_mode": "RGBA", "buttons": ["fullscreen"]}  # of gr.Image
matplotlib.rcParams.update(
    {name: GREY for name in ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color")}
    | {"figure.facecolor": "none", "axes.facecolor": "none", "axes.titlesize": 10, "font.size": 9}
    | {"axes.spines.top": False, "axes.spines.right": False}
)


def render(figure: Figure) -> Image.Image:
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return Image.fromarray(np.asarray(canvas.buffer_rgba()))


def peak_decibels(waveform: np.ndarray, sample_rate: int) -> np.ndarray:
    """Spectrogram (K, F) in dB below its peak, of at most about 1,000 frames."""
    spectrum = decibels(waveform, sample_rate, max(sample_rate // 125, len(waveform) // 1000), floor=-180)
    return spectrum - max(spectrum.max(), -100)


def clip_picture(waveform: np.ndarray, mel: np.ndarray, sample_rate: int, size: tuple[float, float] = (7, 3.2)):  # noqa: ANN201
    """A waveform (T,) above its log-mel (M, F)."""
    figure = Figure(figsize=size, layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    seconds = len(waveform) / sample_rate
    above.plot(np.linspace(0, seconds, len(waveform)), waveform, color=BLUE, linewidth=0.5)
    above.set(ylim=(-1, 1), yticks=[])
    below.imshow(
        mel, origin="lower", aspect="auto", cmap="magma", vmax=mel.max(), vmin=mel.max() - 9, extent=(0, seconds, 0, 1)
    )
    below.set(xlabel="seconds", yticks=[], ylabel="mel bands")
    return render(figure)


def spectrograms(clips: dict[str, np.ndarray], sample_rate: int, difference: bool):  # noqa: ANN201
    """Spectrograms of two waveforms, one above the other, and optionally their difference."""
    images = {name: peak_decibels(waveform, sample_rate) for name, waveform in clips.items()}
    figure = Figure(figsize=(7, 2.1 * (len(images) + difference) + 0.4), layout="constrained")
    axes = figure.subplots(len(images) + difference, 1, squeeze=False)[:, 0]
    for ax, (name, image), waveform in zip(axes, images.items(), clips.values(), strict=False):
        extent = (0, len(waveform) / sample_rate, 0, sample_rate / 2000)
        drawn = ax.imshow(
            image, origin="lower", aspect="auto", cmap="magma", vmin=-RANGE_DB, vmax=0, extent=extent, label=name
        )
        ax.set(title=name, ylabel="kHz")
    figure.colorbar(drawn, ax=list(axes[: len(images)]), label="dB")
    if difference:
        first, second = (np.maximum(image, -RANGE_DB) for image in images.values())
        frames = min(first.shape[1], second.shape[1])
        drawn = axes[-1].imshow(
            (second - first)[:, :frames], origin="lower", aspect="auto", cmap="RdBu_r", vmin=-20, vmax=20, extent=extent
        )
        axes[-1].set(title="difference", ylabel="kHz")
        figure.colorbar(drawn, ax=axes[-1], label="dB")
    axes[-1].set_xlabel("seconds")
    return render(figure)


def curves(series: dict[str, tuple[list[int], list[float]]]):  # noqa: ANN201
    """One small plot per metric: {name: (steps, values)}."""
    columns = min(3, max(len(series), 1))
    rows = max(-(-len(series) // columns), 1)
    figure = Figure(figsize=(3.4 * columns, 1.9 * rows), layout="constrained")
    axes = figure.subplots(rows, columns, squeeze=False).flatten()
    for ax, (name, (steps, values)) in zip(axes, series.items(), strict=False):
        few = {"marker": "."} if len(steps) < 20 else {}
        ax.plot(steps, values, color=ORANGE if name.startswith("valid") else BLUE, linewidth=1.2, **few)
        ax.set_title(name, parse_math=False)
    for ax in axes[len(series) :]:
        ax.axis("off")
    return render(figure)
