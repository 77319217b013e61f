"""Training in several real processes: torchrun, gloo, sockets on this machine."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from tests.conftest import free_port
from tests.test_trainer import assert_same_run
from wavegan.checkpoints import native
from wavegan.training import distributed
from wavegan.training.runs import resume_run, start_run

pytestmark = pytest.mark.usefixtures("forks")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "OMP_WAIT_POLICY": "passive"}


def torchrun(processes: int, *arguments: object, restarts: int = 0) -> subprocess.Popen:
    """`wavegan train ARGUMENTS` in several processes, started."""
    command = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", processes, "--max-restarts", restarts]
    # torchrun takes --run for an abbreviation of one of its own options: -o is the same.
    command += ["--master-port", free_port(), "-m", "wavegan", "train", *arguments]
    return subprocess.Popen(
        [str(part) for part in command], env=ENVIRONMENT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


def finish(process: subprocess.Popen) -> tuple[int, str]:
    output, _ = process.communicate(timeout=480)
    return process.returncode, output


def difference(one: Path, other: Path) -> float:
    """The largest difference of weights, and of what the optimizers remember of the gradients."""
    first, second = native.load_trainer(one), native.load_trainer(other)
    assert first["step"] == second["step"]
    pairs = [
        (tensor, second[part][name])
        for part in ("generator", "ema", "discriminators")
        for name, tensor in first[part].items()
    ]
    for part in ("optimizers_g", "optimizers_d"):
        for a, b in zip(first[part], second[part], strict=True):
            pairs += [(a["state"][i]["exp_avg"], b["state"][i]["exp_avg"]) for i in a["state"]]
    return max(float((a - b).abs().max()) for a, b in pairs)


# Without logarithms of silence and phases that wrap: Adam makes a whole step of the rounding error of a tiny gradient.
SMOOTH = ["objective.weights={mel: 0, complex_stft: 1, feature_matching: 0}", "objective.adversarial=least_squares"]
STEPS = ["trainer.max_steps=20", "trainer.critic_steps=0", "trainer.learning_rate=1e-4", "data.global_batch_size=8"]
STEPS += SMOOTH


def test_two_and_four_processes_and_accumulation_train_as_one_does(recipe_file, tmp_path):
    start_run(recipe_file, STEPS, tmp_path / "one").train()
    start_run(recipe_file, [*STEPS, "trainer.accumulate=4"], tmp_path / "passes").train()
    for count in (2, 4):
        status, output = finish(torchrun(count, recipe_file, *STEPS, "-o", tmp_path / str(count)))
        assert status == 0, output
        assert output.count("Trained 20 steps") == 1
    for name in ("passes", "2", "4"):
        assert difference(tmp_path / "one", tmp_path / name) < 1e-5, name
    ours, theirs = ((tmp_path / name / "metrics.jsonl").read_text().splitlines() for name in ("one", "2"))
    assert len(ours) == len(theirs)


def test_sigterm_of_two_processes_saves_and_resumes_exactly(recipe_file, tmp_path):
    steps = ["trainer.max_steps=30", "trainer.log_interval=1"]
    status, output = finish(torchrun(2, recipe_file, *steps, "-o", tmp_path / "whole"))
    assert status == 0, output
    process = torchrun(2, recipe_file, *steps, "-o", tmp_path / "parts")
    wait_for_step(tmp_path / "parts", 5)
    process.send_signal(signal.SIGTERM)
    finish(process)
    assert 5 <= native.load_trainer(tmp_path / "parts")["step"] < 30
    status, output = finish(torchrun(2, "--resume", tmp_path / "parts"))
    assert status == 0, output
    assert_same_run(tmp_path / "whole", tmp_path / "parts")


def wait_for_step(folder: Path, step: int) -> None:
    end = time.monotonic() + 120
    while time.monotonic() < end:
        path = folder / "metrics.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        if lines and lines[-1].endswith("}") and json.loads(lines[-1])["step"] >= step:
            return
        time.sleep(0.02)
    raise AssertionError(f"step {step} was not reached")


def workers(process: subprocess.Popen) -> list[int]:
    found = subprocess.run(["pgrep", "-P", str(process.pid)], capture_output=True, text=True).stdout
    return [int(pid) for pid in found.split()]


LONG = ["trainer.max_steps=150", "trainer.checkpoint_interval=5", "trainer.log_interval=1", "trainer.num_samples=0"]


def test_a_killed_process_ends_the_job_and_another_number_goes_on(recipe_file, tmp_path):
    process = torchrun(2, recipe_file, *LONG, "-o", tmp_path / "run")
    wait_for_step(tmp_path / "run", 12)
    os.kill(workers(process)[-1], signal.SIGKILL)
    status, output = finish(process)
    assert status != 0 and re.search("another process of this training has gone|Signal 9", output), output
    step = native.load_trainer(tmp_path / "run")["step"]
    assert 10 <= step < 150 and step % 5 == 0
    trainer = resume_run(tmp_path / "run", ["trainer.max_steps=151"])  # alone
    assert trainer.step == step
    trainer.train_step()


def test_a_lost_process_is_started_again_and_all_go_on(recipe_file, tmp_path):
    options = ["trainer.max_steps=60", "trainer.checkpoint_interval=5", "trainer.log_interval=1"]
    process = torchrun(2, recipe_file, *options, "trainer.num_samples=0", "-o", tmp_path / "run", restarts=1)
    wait_for_step(tmp_path / "run", 12)
    os.kill(workers(process)[-1], signal.SIGKILL)
    status, output = finish(process)
    assert status == 0, output
    assert output.count("Trained 60 steps") == 1
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "train/learning_rate" in line] == list(range(1, 61))


def test_san_and_the_balancer_train_in_two_processes_as_in_one(recipe_file, tmp_path):
    # Ten steps: dividing by a gradient's own length makes rounding grow faster than without.
    options = [*STEPS, "trainer.max_steps=10", "objective.san=true", "objective.balancer={decay: 0.9}"]
    start_run(recipe_file, options, tmp_path / "one").train()
    status, output = finish(torchrun(2, recipe_file, *options, "-o", tmp_path / "two"))
    assert status == 0, output
    assert difference(tmp_path / "one", tmp_path / "two") < 1e-5
    averages, others = (native.load_trainer(tmp_path / name)["balancer"] for name in ("one", "two"))
    assert averages.keys() == others.keys() == {"complex_stft", "adversarial"}
    assert all(torch.allclose(average, others[name], rtol=1e-4) for name, average in averages.items())


def test_an_unmeasured_metric_ends_all_processes_by_one_sentence(recipe_file, tmp_path):
    options = ["selection={metric: loudness}", "trainer.valid_interval=2", "trainer.num_samples=0"]
    status, output = finish(torchrun(2, recipe_file, *options, "-o", tmp_path / "run"))
    assert status != 0 and "selection.metric 'loudness' is not measured here; there are: " in output, output
    assert "has gone" not in output
    assert output.count("Traceback") == 1 and "ChildFailedError" in output  # torchrun's own


def test_bf16_is_for_the_networks_and_not_for_waveforms_and_losses(recipe_file, tmp_path):
    options = ["trainer.precision=bf16-mixed", "trainer.adversarial_start=0", "trainer.critic_steps=0"]
    trainer = start_run(recipe_file, [*options, "objective.weights.feature_matching=0"], tmp_path / "run")
    several = distributed.new_fabric("cpu", 2, 1)
    given = several.strategy.precision.convert_input(torch.zeros(1))  # what several processes do to waveforms
    assert given.dtype is torch.float32
    assert {name: term.dtype for name, term in trainer.train_step().items() if "adversarial" in name} == {
        "train/d/adversarial": torch.float32,
        "train/g/adversarial": torch.float32,
    }


def test_refusals(recipe_file, tmp_path):
    status, output = finish(torchrun(2, recipe_file, "data.global_batch_size=3", "-o", tmp_path / "run"))
    assert status != 0 and "data.global_batch_size 3 can't be shared by 2 processes" in output
    assert output.count("Traceback") == 1 and "ChildFailedError" in output  # torchrun's own


def test_a_port_in_use_is_one_sentence(recipe_file, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        place = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(taken.getsockname()[1]), "WORLD_SIZE": "2"}
        ranks = {"RANK": "0", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "2"}
        command = [sys.executable, "-m", "wavegan", "train", str(recipe_file), "--run", str(tmp_path / "run")]
        done = subprocess.run(command, env=ENVIRONMENT | place | ranks, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2 and "--master-port" in done.stderr and "Traceback" not in done.stderr
    assert not (tmp_path / "run" / "trainer.pt").exists()


def test_data_does_not_depend_on_the_number_of_parts(recipe_file, tmp_path):
    trainer = start_run(recipe_file, ["data.global_batch_size=8"], tmp_path / "run")
    whole = trainer.segments.batch(3).waveform
    parts = [trainer.segments.batch(3, part, 4).waveform for part in range(4)]
    assert torch.equal(whole, torch.cat(parts))
