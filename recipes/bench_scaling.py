"""Benchmark of scaling: steps per second of 1 and 2 processes, measured; of 8 and 64 GPUs, calculated.

python recipes/bench_scaling.py [RECIPE.yaml key=value ...] [--processes 2] [--steps 5] [--rounds 3] [-o scaling.json]
python recipes/bench_scaling.py --step-seconds 0.2 --inside 200 --between 25

Starts torchrun with one thread per process: first with the same global batch, then with the same batch per process.
Efficiency is the segments per second of N processes over N times those of one. The settings take turns, so that a busy
moment of the machine affects all of them; the time of a step is the median of all rounds. The default recipe is
HiFi-GAN V1 with its published discriminators (bench_training.py) on synthetic speech.

The calculation: a ring all-reduce sends 2 (N - 1) / N of the gradients' bytes through each GPU's link. Both players'
gradients are averaged once per step. "None hidden" adds all of that time to a step; "hidden" assumes that
DistributedDataParallel overlaps it with half of the step. Bandwidths are assumptions, in GB/s for each GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import yaml
from bench_training import build_recipe, write_corpus

from wavegan import load_recipe
from wavegan.core.errors import UserError, reported
from wavegan.core.files import write_json
from wavegan.training import runs
from wavegan.training.trainer import Trainer

PUBLISHED = {"config": "v1", "batch": 2, "segment": 8192, "steps": 100, "device": "cpu", "precision": "32"}
GPUS = (8, 64)
WARM_UP_ROUNDS = 2


def worker(options: argparse.Namespace) -> None:
    """Time a few steps in each process; the first one prints the result."""
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        trainer = Trainer(load_recipe(options.recipe[0], options.recipe[1:]), Path(folder))
        trainer.game.watch.running = False
        first, turn = runs.phases(trainer)[-1][1], trainer.config.critic_steps + 1
        starts = [first + i * turn for i in range(WARM_UP_ROUNDS + options.steps)]
        seconds = [runs.time_step(trainer, start) for start in starts][WARM_UP_ROUNDS:]
        players = [trainer.generator, trainer.discriminators]
        parameters = sum(p.numel() for player in players if player for p in player.parameters() if p.requires_grad)
        if trainer.rank == 0:
            print(json.dumps({"seconds": seconds, "gradient_bytes": 4 * parameters}))


def start(options: argparse.Namespace, processes: int, batch: int) -> dict:
    """Run the worker in ``processes`` processes on a global batch."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    command += [__file__, *options.recipe, f"data.global_batch_size={batch}", f"--steps={options.steps}", "--worker"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    if done.returncode:
        lines = done.stderr.splitlines() or ["it ended without a message"]
        reason = next((line for line in lines if line.startswith("error: ")), lines[-1]).removeprefix("error: ")
        raise UserError(f"Training in {processes} processes can't be measured: {reason}")
    return json.loads(done.stdout.splitlines()[-1])


def measure(options: argparse.Namespace) -> list[dict]:
    """Measure in turns: one process, several with the same global batch, several with the same batch each."""
    n, batch = options.processes, load_recipe(options.recipe[0], options.recipe[1:]).data.global_batch_size
    settings = [(1, batch), (n, batch), (n, n * batch)]
    rounds = [[start(options, *setting) for setting in settings] for _ in range(options.rounds)]
    rows = []
    for (processes, total), results in zip(settings, zip(*rounds, strict=True), strict=True):
        step = statistics.median(seconds for result in results for seconds in result["seconds"])
        row = {"processes": processes, "batch": total, "seconds": step, "gradient_bytes": results[0]["gradient_bytes"]}
        alone = rows[0]["batch"] / rows[0]["seconds"] if rows else total / step
        rows.append(row | {"efficiency": total / step / (processes * alone)})
    return rows


def ring_seconds(count: int, gradient_bytes: int, bandwidth: float) -> float:
    """Seconds of a ring all-reduce between ``count`` GPUs with links of ``bandwidth`` GB/s."""
    return 2 * (count - 1) / count * gradient_bytes / (bandwidth * 1e9)


def extrapolate(options: argparse.Namespace, step: float, gradient_bytes: int) -> list[dict]:
    """Seconds of the all-reduce for each number of GPUs, and the efficiency with none and with some of it hidden."""
    rows = []
    for count in GPUS:
        bandwidth = options.inside if count <= 8 else options.between
        ring = ring_seconds(count, gradient_bytes, bandwidth)
        shown = max(ring - step / 2, 0)
        row = {"gpus": count, "bandwidth": bandwidth, "ring_seconds": ring, "ninety_percent_seconds": 9 * ring}
        rows.append(row | {"none_hidden": step / (step + ring), "hidden": step / (step + shown)})
    return rows


def report(options: argparse.Namespace, measured: list[dict], expected: list[dict], step: float) -> str:
    """Both tables, in Markdown."""
    head = "| processes | global batch | of each | steps/s | segments/s | efficiency |"
    lines = [f"One thread per process, median of {options.rounds} x {options.steps} steps.", "", head, "|" + "--:|" * 6]
    for row in measured:
        speed, share = 1 / row["seconds"], row["batch"] // row["processes"]
        values = f"{speed:.3f} | {speed * row['batch']:.2f} | {row['efficiency']:.0%}"
        lines.append(f"| {row['processes']} | {row['batch']} | {share} | {values} |")
    source = "given" if options.step_seconds else "of one process above"
    costs = f"Gradients {measured[0]['gradient_bytes'] / 1e6:.0f} MB per step, a step {step:.3f} s ({source})"
    lines += ["", f"{costs}; bandwidths are assumed, not measured.", ""]
    lines += ["| GPUs | GB/s | all-reduce, ms | none hidden | hidden | 90 % with none hidden from a step of |"]
    lines += ["|" + "--:|" * 6]
    for row in expected:
        values = f"{1e3 * row['ring_seconds']:.2f} | {row['none_hidden']:.1%} | {row['hidden']:.1%}"
        least = f"{1e3 * row['ninety_percent_seconds']:.0f} ms"
        lines.append(f"| {row['gpus']} | {row['bandwidth']:g} | {values} | {least} |")
    return "\n".join(lines)


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="*", help="recipe and overrides")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--steps", type=int, default=5, help=f"timed steps per round, after {WARM_UP_ROUNDS} others")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--step-seconds", type=float, help="of a GPU, for the calculation (default: as measured here)")
    parser.add_argument("--inside", type=float, default=200, help="GB/s of each GPU's link inside a machine of 8")
    parser.add_argument("--between", type=float, default=25, help="GB/s of each GPU's link between machines")
    parser.add_argument("-o", "--output", type=Path, help="JSON to write")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_intermixed_args()


def main() -> None:
    options = parse_options()
    if options.worker:
        return worker(options)
    if min(options.steps, options.rounds) < 1 or options.processes < 2:
        raise UserError("--steps and --rounds should be 1 or more, --processes 2 or more.")
    with tempfile.TemporaryDirectory() as folder:
        if not options.recipe:
            write_corpus(Path(folder), PUBLISHED["segment"])
            recipe = build_recipe(argparse.Namespace(**PUBLISHED), Path(folder))
            options.recipe = [f"{folder}/recipe.yaml"]
            Path(options.recipe[0]).write_text(yaml.safe_dump(recipe.model_dump(mode="json", exclude_none=True)))
        measured = measure(options)
    step = options.step_seconds or measured[0]["seconds"]
    expected = extrapolate(options, step, measured[0]["gradient_bytes"])
    print(report(options, measured, expected, step))
    if options.output:
        write_json(options.output, {"measured": measured, "expected": expected, "step_seconds": step})


if __name__ == "__main__":
    with reported():
        main()
