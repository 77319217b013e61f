"""The run folder: metrics.jsonl, TensorBoard, samples as sound and as pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from torch import Tensor

from wavegan import audio


class Tracker:
    """Writes what a run has to show into ``folder``; after a resume, what lies behind ``step`` is dropped."""

    def __init__(self, folder: Path, step: int = 0):
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        path = folder / "metrics.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self.file = path.open("a", encoding="utf-8")
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def log(self, step: int, values: dict[str, float]) -> None:
        """One line of metrics.jsonl and one point of each TensorBoard curve."""
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        self.file.write(json.dumps({"step": step, **rounded}) + "\n")
        self.file.flush()
        for name, value in values.items():
            self.board.add_scalar(name, value, step)

    def sample(self, step: int, name: str, real: Tensor, fake: Tensor, sample_rate: int) -> None:
        """A validation clip, (T,) each: the copy as a wav, real beside fake as a picture."""
        folder = self.folder / "samples" / f"step-{step:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        file_name = name.replace("/", "-")
        audio.write(folder / f"{file_name}.wav", fake, sample_rate)
        figure = spectrogram_figure({"real": real, "fake": fake}, sample_rate, f"{name}, step {step}")
        figure.savefig(folder / f"{file_name}.png", dpi=80)
        self.board.add_audio(f"samples/{name}", fake.unsqueeze(0), step, sample_rate)
        self.board.add_figure(f"samples/{name}", figure, step)

    def close(self) -> None:
        self.file.close()
        self.board.close()


def spectrogram_figure(waveforms: dict[str, Tensor], sample_rate: int, title: str = ""):  # noqa: ANN201
    """A matplotlib figure: the spectrogram of each waveform (T,), side by side, in dB, 80 dB of range."""
    from matplotlib.figure import Figure  # without pyplot: no global state, no display

    figure = Figure(figsize=(5 * len(waveforms), 3.5), layout="constrained")
    axes = figure.subplots(1, len(waveforms), squeeze=False, sharey=True)[0]
    n_fft = 2 ** round(np.log2(sample_rate * 0.032))
    for ax, (name, waveform) in zip(axes, waveforms.items(), strict=True):
        samples = np.asarray(waveform, dtype=np.float64)
        samples = np.pad(samples, (0, max(n_fft - len(samples), 0)))
        ax.specgram(
            samples + 1e-9, NFFT=n_fft, Fs=sample_rate, noverlap=n_fft * 3 // 4, vmin=-120, vmax=-40, cmap="magma"
        )
        ax.set(title=name, xlabel="seconds")
    axes[0].set_ylabel("Hz")
    figure.suptitle(title)
    return figure


def _step_of(line: str) -> float:
    """The step of a line; a line cut short by a crash counts as never written."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")
