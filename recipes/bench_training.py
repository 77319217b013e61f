"""Training speed and memory: our HiFi-GAN training step against the published loop written plainly, in one run.

python recipes/bench_training.py [--config v1] [--batch 2] [--segment 8192] [--steps 7] [--compile] [-o bench.json]
python recipes/bench_training.py --device cuda --precision bf16 --batch 16 --steps 50 --compile

"ours" is wavegan's Trainer with the published settings. "plain" is the loop of Kong 2020 (arXiv 2010.05646, sections 2
and 3.1) as the paper describes it: real and fake go through the discriminators one after the other, in the turns of
both players; nothing is frozen or detached in the generator's turn, so the discriminators get gradients that nobody
uses; the multi-period discriminator is made of Conv2d with kernels (k, 1). What is learned is the same: same
generator class, log-mel, starting weights, batches, objective and precision, and AdamW at the published rate. Ours does
more in a step: it checks that losses and gradients are finite and keeps averaged weights.

The sides take their steps in turns, so that a busy moment of the machine meets all of them; each figure is a median.
Peak memory is that of a process that runs one side alone: on a CPU all of its resident memory, on a GPU what PyTorch
allocated there. The mel losses are L1 distances of log-mels, at the first and at the last step.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from wavegan import audio
from wavegan.audio.log_mel import LogMel
from wavegan.core import config
from wavegan.core.errors import UserError, reported
from wavegan.core.files import write_json
from wavegan.data import manifest
from wavegan.data.manifest import Utterance
from wavegan.data.segments import Segments
from wavegan.models.generators import hifigan
from wavegan.training import profiling
from wavegan.training.recipe import Recipe
from wavegan.training.trainer import Trainer

SAMPLE_RATE, N_FFT, HOP_LENGTH = 22050, 1024, 256
FEATURES = {"sample_rate": SAMPLE_RATE, "n_fft": N_FFT, "hop_length": HOP_LENGTH, "n_mels": 80}
CONFIGS = {"v1": hifigan.V1, "v2": hifigan.V2, "v3": hifigan.V3}
LEARNING_RATE, BETAS = 2e-4, (0.8, 0.99)
MEL_WEIGHT, FEATURE_MATCHING_WEIGHT = 45, 2
NUM_JUDGES, NUM_HIDDEN_MAPS = 8, 46
PERIODS = (2, 3, 5, 7, 11)
PERIOD_WIDTHS = (1, 32, 128, 512, 1024, 1024)
SCALE_LAYERS = (  # channels in and out, kernel, stride, groups
    (1, 128, 15, 1, 1),
    (128, 128, 41, 2, 4),
    (128, 256, 41, 2, 16),
    (256, 512, 41, 4, 16),
    (512, 1024, 41, 4, 16),
    (1024, 1024, 41, 1, 16),
    (1024, 1024, 5, 1, 1),
)
SIDES = ("plain", "ours", "compiled")
WARM_UP_STEPS = 2  # the second one meets optimizers that have their state; compiled code is compiled in the first


def speech_like(num_samples: int, seed: int) -> Tensor:
    """Harmonics of a wandering pitch under formant-like bands, in syllables, with a little noise, (T,)."""
    random = torch.Generator().manual_seed(seed)
    seconds = torch.arange(num_samples, dtype=torch.float64) / SAMPLE_RATE
    pitch = 110 + 25 * seed + 15 * torch.sin(2 * math.pi * 1.7 * seconds)
    phase = 2 * math.pi * torch.cumsum(pitch, 0) / SAMPLE_RATE
    harmonics = torch.arange(1.0, 30.0, dtype=torch.float64)[:, None]
    level = sum(torch.exp(-(((harmonics * 130 - formant) / 250) ** 2)) for formant in (500, 1500, 2500))
    voice = (level * torch.sin(harmonics * phase)).sum(0) * torch.sin(2 * math.pi * 2.1 * seconds).clamp(min=0)
    noise = torch.randn(num_samples, generator=random, dtype=torch.float64)
    return (0.5 * voice / voice.abs().max() + 0.01 * noise).float()


def write_corpus(folder: Path, segment: int) -> None:
    """A few seconds of made speech and their manifests, clips at least twice as long as a segment."""
    num_samples = max(2 * segment, 2 * SAMPLE_RATE)
    utterances = []
    for i in range(4):
        path = folder / f"{i}.flac"
        audio.write(path, speech_like(num_samples, seed=i), SAMPLE_RATE)
        utterances.append(Utterance(id=str(i), path=path, sample_rate=SAMPLE_RATE, num_samples=num_samples))
    manifest.write(folder / "train.jsonl", utterances[:3])
    manifest.write(folder / "valid.jsonl", utterances[3:])


def build_recipe(options: argparse.Namespace, folder: Path, compiled: bool = False) -> Recipe:
    """The published training, as a recipe; our weights are of means over judges and maps, the paper's of sums."""
    weights = {"adversarial": NUM_JUDGES, "feature_matching": FEATURE_MATCHING_WEIGHT * NUM_HIDDEN_MAPS}
    trainer = {
        "max_steps": WARM_UP_STEPS + options.steps,
        "learning_rate": LEARNING_RATE,
        "betas": BETAS,
        "final_learning_rate": 1,  # the published decay, by epochs, would not be seen in so few steps
        "compile": compiled,
        "clip_norm": 1e9,  # the paper clips nothing
        "accelerator": {"cpu": "cpu", "cuda": "gpu"}[options.device],
        "precision": {"32": "32-true", "bf16": "bf16-mixed"}[options.precision],
    }
    recipe = {
        "name": f"hifigan-{options.config}",
        "task": {"name": "vocoder", "features": {**FEATURES, "fmax": 8000, "padding": "same"}},
        "generator": CONFIGS[options.config],
        "discriminators": [{"name": "period"}, {"name": "scale"}],
        "objective": {
            "weights": {**weights, "mel": MEL_WEIGHT},
            "mel_resolutions": [(N_FFT, HOP_LENGTH, 80)],  # not used, but checked against the segment
        },
        "data": {
            "train": folder / "train.jsonl",
            "valid": folder / "valid.jsonl",
            "segment_length": options.segment,
            "global_batch_size": options.batch,
        },
        "trainer": trainer,
    }
    return config.parse(Recipe, recipe, "The recipe of the benchmark")


class Ours:
    """The Trainer, step by step."""

    def __init__(self, recipe: Recipe, folder: Path):
        self.trainer = Trainer(recipe, folder)
        self.trainer.watch.running = False  # it runs in the first steps of a training only, and waits for the GPU
        self.generator, self.discriminators = self.trainer.generator, self.trainer.discriminators

    def step(self) -> Tensor:
        """One step; returns its mel loss."""
        self.trainer._set_learning_rate()
        logs = self.trainer.train_step()
        self.trainer.step += 1
        return logs["train/g/mel"]


class PlainPeriodJudge(nn.Module):
    """Hears every p-th sample: the waveform is folded into rows of p samples, and kernels (k, 1) go down its columns.

    (B, 1, T) -> the feature maps of all layers, the logits last.
    """

    def __init__(self, period: int):
        super().__init__()
        self.period = period
        layers = []
        for i in range(5):
            stride = 3 if i < 4 else 1
            conv = nn.Conv2d(PERIOD_WIDTHS[i], PERIOD_WIDTHS[i + 1], (5, 1), (stride, 1), padding=(2, 0))
            layers.append(weight_norm(conv))
        self.layers = nn.ModuleList(layers)
        self.last = weight_norm(nn.Conv2d(PERIOD_WIDTHS[-1], 1, (3, 1), padding=(1, 0)))

    def forward(self, waveform: Tensor) -> list[Tensor]:
        missing = -waveform.shape[2] % self.period
        folded = F.pad(waveform, (0, missing), mode="reflect") if missing else waveform
        return layer_by_layer(self, folded.view(len(folded), 1, -1, self.period))


class PlainScaleJudge(nn.Module):
    """Hears the waveform as it is given, by strided and grouped convolutions with long kernels.

    (B, 1, T) -> the feature maps of all layers, the logits last.
    """

    def __init__(self, norm):  # noqa: ANN001
        super().__init__()
        self.layers = nn.ModuleList(
            norm(nn.Conv1d(c_in, c_out, kernel, stride, padding=kernel // 2, groups=groups))
            for c_in, c_out, kernel, stride, groups in SCALE_LAYERS
        )
        self.last = norm(nn.Conv1d(SCALE_LAYERS[-1][1], 1, 3, padding=1))

    def forward(self, waveform: Tensor) -> list[Tensor]:
        return layer_by_layer(self, waveform)


def layer_by_layer(judge: PlainPeriodJudge | PlainScaleJudge, x: Tensor) -> list[Tensor]:
    maps = []
    for layer in judge.layers:
        x = F.leaky_relu(layer(x), 0.1)
        maps.append(x)
    return [*maps, judge.last(x)]


class PlainJudges(nn.Module):
    """Five periods, and three scales: the waveform, and twice the average of it."""

    def __init__(self) -> None:
        super().__init__()
        self.periods = nn.ModuleList(PlainPeriodJudge(period) for period in PERIODS)
        self.scales = nn.ModuleList(PlainScaleJudge(norm) for norm in (spectral_norm, weight_norm, weight_norm))
        self.halve = nn.AvgPool1d(4, 2, padding=2)

    def forward(self, waveform: Tensor) -> list[list[Tensor]]:
        judged = [judge(waveform) for judge in self.periods]
        for i, judge in enumerate(self.scales):
            waveform = self.halve(waveform) if i else waveform
            judged.append(judge(waveform))
        return judged


class Plain:
    """The published training loop, one batch a step."""

    def __init__(self, recipe: Recipe, device: str):
        self.device, self.number = torch.device(device), 0
        features = recipe.task.features
        self.autocast = torch.autocast(device, torch.bfloat16, enabled=recipe.trainer.precision == "bf16-mixed")
        self.batches = Segments(manifest.read(recipe.data.train), recipe.data, features, recipe.trainer.seed)
        self.input_mel = LogMel(features).to(device)
        # The loss compares up to the Nyquist frequency; the epsilon keeps the root's gradient finite in silence.
        self.loss_mel = LogMel(features.model_copy(update={"fmax": None, "epsilon": 1e-10})).to(device)
        self.generator = recipe.generator.build(recipe.task).to(device)
        self.discriminators = PlainJudges().to(device)
        self.optimizer_g = torch.optim.AdamW(self.generator.parameters(), LEARNING_RATE, BETAS)
        self.optimizer_d = torch.optim.AdamW(self.discriminators.parameters(), LEARNING_RATE, BETAS)

    @torch.no_grad()
    def begin_as(self, ours: Ours) -> None:
        """Take over weights and spectral norm's vectors; a (k, 1) kernel holds what a k kernel holds."""
        for mine, other in ((self.generator, ours.generator), (self.discriminators, ours.discriminators)):
            for kind in ("parameters", "buffers"):
                for own, given in zip(getattr(mine, kind)(), getattr(other, kind)(), strict=True):
                    own.copy_(given.view_as(own))

    def step(self) -> Tensor:
        """One step; returns its mel loss."""
        real = self.batches.batch(self.number).waveform.to(self.device)
        self.number += 1
        with self.autocast:
            fake = self.generator(self.input_mel(real))
        self.train_discriminators(real, fake.detach())
        return self.train_generator(real, fake)

    def train_discriminators(self, real: Tensor, fake: Tensor) -> None:
        self.optimizer_d.zero_grad()
        with self.autocast:
            of_real, of_fake = self.discriminators(real), self.discriminators(fake)
        loss = sum(
            (1 - r[-1].float()).square().mean() + f[-1].float().square().mean()
            for r, f in zip(of_real, of_fake, strict=True)
        )
        loss.backward()
        self.optimizer_d.step()

    def train_generator(self, real: Tensor, fake: Tensor) -> Tensor:
        self.optimizer_g.zero_grad()
        with self.autocast:
            of_real, of_fake = self.discriminators(real), self.discriminators(fake)
        adversarial = sum((1 - f[-1].float()).square().mean() for f in of_fake)
        # Without the logits, as ours: the adversarial term drives them already.
        matching = sum(
            F.l1_loss(f.float(), r.float())
            for fakes, reals in zip(of_fake, of_real, strict=True)
            for f, r in zip(fakes[:-1], reals[:-1], strict=True)
        )
        mel = F.l1_loss(self.loss_mel(fake), self.loss_mel(real))
        (adversarial + FEATURE_MATCHING_WEIGHT * matching + MEL_WEIGHT * mel).backward()
        self.optimizer_g.step()
        return mel.detach()


def build(name: str, options: argparse.Namespace, folder: Path) -> Ours | Plain:
    recipe = build_recipe(options, folder, compiled=name == "compiled")
    return Plain(recipe, options.device) if name == "plain" else Ours(recipe, folder / name)


def peak_memory(name: str, options: argparse.Namespace) -> int:
    """Bytes that one side needs at most, in this process."""
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), options.segment)
        side = build(name, options, Path(folder))
        for _ in range(WARM_UP_STEPS):
            side.step()
    return profiling.peak_memory(torch.device(options.device))


def peak_memory_alone(name: str, options: argparse.Namespace) -> int:
    """The same, from a process of its own."""
    values = {"batch": options.batch, "segment": options.segment, "config": options.config}
    values |= {"device": options.device, "precision": options.precision, "only": name}
    command = [sys.executable, __file__, *(f"--{key}={value}" for key, value in values.items())]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        killed = f"it ended with status {done.returncode}; if memory was short, lower --batch or --segment"
        reason = (done.stderr.strip().splitlines() or [killed])[-1].removeprefix("error: ")
        raise UserError(f"The side '{name}' can't be run: {reason}")
    return json.loads(done.stdout.splitlines()[-1])["peak_memory"]


def measure(names: list[str], options: argparse.Namespace) -> dict[str, dict]:
    """Steps of all sides in turns, from the same weights, on the same batches."""
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), options.segment)
        sides = {name: build(name, options, Path(folder)) for name in names}
        sides["plain"].begin_as(sides["ours"])
        results = {name: {"parameters": count_parameters(side)} for name, side in sides.items()}
        seconds, losses = ({name: [] for name in names} for _ in range(2))
        for i in range(WARM_UP_STEPS + options.steps):
            for name, side in sides.items():
                spent, loss = timed(side, options.device)
                losses[name].append(loss)
                if i >= WARM_UP_STEPS:
                    seconds[name].append(spent)
    for name, result in results.items():
        result["steps_per_second"] = 1 / statistics.median(seconds[name])
        result |= {"seconds": seconds[name], "mel_losses": losses[name]}
    return results


def timed(side: Ours | Plain, device: str) -> tuple[float, float]:
    """Seconds and mel loss of a step."""
    synchronize = torch.cuda.synchronize if device == "cuda" else lambda: None
    synchronize()
    start = time.perf_counter()
    loss = side.step()
    synchronize()
    return time.perf_counter() - start, float(loss)


def count_parameters(side: Ours | Plain) -> dict[str, int]:
    parts = {"generator": side.generator, "discriminators": side.discriminators}
    return {name: sum(p.numel() for p in module.parameters()) for name, module in parts.items()}


def report(results: dict[str, dict], options: argparse.Namespace) -> str:
    """The Markdown table."""
    where = torch.cuda.get_device_name() if options.device == "cuda" else f"CPU, threads: {torch.get_num_threads()}"
    title = f"HiFi-GAN {options.config.upper()}, batch {options.batch}, segment {options.segment}, {where}, "
    title += f"precision {options.precision}, median of {options.steps} steps in turns"
    last = len(results["plain"]["mel_losses"])
    head = f"| step | steps/s | times plain | peak memory, GB | mel loss, step 1 | mel loss, step {last} |"
    lines = [title, "", head, "|---|--:|--:|--:|--:|--:|"]
    for name, r in results.items():
        losses, speed, memory = r["mel_losses"], r["steps_per_second"], r["peak_memory"] / 1e9
        ratio = speed / results["plain"]["steps_per_second"]
        label = {"compiled": "ours, compiled"}.get(name, name)
        lines.append(f"| {label} | {speed:.3f} | {ratio:.2f} | {memory:.2f} | {losses[0]:.4f} | {losses[-1]:.4f} |")
    apart = [abs(a / b - 1) for a, b in zip(results["ours"]["mel_losses"], results["plain"]["mel_losses"], strict=True)]
    lines += ["", f"The mel losses of ours and plain differ by {100 * max(apart):.2f} % at most, over {last} steps."]
    return "\n".join(lines)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--config", choices=CONFIGS, default="v1", help="generator; the discriminators stay the same")
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--segment", type=int, default=8192, help="samples")
    parser.add_argument("--steps", type=int, default=7, help=f"timed steps of each side, after {WARM_UP_STEPS} others")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    parser.add_argument("--precision", choices=["32", "bf16"], default="32", help="of the networks, on all sides")
    parser.add_argument("--compile", action="store_true", help="also ours, its networks compiled")
    parser.add_argument("--only", choices=SIDES, help="run this side alone, and print its peak memory as JSON")
    parser.add_argument("-o", "--output", type=Path, help="JSON to write")
    options = parser.parse_args()
    if options.device == "auto":
        options.device = "cuda" if torch.cuda.is_available() else "cpu"
    return options


def check(options: argparse.Namespace) -> None:
    if min(options.batch, options.steps) < 1:
        raise UserError(f"--batch and --steps should be 1 or more, got {options.batch} and {options.steps}.")
    if options.segment < N_FFT or options.segment % HOP_LENGTH:
        raise UserError(f"--segment {options.segment} should be a multiple of {HOP_LENGTH}, {N_FFT} or more.")
    if options.device == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: PyTorch finds no CUDA GPU here. Take --device cpu.")
    if options.precision == "bf16" and options.device != "cuda":
        raise UserError("--precision bf16 is for --device cuda; CPUs are measured in 32.")
    if options.output and not options.output.parent.is_dir():
        raise UserError(f"The folder of {options.output} does not exist. Make it first, or choose another -o.")


def main() -> None:
    options = parse_options()
    check(options)
    if options.only:
        print(json.dumps({"peak_memory": peak_memory(options.only, options)}))
        return
    names = list(SIDES if options.compile else SIDES[:2])
    # Before this process grows: a child's peak memory begins at that of its parent.
    peaks = {name: peak_memory_alone(name, options) for name in names}
    results = measure(names, options)
    for name, result in results.items():
        result["peak_memory"] = peaks[name]
    print(report(results, options))
    if options.output:
        write_json(options.output, {"options": {k: str(v) for k, v in vars(options).items()}, "results": results})


if __name__ == "__main__":
    with reported():
        main()
