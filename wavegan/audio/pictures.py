"""Pictures of sounds as matplotlib figures, which need neither pyplot's global state nor a display.

Shapes: T samples, K frequency bins, N clips, M mel bands, F frames.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def decibels(
    waveform: Tensor | np.ndarray, sample_rate: int, hop_length: int | None = None, floor: float = -100.0
) -> np.ndarray:
    """Spectrogram (T,) -> (K, F) in dB, at least ``floor``; a sine of full scale has 0 dB.

    Hann windows of the power of two nearest to 32 ms; a hop of 10 ms by default.
    """
    n_fft = 2 ** round(np.log2(sample_rate * 0.032))
    waveform = torch.as_tensor(waveform).float()
    padded = F.pad(waveform, (0, max(n_fft - len(waveform), 0)))
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(padded, n_fft, hop_length or sample_rate // 100, window=window, return_complex=True).abs()
    return (20 * (spectrum * 2 / window.sum()).clamp(min=10 ** (floor / 20)).log10()).numpy()


def spectrogram_figure(waveforms: dict[str, Tensor], sample_rate: int, title: str = "") -> Figure:
    """Spectrograms of waveforms (T,), side by side, from -100 to -20 dB."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5 * len(waveforms), 3.5), layout="constrained")
    axes = figure.subplots(1, len(waveforms), squeeze=False, sharey=True)[0]
    for ax, (name, waveform) in zip(axes, waveforms.items(), strict=True):
        extent = (0, len(waveform) / sample_rate, 0, sample_rate / 2)
        style = {"origin": "lower", "aspect": "auto", "cmap": "magma", "extent": extent}
        ax.imshow(decibels(waveform, sample_rate), vmin=-100, vmax=-20, **style)
        ax.set(title=name, xlabel="seconds")
    axes[0].set_ylabel("Hz")
    figure.suptitle(title)
    return figure


def grid_figure(rows: dict[str, Tensor], title: str = "") -> Figure:
    """A row of log-mels (N, M, F) for each name, from 9 nepers (80 dB) below the loudest of all."""
    from matplotlib.figure import Figure

    columns = max(len(mels) for mels in rows.values())
    top = max(float(mels.max()) for mels in rows.values())
    figure = Figure(figsize=(1.3 * columns + 0.8, 0.9 * len(rows) + 0.4), layout="constrained")
    axes = figure.subplots(len(rows), columns, squeeze=False)
    for row, (name, mels) in zip(axes, rows.items(), strict=True):
        for ax, mel in zip(row, mels, strict=False):
            ax.imshow(mel.numpy(), origin="lower", aspect="auto", vmin=top - 9, vmax=top, cmap="magma")
            ax.set(xticks=[], yticks=[])
        row[0].set_ylabel(name, rotation=0, ha="right", va="center")
    figure.suptitle(title)
    return figure
