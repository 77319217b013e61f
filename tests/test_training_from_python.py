"""The Python interface of training: strings, iteration, callbacks, threads, notebooks; locks; runs that move."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import nbclient
import nbformat
import pytest

from wavegan import Trainer, UserError, load_recipe
from wavegan.data import manifest
from wavegan.training import run_lock
from wavegan.training.run_lock import RunLock

QUIET = ["trainer.num_samples=0"]


def losses(run: Path) -> list[dict]:
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if "per_second" not in k} for line in lines]


@pytest.fixture
def whole(recipe_file, tmp_path) -> list[dict]:
    """The log of a training in one go."""
    assert Trainer(load_recipe(str(recipe_file), QUIET), str(tmp_path / "whole")).train() == 0
    return losses(tmp_path / "whole")


def test_steps_callbacks_and_threads_train_alike(recipe_file, tmp_path, whole):
    numbers = []
    for step in Trainer(load_recipe(recipe_file, QUIET), tmp_path / "steps").steps():
        numbers.append(step.number)
        assert all(value.dim() == 0 for value in step.terms.values())
    assert numbers == list(range(1, 9)) and losses(tmp_path / "steps") == whole

    seen = []
    assert Trainer(load_recipe(recipe_file, QUIET), tmp_path / "callback").train(seen.append) == 0
    assert [step.number for step in seen] == numbers and losses(tmp_path / "callback") == whole

    handlers, inside = signal.getsignal(signal.SIGINT), []
    trainer = Trainer(load_recipe(recipe_file, QUIET), tmp_path / "thread")
    thread = threading.Thread(target=trainer.train, args=[lambda _: inside.append(signal.getsignal(signal.SIGINT))])
    thread.start()
    thread.join()
    assert set(inside) == {handlers} and losses(tmp_path / "thread") == whole


def test_leaving_the_loop_saves_and_resumes_exactly(recipe_file, tmp_path, whole):
    for step in Trainer(load_recipe(recipe_file, QUIET), tmp_path / "left").steps():
        if step.number == 3:
            break
    again = Trainer.resume(str(tmp_path / "left"))
    assert again.step == 3 and again.train() == 0 and losses(tmp_path / "left") == whole

    trainer = Trainer(load_recipe(recipe_file, QUIET), tmp_path / "stopped")
    assert trainer.train(lambda step: trainer.stop() if step.number == 5 else None) == 0 and trainer.step == 5
    assert trainer.train() == 0 and losses(tmp_path / "stopped") == whole


NOTEBOOK = """
import signal
from wavegan import Trainer, load_recipe
before, inside = signal.getsignal(signal.SIGINT), []
trainer = Trainer(load_recipe({recipe!r}, ["trainer.num_samples=0"]), {run!r})
status = trainer.train(lambda step: inside.append(signal.getsignal(signal.SIGINT)))
print("status", status, set(inside) == {{before}})
"""


def test_a_callback_that_raises_leaves_a_run_to_resume(recipe_file, tmp_path, whole):
    def fail(step):
        if step.number == 2:
            raise ValueError("mine")

    with pytest.raises(ValueError, match="mine") as kept:
        Trainer(load_recipe(recipe_file, QUIET), tmp_path / "run").train(fail)
    assert kept.traceback and not (tmp_path / "run" / ".lock").exists()
    assert Trainer.resume(tmp_path / "run").train() == 0 and losses(tmp_path / "run") == whole


def test_a_notebook_shows_progress_and_keeps_its_signal_handlers(recipe_file, tmp_path, whole):
    code = NOTEBOOK.format(recipe=str(recipe_file), run=str(tmp_path / "run"))
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(code)])
    nbclient.NotebookClient(notebook, timeout=300).execute()
    streams = {"stdout": "", "stderr": ""}
    for output in notebook.cells[0].outputs:
        streams[output.name] += output.text
    assert streams["stdout"] == "status 0 True\n"
    assert "8/8" in streams["stderr"] and "\x1b" not in streams["stderr"]
    assert losses(tmp_path / "run") == whole


def test_a_run_is_never_overwritten(recipe_file, tmp_path, whole):
    before = (tmp_path / "whole" / "trainer.pt").read_bytes()
    with pytest.raises(UserError, match="already holds a run. Resume it with --resume"):
        Trainer(load_recipe(recipe_file), tmp_path / "whole")
    first, second = (Trainer(load_recipe(recipe_file, QUIET), tmp_path / "both") for _ in range(2))
    first.train()
    with pytest.raises(UserError, match="has changed since it was loaded"):
        second.train()
    assert (tmp_path / "whole" / "trainer.pt").read_bytes() == before and losses(tmp_path / "both") == whole


def test_a_trainer_never_writes_over_what_another_one_trained(recipe_file, tmp_path):
    first = Trainer(load_recipe(recipe_file, QUIET), tmp_path / "run")
    late = Trainer(load_recipe(recipe_file, [*QUIET, "trainer.seed=5"]), tmp_path / "run")
    first.train(lambda step: first.stop() if step.number == 2 else None)
    behind = Trainer.resume(tmp_path / "run", ["trainer.max_steps=4"])
    Trainer.resume(tmp_path / "run", ["trainer.max_steps=6"]).train()
    written = (tmp_path / "run" / "trainer.pt").read_bytes()
    for action in (late.save, late.train, behind.save, behind.train):
        with pytest.raises(UserError, match="has changed since it was loaded"):
            action()
    assert (tmp_path / "run" / "trainer.pt").read_bytes() == written
    assert Trainer.resume(tmp_path / "run").validate()["valid/mel_l1"] > 0  # also outside of a training


def test_a_lost_lock_stops_the_training_before_it_writes(recipe_file, tmp_path):
    trainer = Trainer(load_recipe(recipe_file, [*QUIET, "trainer.checkpoint_interval=2"]), tmp_path / "run")
    with pytest.raises(UserError, match="was taken over while this process did not respond"):
        trainer.train(lambda step: (tmp_path / "run" / ".lock").unlink() if step.number == 1 else None)
    assert not (tmp_path / "run" / "trainer.pt").exists()


@pytest.mark.usefixtures("forks")
def test_one_process_at_a_time_trains_in_a_folder(recipe_file, tmp_path):
    trainer = Trainer(load_recipe(recipe_file, QUIET), tmp_path / "run")
    steps = trainer.steps()
    next(steps)
    command = [sys.executable, "-m", "wavegan", "train", str(recipe_file), *QUIET, "--run", str(tmp_path / "run")]
    other = subprocess.run(command, capture_output=True, text=True)
    assert other.returncode == 2 and f"is in use: process {os.getpid()} on " in other.stderr
    steps.close()
    assert not (tmp_path / "run" / ".lock").exists()
    assert Trainer.resume(tmp_path / "run").train() == 0


HOLD = "import sys, time; from pathlib import Path; from wavegan.training.run_lock import RunLock\n"
HOLD += "with RunLock(Path(sys.argv[1])): print('locked', flush=True); time.sleep(60)"


def test_the_lock_of_a_killed_process_is_taken_over(tmp_path):
    process = subprocess.Popen([sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True)
    assert process.stdout.readline() == "locked\n"
    with pytest.raises(UserError, match=f"is in use: process {process.pid} on "):
        RunLock(tmp_path).__enter__()
    process.kill()
    process.wait()
    with RunLock(tmp_path):
        assert json.loads((tmp_path / ".lock").read_text())["pid"] == os.getpid()
    assert not list(tmp_path.iterdir())


def test_the_lock_of_another_machine_counts_while_it_is_renewed(tmp_path):
    """No second machine runs here: a file as one would write it, its time as its file server would set it."""
    lock = tmp_path / ".lock"
    lock.write_text(json.dumps({"pid": 1, "host": "elsewhere", "start": "5", "token": "theirs"}))
    with pytest.raises(UserError, match="is in use: process 1 on elsewhere"):
        RunLock(tmp_path).__enter__()
    long_ago = time.time() - 3600
    os.utime(lock, (long_ago, long_ago))
    with RunLock(tmp_path) as ours:
        ours.check()
        lock.write_text(json.dumps({"pid": 2, "host": "elsewhere", "start": "5", "token": "later"}))
        with pytest.raises(UserError, match="was taken over by process 2 on elsewhere"):
            ours.check()
    assert lock.exists()  # it is another process's now


def test_of_many_processes_one_takes_a_stale_lock(tmp_path):
    lock = tmp_path / ".lock"
    for _ in range(20):
        lock.write_text(json.dumps({"pid": 2**22 + 1, "machine": run_lock.machine(), "start": "0", "token": "dead"}))
        barrier, outcomes = threading.Barrier(8), []

        def take(barrier=barrier, outcomes=outcomes):
            barrier.wait()
            try:
                with RunLock(tmp_path):
                    outcomes.append("took")
                    barrier.wait(10)
            except UserError:
                outcomes.append("refused")
                barrier.wait(10)

        threads = [threading.Thread(target=take) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert sorted(outcomes) == ["refused"] * 7 + ["took"]


def test_a_run_moves_with_its_corpus(recipe_file, corpus, tmp_path, whole):
    moved = tmp_path / "elsewhere"
    recipe = load_recipe(recipe_file, QUIET)
    trainer = Trainer(recipe, tmp_path / "run")
    trainer.train(lambda step: trainer.stop() if step.number == 4 else None)
    shutil.copytree(tmp_path / "run", moved / "run")
    shutil.move(corpus, moved / "corpus")
    with pytest.raises(UserError, match="No such manifest"):
        Trainer.resume(moved / "run")
    paths = [f"data.train={moved}/corpus/train.jsonl", f"data.valid={moved}/corpus/valid.jsonl"]
    again = Trainer.resume(moved / "run", paths)
    assert again.train() == 0 and losses(moved / "run") == whole

    utterances = manifest.read(moved / "corpus" / "train.jsonl")
    manifest.write(moved / "absolute.jsonl", utterances)  # the same recordings by other paths
    trainer = Trainer.resume(tmp_path / "run", [f"data.train={moved}/absolute.jsonl", paths[1]])
    assert trainer.train() == 0 and losses(tmp_path / "run") == whole

    manifest.write(moved / "fewer.jsonl", utterances[:3])
    with pytest.raises(UserError, match="fewer.jsonl lists other recordings than when .*run began"):
        Trainer.resume(moved / "run", [f"data.train={moved}/fewer.jsonl", paths[1]])


def test_relative_paths_are_found_beside_the_recipe_the_run_and_in_the_working_folder(
    recipe_file, corpus, tmp_path, monkeypatch
):
    text = recipe_file.read_text().replace(f"{corpus}/", "clips/")
    (tmp_path / "project").mkdir()
    (tmp_path / "project" / "toy.yaml").write_text(text)
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    with pytest.raises(UserError) as refused:
        Trainer(load_recipe("../project/toy.yaml"), "../runs/a")
    places = ("beside the recipe (../project)", "beside the run (../runs)", f"in the working folder ({tmp_path}/empty)")
    assert all(place in str(refused.value) for place in places), refused.value
    shutil.copytree(corpus, tmp_path / "project" / "clips")
    assert Trainer(load_recipe("../project/toy.yaml"), "../runs/a").recipe.data.train.parts[-3:] == (
        *("project", "clips", "train.jsonl"),
    )
    shutil.move(tmp_path / "project" / "clips", tmp_path / "runs" / "clips")
    assert Trainer(load_recipe("../project/toy.yaml"), "../runs/a").recipe.data.train.parts[-3] == "runs"
    shutil.move(tmp_path / "runs" / "clips", tmp_path / "empty" / "clips")
    assert str(Trainer(load_recipe("../project/toy.yaml"), "../runs/a").recipe.data.train) == "clips/train.jsonl"
