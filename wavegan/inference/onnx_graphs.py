"""Generators, and the front end that makes their mels, as functions of plain tensors to export.

Shapes: B batch, M mel bands, F frames, T samples, K frequency bins, Z latent, V conditions.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan.audio.log_mel import LogMel, LogMelConfig, mel_window
from wavegan.audio.stft import padding_length
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError
from wavegan.inference.checks import refuse_first_stage
from wavegan.tasks.base import BaseTaskConfig


class Graph(NamedTuple):
    """A module to export and a function that makes inputs for it.

    ``example(batch, length)``: inputs by name. ``axes``: their axes of any size, by input. ``lengths``: frames or
    samples to compare at. ``reference``: the module whose output it must equal, if not its own.
    """

    module: nn.Module
    example: Callable[[int, int], dict[str, Tensor]]
    axes: dict[str, dict[int, str]]
    output: str
    lengths: tuple[int, int, int]
    reference: nn.Module | None = None

    def describe(self) -> str:
        """Inputs with their shapes, and the output: "mel (batch, 80, frames) -> waveform"."""
        shapes = {name: value.shape for name, value in self.example(1, self.lengths[0]).items()}
        sizes = {n: ", ".join(self.axes[n].get(i, str(s)) for i, s in enumerate(shape)) for n, shape in shapes.items()}
        return f"{', '.join(f'{name} ({size})' for name, size in sizes.items())} -> {self.output}"


class Vocoding(nn.Module):
    """Log-mel (B, M, F), and noise (B, 1, T) for a generator that takes it, -> waveform (B, T)."""

    def __init__(self, generator: nn.Module):
        super().__init__()
        self.generator = generator

    def forward(self, mel: Tensor, noise: Tensor | None = None) -> Tensor:
        return (self.generator(mel) if noise is None else self.generator(mel, noise=noise))[:, 0]


class Generating(nn.Module):
    """Latents (B, Z) and labels (B, V) -> waveforms (B, T); those beyond full scale are turned down."""

    def __init__(self, generator: nn.Module):
        super().__init__()
        self.generator = generator

    def forward(self, z: Tensor, label: Tensor | None = None) -> Tensor:
        waveform = self.generator(z, label)[:, 0]
        return waveform / waveform.abs().amax(1, keepdim=True).clamp(min=1.0)


class Analysis(nn.Module):
    """Waveform (B, T) -> log-mel (B, M, F): ``LogMel`` in real arithmetic, frames times the DFT's cosines and sines.

    Sums are in float64: the logarithm of a nearly silent band beside loud ones amplifies rounding.
    """

    def __init__(self, log_mel: LogMel):
        super().__init__()
        c = self.config = log_mel.config
        self.log_mel = log_mel
        angle = 2 * torch.pi * torch.outer(torch.arange(c.n_fft), torch.arange(c.n_fft // 2 + 1)).double() / c.n_fft
        window = mel_window(c, c.n_fft).double().unsqueeze(1)
        self.register_buffer("basis", (torch.cat([angle.cos(), angle.sin()], dim=1) * window).float())

    def forward(self, waveform: Tensor) -> Tensor:
        c, length = self.config, waveform.shape[1]
        amount = padding_length(c.n_fft, c.hop_length, c.padding)
        num_frames = (length + 2 * amount - c.n_fft) // c.hop_length + 1
        # One index selects frames and reflects both ends; a waveform shorter than the padding continues with zeros.
        place = torch.arange(num_frames).unsqueeze(1) * c.hop_length + torch.arange(c.n_fft) - amount
        last = torch.sym_max(length - 1, amount)
        place = last - (last - place.abs()).abs()
        frames = F.pad(waveform, (0, amount)).index_select(1, place.flatten()).unflatten(1, (num_frames, c.n_fft))
        real, imag = (frames.double() @ self.basis.double()).chunk(2, dim=2)
        power = real.square() + imag.square() + c.epsilon
        return self.log_mel.from_magnitude((power if c.power == 2 else power.sqrt()).float())


def generator_graph(generator: nn.Module, contents: CheckpointConfig) -> Graph:
    """The graph of a checkpoint's generator.

    Raises:
        UserError: a first stage, which makes no waveform, or a generator that reads waveforms.
    """
    refuse_first_stage(contents)
    if contents.task.reads == "waveform":
        raise UserError(f"'{contents.name}' reads waveforms: only generators that read mels or noise can be exported.")
    build = _vocoding_graph if contents.task.reads == "mel" else _generating_graph
    return build(generator, contents.task)


def _vocoding_graph(generator: nn.Module, task: BaseTaskConfig) -> Graph:
    random, log_mel, hop_length = torch.Generator().manual_seed(0), LogMel(task.features), task.features.hop_length

    def example(batch: int, num_frames: int) -> dict[str, Tensor]:
        waveform = 0.1 * torch.randn(batch, (num_frames + 1) * hop_length, generator=random)
        inputs = {"mel": log_mel(waveform)[..., :num_frames].contiguous()}
        if hasattr(generator, "noise"):
            inputs["noise"] = generator.noise(0, num_frames).expand(batch, 1, -1).clone()
        return inputs

    axes = {"mel": {0: "batch", 2: "frames"}, "noise": {0: "batch", 2: "samples"}}
    axes = {name: axes[name] for name in example(1, 1)}
    return Graph(Vocoding(generator), example, axes, "waveform", (24, 5, 131))


def _generating_graph(generator: nn.Module, task: BaseTaskConfig) -> Graph:
    random = torch.Generator().manual_seed(0)

    def example(batch: int, length: int) -> dict[str, Tensor]:
        labels = [torch.randint(size, (batch,), generator=random) for size in task.label_sizes]
        return {"z": task.draw(batch, random)} | ({"label": torch.stack(labels, 1)} if labels else {})

    axes = {name: {0: "batch"} for name in example(1, task.clip_length)}
    return Graph(Generating(generator), example, axes, "waveform", (task.clip_length,) * 3)


def mel_graph(features: LogMelConfig) -> Graph:
    """The graph of the front end: waveforms of at least a hop -> log-mels of a contract."""
    log_mel, random = LogMel(features), torch.Generator().manual_seed(0)

    def example(batch: int, length: int) -> dict[str, Tensor]:
        return {"waveform": 0.1 * torch.randn(batch, length, generator=random)}

    lengths = (4 * features.n_fft, max(features.n_fft // 2 - 1, features.hop_length), 7 * features.n_fft + 3)
    return Graph(Analysis(log_mel), example, {"waveform": {0: "batch", 1: "samples"}}, "mel", lengths, log_mel)
