"""The run folder: metrics.jsonl, TensorBoard, samples as sound and as pictures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch import Tensor

from wavegan import audio
from wavegan.audio.pictures import grid_figure, spectrogram_figure
from wavegan.core.errors import UserError
from wavegan.tasks.base import Clips, Grid, Pair


class Tracker:
    """Writes the logs and samples of a run into ``folder``; a resume drops lines after ``step``."""

    def __init__(self, folder: Path, step: int = 0, wandb: str | None = None):
        from torch.utils.tensorboard import SummaryWriter

        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.validated: dict[str, float] | None = None  # metrics logged at the step that a resumed run begins at
        path = folder / "metrics.jsonl"
        if path.exists():
            lines = path.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            for line in kept:
                if _step_of(line) == step and '"train/' not in line:
                    self.validated = {name: value for name, value in json.loads(line).items() if name != "step"}
            path.write_text("".join(f"{line}\n" for line in kept), encoding="utf-8")
        self.file = path.open("a", encoding="utf-8")
        self.wandb = _start_wandb(wandb, folder) if wandb else None
        self.board = SummaryWriter(str(folder / "tensorboard"), purge_step=step + 1 if step else None)

    def log(self, step: int, values: dict[str, float]) -> None:
        """One line of metrics.jsonl and one point of each TensorBoard curve."""
        rounded = {name: float(f"{value:.6g}") for name, value in values.items()}
        self.file.write(json.dumps({"step": step, **rounded}) + "\n")
        self.file.flush()
        for name, value in values.items():
            self.board.add_scalar(name, value, step)
        if self.wandb:
            self.wandb.log({"step": step, **values})

    def write(self, step: int, samples: Sequence[Pair | Clips | Grid], sample_rate: int) -> None:
        """Write the samples of a validation."""
        for sample in samples:
            match sample:
                case Pair(name, real, fake):
                    self.sample(step, name, real, fake, sample_rate)
                case Clips(name, waveforms):
                    self.clips(step, name, waveforms, sample_rate)
                case Grid(rows):
                    self.grid(step, rows)

    def sample(self, step: int, name: str, real: Tensor, fake: Tensor, sample_rate: int) -> None:
        """A validation clip, (T,) each: the copy as a wav, real beside fake as a picture."""
        folder = self._samples(step)
        file_name = name.replace("/", "-")
        audio.write(folder / f"{file_name}.wav", fake, sample_rate)
        figure = spectrogram_figure({"real": real, "fake": fake}, sample_rate, f"{name}, step {step}")
        figure.savefig(folder / f"{file_name}.png", dpi=80)
        self.board.add_audio(f"samples/{name}", fake.unsqueeze(0), step, sample_rate)
        self.board.add_figure(f"samples/{name}", figure, step)

    def grid(self, step: int, rows: dict[str, Tensor]) -> None:
        """One picture: log-mels (N, M, F) of each row's name; the first of each row as numbers too, for film strips."""
        folder = self._samples(step)
        first = np.stack([mels[0].numpy() for mels in rows.values()]).astype(np.float16)
        np.savez_compressed(folder / "grid.npz", names=list(rows), mels=first)
        figure = grid_figure(rows, f"step {step}")
        figure.savefig(folder / "grid.png", dpi=80)
        self.board.add_figure("samples/grid", figure, step)

    def clips(self, step: int, name: str, clips: Tensor, sample_rate: int) -> None:
        """Clips (N, 1, T), one after the other, as a wav."""
        if len(clips):
            audio.write(self._samples(step) / f"{name.replace('/', '-')}.wav", clips.flatten(), sample_rate)

    def _samples(self, step: int) -> Path:
        folder = self.folder / "samples" / f"step-{step:08d}"
        folder.mkdir(parents=True, exist_ok=True)
        return folder

    def close(self) -> None:
        self.file.close()
        self.board.close()
        if self.wandb:
            self.wandb.finish()


def _start_wandb(project: str, folder: Path):  # noqa: ANN202
    """A run at Weights & Biases, the same one again after a resume; WANDB_MODE=offline needs no network."""
    try:
        import wandb
    except ModuleNotFoundError:
        raise UserError("trainer.wandb needs the package 'wandb': pip install 'wavegan[wandb]'.") from None
    return wandb.init(project=project, name=folder.name, id=folder.name, dir=str(folder), resume="allow")


def _step_of(line: str) -> float:
    """The step of a line; a line cut short by a crash counts as never written."""
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        return float("inf")
