"""Comparison of variants of a recipe, each trained for the same time.

python recipes/compare.py recipes/prompts/ablation.yaml -o runs/ablation [--at-once 2] [data.train=... ...]

A study (YAML) has minutes, a recipe and variants, each a list of overrides. The variants' steps are timed in turns on
this machine, which should be idle otherwise; each variant then trains for as many steps as fit into the minutes, with a
learning-rate schedule that ends there. With --at-once 2, two trainings share the machine, one thread each: their steps
take longer, but their number and the result are the same. The same command continues after an interrupt, also with
variants added to the study.

Writes a table of the last validation, and a picture of PESQ over minutes; the minutes are steps at the measured speed,
without validations.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
import threading
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor, as_completed
from pathlib import Path
from typing import Any

import torch
from pydantic import Field

from wavegan import load_recipe
from wavegan.checkpoints import native
from wavegan.core import config
from wavegan.core.config import Config
from wavegan.core.errors import UserError, reported
from wavegan.core.files import make_folder, write_atomically, write_json
from wavegan.metrics import require
from wavegan.training import runs
from wavegan.training.trainer import Trainer

ROUNDS, WARM_UP_ROUNDS = 5, 1
VALIDATIONS = 8
COLUMNS = {"pesq": "PESQ", "estoi": "ESTOI", "mel_l1": "mel L1", "multi_resolution_stft": "multi-resolution STFT"}


class Study(Config):
    """``minutes``: for each variant; ``recipe``: relative to the study; ``changes``: overrides of all variants."""

    minutes: float = Field(gt=0)
    recipe: str
    changes: list[str] = []
    variants: dict[str, list[str]] = Field(min_length=1)


def measure(commands: dict[str, list[str]]) -> dict[str, dict[str, Any]]:
    """Parameters of each variant, and its phases: share of the steps, and seconds per step as a median of rounds."""
    torch.set_flush_denormal(True)
    with tempfile.TemporaryDirectory() as folder:
        trainers = {}
        for name, (recipe, *overrides) in commands.items():
            trainers[name] = Trainer(load_recipe(recipe, overrides), Path(folder) / name)
            trainers[name].game.watch.running = False
        seconds: dict[str, dict[str, list[float]]] = {name: {} for name in trainers}
        for i in range(WARM_UP_ROUNDS + ROUNDS):
            for name, trainer in trainers.items():
                for phase, first, _ in runs.phases(trainer):
                    step = first + i * (trainer.config.critic_steps + 1)
                    seconds[name].setdefault(phase, []).append(runs.time_step(trainer, step))
        speeds = {}
        for name, trainer in trainers.items():
            medians = {phase: statistics.median(times[WARM_UP_ROUNDS:]) for phase, times in seconds[name].items()}
            steps = trainer.config.max_steps
            phases = [[count / steps, medians[phase]] for phase, _, count in runs.phases(trainer)]
            speeds[name] = {"parameters": sum(p.numel() for p in trainer.ema.parameters()), "phases": phases}
        return speeds


def steps_in(minutes: float, speed: dict[str, Any]) -> int:
    """The number of steps that fit."""
    return max(int(minutes / minutes_at(1.0, speed)), VALIDATIONS)


def minutes_at(share: float, speed: dict[str, Any], steps: float = 1.0) -> float:
    """Minutes of the first ``share`` of ``steps`` steps."""
    total, begin = 0.0, 0.0
    for length, seconds in speed["phases"]:
        total += min(max(share - begin, 0.0), length) * seconds
        begin += length
    return steps * total / 60


def train(command: list[str], run: Path, steps: int, threads: int) -> None:
    """Train or continue; the output goes to RUN.log."""
    call = [sys.executable, "-m", "wavegan", "train"]
    if native.has_trainer(run):
        call += ["--resume", str(run)]
    else:
        call += [*command, "--run", str(run), f"trainer.max_steps={steps}"]
        call += [f"trainer.valid_interval={-(-steps // VALIDATIONS)}"]
    with run.with_suffix(".log").open("a") as log:
        environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
        status = subprocess.run(call, stdout=log, stderr=log, env=environment).returncode
    if status:
        raise UserError(f"Training {run} ended with status {status}: see {log.name}. The same command continues.")
    print(f"Trained {run}.", file=sys.stderr)


def train_all(calls: list[tuple], at_once: int) -> None:
    """Call ``train`` with each of these arguments; after a failure or an interrupt, no other training begins."""
    stopped = threading.Event()

    def train_unless_stopped(*arguments: Any) -> None:
        if stopped.is_set():
            return
        try:
            train(*arguments)
        except BaseException:
            stopped.set()  # here: another could begin before the caller is notified
            raise

    pool = ThreadPoolExecutor(at_once)
    try:
        for done in as_completed([pool.submit(train_unless_stopped, *arguments) for arguments in calls]):
            done.result()
    finally:
        stopped.set()
        pool.shutdown(cancel_futures=True)


def read_json(path: Path) -> dict[str, Any]:
    try:
        return json.loads(path.read_bytes())
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}). Remove it, or choose another --output.") from None


def same_study(path: Path, study: dict[str, Any]) -> None:
    """Check that a stored study has the same minutes and recipes, and store the new one, which may add variants."""
    study = json.loads(json.dumps(study))
    before = read_json(path) if path.exists() else study
    known = {name: study["recipes"].get(name) for name in before["recipes"]}
    if study["minutes"] != before["minutes"] or known != before["recipes"]:
        raise UserError(f"{path} is of another study: minutes, variants or recipes differ. Choose another --output.")
    write_json(path, study)


def curve(run: Path, metric: str) -> list[tuple[int, float]]:
    """(step, value) of each validation."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [(row["step"], row[key]) for row in rows if (key := f"valid/{metric}") in row]


def table(output: Path, speeds: dict[str, dict[str, Any]], minutes: float) -> str:
    """The last validation of each variant, in Markdown."""
    lines = [f"{minutes:g} minutes each, last validation:", ""]
    lines += ["| | parameters | steps | " + " | ".join(COLUMNS.values()) + " |", "|---" * (3 + len(COLUMNS)) + "|"]
    for name, speed in speeds.items():
        scores = [f"{curve(output / name, metric)[-1][1]:.3f}" for metric in COLUMNS]
        steps = curve(output / name, "pesq")[-1][0]
        lines.append(f"| {name} | {speed['parameters']:,} | {steps:,} | " + " | ".join(scores) + " |")
    return "\n".join(lines)


def draw(output: Path, speeds: dict[str, dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.add_subplot(xlabel="minutes of training", ylabel="PESQ, validation")
    for name, speed in speeds.items():
        points = curve(output / name, "pesq")
        last = points[-1][0]
        minutes = [minutes_at(step / last, speed, last) for step, _ in points]
        axes.plot(minutes, [score for _, score in points], marker=".", label=name)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(output / "pesq.png", dpi=90)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("study", type=Path, help="study (.yaml)")
    parser.add_argument("overrides", nargs="*", help="overrides of every variant")
    parser.add_argument("-o", "--output", type=Path, required=True, help="folder of the runs, table and picture")
    parser.add_argument("--at-once", type=int, default=1, help="parallel trainings that share the cores (default: 1)")
    options = parser.parse_intermixed_args()
    require("pesq")
    if options.at_once < 1:
        raise UserError(f"--at-once should be 1 or more, got {options.at_once}.")
    study = config.parse(Study, config.read_yaml(options.study), str(options.study))
    recipe = str(options.study.parent / study.recipe)
    common = [*study.changes, *options.overrides]
    commands = {name: [recipe, *common, *changes] for name, changes in study.variants.items()}
    make_folder(options.output)
    recipes = {name: load_recipe(path, changes).model_dump(mode="json") for name, (path, *changes) in commands.items()}
    same_study(options.output / "study.json", {"minutes": study.minutes, "recipes": recipes})
    measured = options.output / "speeds.json"
    speeds = read_json(measured) if measured.exists() else {}
    if missing := {name: command for name, command in commands.items() if name not in speeds}:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:  # which frees its memory
            speeds |= pool.submit(measure, missing).result()
        write_json(measured, speeds)
    threads = max(1, torch.get_num_threads() // options.at_once)
    calls = [(commands[n], options.output / n, steps_in(study.minutes, speeds[n]), threads) for n in commands]
    train_all(calls, options.at_once)
    shown = table(options.output, speeds, study.minutes)
    write_atomically(options.output / "table.md", f"{shown}\n".encode())
    draw(options.output, speeds)
    print(shown)


if __name__ == "__main__":
    with reported():
        main()
