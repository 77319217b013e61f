"""Training speed and memory: our HiFi-GAN training step against the published loop written plainly, in one run.

python recipes/bench_training.py [--config v1] [--batch 2] [--segment 8192] [--steps 7] [--compile] [-o bench.json]
python recipes/bench_training.py --device cuda --precision bf16 --batch 16 --steps 50 --compile

"ours" is wavegan's Trainer with the published settings. "plain" is the loop of Kong 2020 (arXiv 2010.05646), in
bench_plain.py. Both train the same: generator class, log-mel, initial weights, batches, objective and precision, and
AdamW at the published rate. Ours does more in a step: it checks that losses and gradients are finite and keeps averaged
weights.

The sides take steps in turns, so that a busy moment of the machine affects all of them; speeds are medians. Peak memory
is of a process that runs one side alone: on a CPU its resident memory, on a GPU the memory allocated by PyTorch. The
mel losses are L1 distances of log-mels, at the first and at the last step.
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
from bench_plain import (
    BETAS,
    FEATURE_MATCHING_WEIGHT,
    LEARNING_RATE,
    MEL_WEIGHT,
    NUM_DISCRIMINATORS,
    NUM_HIDDEN_MAPS,
    Plain,
)
from torch import Tensor

from wavegan import audio
from wavegan.core import config
from wavegan.core.errors import UserError, reported
from wavegan.core.files import write_json
from wavegan.data import manifest
from wavegan.data.manifest import Utterance
from wavegan.models.generators import hifigan
from wavegan.training import profiling
from wavegan.training.recipe import Recipe
from wavegan.training.trainer import Trainer

SAMPLE_RATE, N_FFT, HOP_LENGTH = 22050, 1024, 256
FEATURES = {"sample_rate": SAMPLE_RATE, "n_fft": N_FFT, "hop_length": HOP_LENGTH, "n_mels": 80}
CONFIGS = {"v1": hifigan.V1, "v2": hifigan.V2, "v3": hifigan.V3}
SIDES = ("plain", "ours", "compiled")
WARM_UP_STEPS = 2  # the optimizers' state is allocated and code compiled in the first


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
    """Write a few seconds of synthetic speech with manifests, clips at least twice as long as a segment."""
    num_samples = max(2 * segment, 2 * SAMPLE_RATE)
    utterances = []
    for i in range(4):
        path = folder / f"{i}.flac"
        audio.write(path, speech_like(num_samples, seed=i), SAMPLE_RATE)
        utterances.append(Utterance(id=str(i), path=path, sample_rate=SAMPLE_RATE, num_samples=num_samples))
    manifest.write(folder / "train.jsonl", utterances[:3])
    manifest.write(folder / "valid.jsonl", utterances[3:])


def build_recipe(options: argparse.Namespace, folder: Path, compiled: bool = False) -> Recipe:
    """The published training as a recipe; weights are of means over discriminators and maps, the paper's of sums."""
    weights = {"adversarial": NUM_DISCRIMINATORS, "feature_matching": FEATURE_MATCHING_WEIGHT * NUM_HIDDEN_MAPS}
    trainer = {
        "max_steps": WARM_UP_STEPS + options.steps,
        "learning_rate": LEARNING_RATE,
        "betas": BETAS,
        "final_learning_rate": 1,  # the published decay, by epochs, is negligible in so few steps
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
            "mel_resolutions": [(N_FFT, HOP_LENGTH, 80)],  # unused, but checked against the segment length
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
    """The package's Trainer, step by step."""

    def __init__(self, recipe: Recipe, folder: Path):
        self.trainer = Trainer(recipe, folder)
        self.trainer.game.watch.running = False  # it synchronizes the GPU, in a training's first steps only
        self.generator, self.discriminators = self.trainer.generator, self.trainer.discriminators

    def step(self) -> Tensor:
        """Train on one batch; returns its mel loss."""
        self.trainer._set_learning_rate()
        logs = self.trainer.train_step()
        self.trainer.step += 1
        return logs["train/g/mel"]


def build(name: str, options: argparse.Namespace, folder: Path) -> Ours | Plain:
    recipe = build_recipe(options, folder, compiled=name == "compiled")
    return Plain(recipe, options.device) if name == "plain" else Ours(recipe, folder / name)


def peak_memory(name: str, options: argparse.Namespace) -> int:
    """Peak memory of one side in this process, in bytes."""
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), options.segment)
        side = build(name, options, Path(folder))
        for _ in range(WARM_UP_STEPS):
            side.step()
    return profiling.peak_memory(torch.device(options.device))


def peak_memory_alone(name: str, options: argparse.Namespace) -> int:
    """Peak memory of one side in a separate process, in bytes."""
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
    """Train all sides in turns, from the same weights, on the same batches."""
    with tempfile.TemporaryDirectory() as folder:
        write_corpus(Path(folder), options.segment)
        sides = {name: build(name, options, Path(folder)) for name in names}
        sides["plain"].copy_weights(sides["ours"].generator, sides["ours"].discriminators)
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
    pairs = zip(results["ours"]["mel_losses"], results["plain"]["mel_losses"], strict=True)
    largest = 100 * max(abs(a / b - 1) for a, b in pairs)
    lines += ["", f"The mel losses of ours and plain differ by {largest:.2f} % at most, over {last} steps."]
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
    # First, as the peak memory of a child starts at its parent's.
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
