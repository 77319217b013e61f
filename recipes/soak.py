"""Test of resuming: a training that is killed repeatedly must equal an uninterrupted one.

    python recipes/soak.py [RECIPE.yaml key=value ...] [--kills 50] [--processes 1] [--output runs/soak]

Trains the recipe once to its end, then again in processes that get SIGKILL, or every third time SIGTERM, at random
moments and continue by `--resume`. At the end weights, optimizers, averages and curves must be bit-identical; if kills
are left, the training starts over. The default recipe is small, with all parts that have a state, on synthetic speech.
Your own recipe should take a few minutes and have a small trainer.checkpoint_interval.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import torch
from bench_training import write_corpus

from wavegan.checkpoints import native
from wavegan.core.errors import UserError, reported

SMALL = """
name: soak
task:
  name: vocoder
  features: {{sample_rate: 22050, n_fft: 512, hop_length: 128, n_mels: 40}}
generator: {{name: spectral, dim: 32, num_blocks: 2}}
discriminators:
  - {{name: period, periods: [2, 3], channels: [4, 8, 8]}}
  - {{name: scale, scales: 1, channels: [16, 16, 16, 16, 16, 16, 16]}}
objective:
  san: true
  balancer: {{decay: 0.99}}
  weights: {{mel: 0, multi_resolution_mel: 2, log_amplitude: 1, phase: 1, complex_stft: 1}}
  mel_resolutions: [[512, 128, 40], [256, 64, 20]]
data: {{train: "{0}/train.jsonl", valid: "{0}/valid.jsonl", segment_length: 4096, global_batch_size: 4}}
trainer:
  max_steps: 400
  muon_learning_rate: 0.02
  adversarial_start: 0.3
  critic_steps: 1
  warmup_steps: 20
  log_interval: 1
  valid_interval: 50
  checkpoint_interval: 10
  num_samples: 0
  accelerator: cpu
selection: {{metric: mel_l1, keep: 2}}
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("recipe", nargs="*", help="recipe and overrides")
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--processes", type=int, default=1, help="number of processes of each training, by torchrun")
    parser.add_argument("--seed", type=int, default=0, help="of the random moments")
    parser.add_argument("--output", "-o", type=Path, default=Path("runs/soak"))
    options = parser.parse_intermixed_args()
    whole, killed = options.output / "whole", options.output / "killed"
    for folder in (whole, killed):
        shutil.rmtree(folder, ignore_errors=True)
    options.output.mkdir(parents=True, exist_ok=True)
    if not options.recipe or "=" in options.recipe[0]:
        write_corpus(options.output, segment=4096)
        (options.output / "small.yaml").write_text(SMALL.format(options.output.absolute()))
        options.recipe.insert(0, str(options.output / "small.yaml"))
    start = time.monotonic()
    end = run(options, whole, None)
    if end:
        raise UserError(f"The uninterrupted training ended with status {end}; see {options.output / 'log'}.")
    longest = max((time.monotonic() - start) / 3, 1.0)
    moments, survived, lost = random.Random(options.seed), 0, []
    while survived < options.kills:
        shot = signal.SIGTERM if survived % 3 == 2 else signal.SIGKILL
        if run(options, killed, (moments.uniform(0, longest), shot)) == 0:  # finished before the kill
            check(whole, killed, survived)
            shutil.rmtree(killed)
            continue
        survived += 1
        lost.append(max(last_step(killed) - saved_step(killed), 0))
        print(f"kill {survived}: at step {last_step(killed)}, {lost[-1]} steps to repeat", flush=True)
    if end := run(options, killed, None):
        raise UserError(f"Resuming after {survived} kills ended with status {end}; see {options.output / 'log'}.")
    check(whole, killed, survived)
    print(f"{survived} kills, at most {max(lost)} steps to repeat: the same weights and curves, bit for bit.")


def check(whole: Path, killed: Path, survived: int) -> None:
    if differences := compare(whole, killed):
        raise UserError(f"After {survived} kills the runs differ: {', '.join(differences[:5])}.")


def run(options: argparse.Namespace, folder: Path, shot: tuple[float, signal.Signals] | None) -> int:
    """Start or resume a training; ``shot``: seconds of training and the signal to send then."""
    command = [sys.executable, "-m"]
    if options.processes > 1:
        command += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(options.processes), "-m"]
    command += ["wavegan", "train"]
    if native.has_trainer(folder):
        command += ["--resume", str(folder)]
    else:
        shutil.rmtree(folder, ignore_errors=True)
        command += [*options.recipe, "-o", str(folder)]
    with (options.output / "log").open("a") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        if shot:
            written = metrics_size(folder)
            while process.poll() is None and metrics_size(folder) == written:
                time.sleep(0.01)  # until it logs
            time.sleep(shot[0])
            target = process.pid
            if options.processes > 1 and shot[1] == signal.SIGKILL:  # to one of them; torchrun ends the others
                children = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True)
                target = int((children.stdout.split() or [process.pid])[-1])
            if process.poll() is None:
                subprocess.run(["kill", f"-{int(shot[1])}", str(target)])
        return process.wait()


def metrics_size(folder: Path) -> int:
    path = folder / "metrics.jsonl"
    return path.stat().st_size if path.exists() else 0


def curves(folder: Path) -> list[dict]:
    """Lines of metrics.jsonl without the speed and without incomplete lines."""
    lines = []
    for line in (folder / "metrics.jsonl").read_text().splitlines() if metrics_size(folder) else []:
        try:
            lines.append({k: v for k, v in json.loads(line).items() if k != "train/steps_per_second"})
        except ValueError:
            continue
    return lines


def last_step(folder: Path) -> int:
    return max((line["step"] for line in curves(folder)), default=0)


def saved_step(folder: Path) -> int:
    return native.load_trainer(folder)["step"] if native.has_trainer(folder) else 0


def compare(first: Path, second: Path) -> list[str]:
    """Names of the differences between two finished runs."""
    differ = unequal("", *(native.load_trainer(folder) for folder in (first, second)))
    return differ + (["metrics.jsonl"] if curves(first) != curves(second) else [])


def unequal(name: str, a: object, b: object) -> list[str]:
    if isinstance(a, dict) and isinstance(b, dict) and a.keys() == b.keys():
        return [path for key in a for path in unequal(f"{name}.{key}", a[key], b[key])]
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return [path for i, pair in enumerate(zip(a, b, strict=True)) for path in unequal(f"{name}.{i}", *pair)]
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        return [] if torch.equal(a, b) else [name]
    return [] if a == b else [name]


if __name__ == "__main__":
    with reported():
        main()
