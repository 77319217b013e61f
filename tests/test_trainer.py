"""The trainer: bit-exact resume, interrupts, divergence, precision, compilation, and that it learns."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from unittest import mock

import pytest
import torch
from safetensors.torch import load_file

from wavegan import UserError, load_recipe
from wavegan.checkpoints import native
from wavegan.training import distributed
from wavegan.training.runs import pack, resume_run, start_run
from wavegan.training.trainer import Trainer


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / native.GENERATOR)


def metrics_without_speed(folder: Path) -> list[dict]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{k: v for k, v in line.items() if k != "train/steps_per_second"} for line in lines]


def assert_same_run(one: Path, other: Path) -> None:
    first, second = native.load_trainer(one), native.load_trainer(other)
    assert first["step"] == second["step"]
    for part in ("generator", "ema", "discriminators"):
        for name, tensor in first[part].items():
            assert torch.equal(tensor, second[part][name]), f"{part}.{name}"
    for name, tensor in weights(one).items():
        assert torch.equal(tensor, weights(other)[name]), name
    assert metrics_without_speed(one) == metrics_without_speed(other)


@pytest.mark.parametrize("stop", [2, 5, 6], ids=["before the discriminators", "after a generator turn", "in mid-game"])
@pytest.mark.parametrize(("muon", "log_interval"), [("null", 1), ("0.02", 2)])
def test_resume_equals_never_having_stopped(recipe_file, tmp_path, stop, muon, log_interval):
    options = [f"trainer.muon_learning_rate={muon}", f"trainer.log_interval={log_interval}"]
    assert_resumes_exactly(recipe_file, options, tmp_path, stop)


def assert_resumes_exactly(recipe_file: Path, options: list[str], folder: Path, stop: int) -> None:
    """Train in ``folder / "whole"``, and in ``folder / "parts"`` with an interrupt after step ``stop``."""
    start_run(recipe_file, options, folder / "whole").train()
    trainer = start_run(recipe_file, options, folder / "parts")
    stop_after(trainer, stop)
    assert trainer.train() == 128 + signal.SIGINT
    assert native.load_trainer(folder / "parts")["step"] == stop
    torch.manual_seed(99)  # nothing is drawn from where the random state happens to be
    assert resume_run(folder / "parts").train() == 0
    assert_same_run(folder / "whole", folder / "parts")


def stop_after(trainer: Trainer, step: int) -> None:
    """Send ourselves a real SIGINT in the middle of a step."""
    whole = trainer.train_step

    def train_step():
        if trainer.step == step - 1:
            os.kill(os.getpid(), signal.SIGINT)
        return whole()

    trainer.train_step = train_step


@pytest.mark.usefixtures("forks")
def test_sigterm_of_another_process_saves_and_resumes(recipe_file, tmp_path):
    run = tmp_path / "run"
    command = [sys.executable, "-m", "wavegan", "train", str(recipe_file), "trainer.max_steps=100000"]
    process = subprocess.Popen([*command, "--run", str(run)], stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 90
    while not ((run / "metrics.jsonl").exists() and len((run / "metrics.jsonl").read_text().splitlines()) > 3):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=60) == 128 + signal.SIGTERM
    step = native.load_trainer(run)["step"]
    assert step >= 3
    again = [sys.executable, "-m", "wavegan", "train", "--resume", str(run), f"trainer.max_steps={step + 2}"]
    assert subprocess.run(again, capture_output=True).returncode == 0
    assert native.load_trainer(run)["step"] == step + 2
    assert not list(run.glob(".*partial"))


def test_a_loss_that_is_not_finite_names_step_and_term_and_keeps_the_checkpoint(recipe_file, tmp_path):
    trainer = start_run(recipe_file, ["trainer.checkpoint_interval=2"], tmp_path / "run")
    terms = trainer.objective.generator

    def broken(*arguments):
        found = terms(*arguments)
        return found | {"phase": found["phase"] * float("nan")} if trainer.step == 3 else found

    trainer.objective.generator = broken
    with pytest.raises(UserError, match="Stopped at step 3: the loss train/g/phase is not finite"):
        trainer.train()
    assert native.load_trainer(tmp_path / "run")["step"] == 2
    assert all(torch.isfinite(t).all() for t in weights(tmp_path / "run").values())


def test_the_mel_distance_falls_on_one_batch(recipe_file, tmp_path):
    trainer = start_run(recipe_file, ["trainer.adversarial_start=1", "trainer.max_steps=150"], tmp_path / "run")
    batch = trainer.segments.batch(0)
    trainer.segments.batch = lambda *_: batch
    first = float(trainer.train_step()["train/g/mel"])
    for _ in range(100):
        trainer._set_learning_rate()
        last = float(trainer.train_step()["train/g/mel"])
        trainer.step += 1
    assert last < 0.5 * first


@pytest.mark.parametrize("adversarial", ["least_squares", "hinge", "relativistic"])
def test_hifigan_with_all_discriminators_trains_on_every_batch(recipe_file, tmp_path, adversarial):
    generator = "{name: hifigan, upsample_rates: [8, 4], upsample_kernel_sizes: [16, 8], upsample_initial_channel: 16}"
    scale = "{name: scale, scales: 2, channels: [16, 16, 16, 16, 16, 16, 16]}"
    overrides = [f"generator={generator}", "trainer.critic_steps=0", "trainer.adversarial_start=0"]
    overrides += [f"discriminators=[{scale}, {{name: period, periods: [2], channels: [4, 8]}}]"]
    overrides += ["objective.weights={mel: 45}", f"objective.adversarial={adversarial}", "trainer.max_steps=3"]
    trainer = start_run(recipe_file, overrides, tmp_path / "run")
    before = {name: p.detach().clone() for name, p in trainer.discriminators.named_parameters()}
    assert trainer.train() == 0
    assert all(not torch.equal(p, before[name]) for name, p in trainer.discriminators.named_parameters())
    line = metrics_without_speed(tmp_path / "run")[0]
    assert {"train/d/adversarial", "train/g/adversarial", "train/g/feature_matching", "train/g/mel"} <= line.keys()
    native.load_generator(tmp_path / "run")


def test_run_folder_holds_curves_samples_and_a_playable_checkpoint(recipe_file, tmp_path):
    run = tmp_path / "run"
    start_run(recipe_file, ["trainer.valid_interval=4", "trainer.num_samples=2"], run).train()
    samples = sorted(p.relative_to(run).as_posix() for p in (run / "samples").rglob("*.*"))
    assert samples == [f"samples/step-0000000{s}/clip-{i}.{x}" for s in (4, 8) for i in (4, 5) for x in ("png", "wav")]
    assert list((run / "tensorboard").glob("events*"))
    lines = metrics_without_speed(run)
    assert [line["step"] for line in lines if "valid/mel_l1" in line] == [4, 8]
    size = pack(run, tmp_path / "packed", half=True)
    assert size < sum(p.stat().st_size for p in (run / "generator.safetensors", run / "config.json"))


def test_players_that_alternate_are_both_logged(recipe_file, tmp_path):
    start_run(recipe_file, ["trainer.log_interval=2"], tmp_path / "run").train()
    last = metrics_without_speed(tmp_path / "run")[-2]
    assert {"train/d/adversarial", "train/g/adversarial", "train/g/feature_matching"} <= last.keys()


def test_schedule_warms_up_and_ends_at_its_floor(recipe_file, tmp_path):
    options = ["trainer.warmup_steps=4", "trainer.max_steps=100", "trainer.muon_learning_rate=0.02"]
    trainer = start_run(recipe_file, options, tmp_path / "run")
    rates = []
    for step in (0, 3, 50, 100):
        trainer.step = step
        trainer._set_learning_rate()
        rates.append([o.param_groups[0]["lr"] for o in trainer.game.players["g"].optimizers])
    adamw, muon = zip(*rates, strict=True)
    assert adamw[0] == pytest.approx(2e-3 / 4) and adamw[1] == pytest.approx(2e-3, rel=1e-2)
    assert adamw[2] == pytest.approx(2e-3 * 0.525) and adamw[3] == pytest.approx(2e-3 * 0.05)
    assert muon == pytest.approx([10 * rate for rate in adamw])


def test_muon_makes_singular_values_equal():
    from wavegan.training.optimizers import orthogonalise

    torch.manual_seed(0)
    for shape in ((3, 8, 20), (2, 20, 8)):
        values = torch.linalg.svdvals(orthogonalise(torch.randn(shape)))
        assert values.min() > 0.6 and values.max() < 1.3


def test_overrides_of_a_resumed_run_take_effect(recipe_file, tmp_path):
    start_run(recipe_file, ["trainer.max_steps=1", "trainer.muon_learning_rate=0.02"], tmp_path / "run").train()
    options = ["trainer.learning_rate=1e-5", "trainer.muon_learning_rate=0.01", "trainer.betas=[0.1, 0.2]"]
    trainer = resume_run(tmp_path / "run", options)
    adamw, muon = (optimizer.param_groups[0] for optimizer in trainer.game.players["g"].optimizers)
    assert adamw["peak_lr"] == 1e-5 and adamw["betas"] == (0.1, 0.2) and muon["peak_lr"] == 0.01


def test_refusals_of_train_and_resume(recipe_file, tmp_path):
    run = tmp_path / "run"
    start_run(recipe_file, ["trainer.max_steps=1"], run).train()
    with pytest.raises(UserError, match="already holds a run"):
        start_run(recipe_file, [], run)
    with pytest.raises(UserError, match="it has no trainer.pt"):
        pack(run, tmp_path / "packed")
        resume_run(tmp_path / "packed")
    for change in ("generator.dim=8", "data.global_batch_size=2", "trainer.seed=1", "objective.adversarial=hinge"):
        if change == "objective.adversarial=hinge":
            resume_run(run, [change])  # as it was
            continue
        with pytest.raises(UserError, match=rf"another run: {change.partition('=')[0]} was .*, now {change[-1]}"):
            resume_run(run, [change])
    data = (run / "trainer.pt").read_bytes()
    (run / "trainer.pt").write_bytes(data[: len(data) // 2])
    with pytest.raises(UserError, match="damaged or cut short"):
        resume_run(run)
    (run / "trainer.pt").write_bytes(b"")
    with pytest.raises(UserError, match="damaged or cut short"):
        resume_run(run)
    torch.save([1], run / "trainer.pt")
    with pytest.raises(UserError, match="it holds a list"):
        resume_run(run)
    with pytest.raises(UserError, match="No such manifest"):
        start_run(recipe_file, ["data.train=nowhere.jsonl"], tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_run_goes_on_with_the_recordings_that_it_began_with(recipe_file, tmp_path):
    trainer = start_run(recipe_file, ["trainer.max_steps=1"], tmp_path / "run")
    trainer.train()
    path = trainer.recipe.data.train
    before = path.read_bytes()
    path.write_bytes(b"\n".join(before.splitlines()[:-1]) + b"\n")
    with pytest.raises(UserError, match="train.jsonl lists other recordings .*--finetune"):
        resume_run(tmp_path / "run", ["trainer.max_steps=2"])
    path.write_bytes(before)
    assert resume_run(tmp_path / "run", ["trainer.max_steps=2"]).train() == 0


def test_recipe_with_another_sample_rate_is_refused(recipe_file, tmp_path):
    with pytest.raises(UserError, match="16000 Hz, the recipe expects 8000 Hz"):
        start_run(recipe_file, ["task.features.sample_rate=8000"], tmp_path / "run")
    assert load_recipe(recipe_file).trainer.adversarial_step == 4


def test_a_vocoder_begins_with_a_part_of_another(recipe_file, tmp_path):
    start_run(recipe_file, ["trainer.max_steps=2"], tmp_path / "first").train()
    options = [f"trainer.initial_weights={{head: {tmp_path / 'first'}}}"]
    trainer = start_run(recipe_file, options, tmp_path / "second")
    head = native.load_generator(tmp_path / "first")[0].head.state_dict()
    assert all(torch.equal(tensor, head[name]) for name, tensor in trainer.generator.head.state_dict().items())
    with pytest.raises(UserError, match="diversity is for generation"):
        start_run(recipe_file, ["objective.weights.diversity=1"], tmp_path / "third")


def test_bf16_reaches_the_layers_of_both_players_in_their_turns(recipe_file, tmp_path):
    options = ["trainer.precision=bf16-mixed", "trainer.adversarial_start=0", "trainer.critic_steps=0"]
    trainer = start_run(recipe_file, options, tmp_path / "run")
    seen = {"generator": [], "discriminators": []}
    for name, found in seen.items():
        for layer, module in getattr(trainer, name).named_modules():
            if layer.endswith("head.out"):
                continue  # amplitudes and phases stay in float32
            if isinstance(module, (torch.nn.Linear, torch.nn.Conv1d, torch.nn.Conv2d)):
                module.register_forward_hook(lambda m, i, output, found=found: found.append(output.dtype))
    logs = trainer.train_step()
    assert all(found and set(found) == {torch.bfloat16} for found in seen.values()), seen
    assert all(torch.isfinite(term) for term in logs.values())


def test_san_and_the_balancer_resume_exactly(recipe_file, tmp_path):
    options = ["objective.san=true", "objective.balancer={decay: 0.9}", "trainer.num_samples=0"]
    assert_resumes_exactly(recipe_file, options, tmp_path, stop=6)
    averages, again = (native.load_trainer(tmp_path / name)["balancer"] for name in ("whole", "parts"))
    assert averages.keys() == again.keys() >= {"mel", "phase", "adversarial", "feature_matching"}
    assert all(torch.equal(average, again[name]) for name, average in averages.items())
    assert any("train/d/direction" in line for line in metrics_without_speed(tmp_path / "whole"))
    with pytest.raises(UserError, match="another run: objective.balancer.decay was 0.9, now 0.5"):
        resume_run(tmp_path / "parts", ["objective.balancer.decay=0.5"])


def test_balanced_terms_pull_by_their_weights(recipe_file, tmp_path):
    """The same gradient of the generator, whatever the size of a loss."""
    found = []
    for scale in (1, 1000):
        options = ["objective.balancer={total_norm: 3}", "trainer.adversarial_start=0", "trainer.critic_steps=0"]
        trainer = start_run(recipe_file, options, tmp_path / str(scale))
        terms = trainer.objective.generator
        trainer.objective.generator = lambda *given, t=terms, s=scale: {k: s * v for k, v in t(*given).items()}
        trainer._update = lambda *_: None
        trainer.train_step()
        found.append(torch.cat([p.grad.flatten() for p in trainer.generator.parameters()]))
    assert found[0].norm() > 0 and torch.allclose(found[0], found[1], rtol=1e-3, atol=1e-5 * float(found[0].norm()))


def test_precision_auto_is_decided_once(recipe_file, tmp_path):
    options = ["trainer.precision=auto", "trainer.max_steps=2"]
    with mock.patch.object(distributed, "quickest_precision", lambda accelerator: "bf16-mixed"):
        trainer = start_run(recipe_file, options, tmp_path / "run")
    assert trainer.config.precision == "bf16-mixed"
    trainer.save()
    assert native.read_config(tmp_path / "run").recipe["trainer"]["precision"] == "bf16-mixed"
    with mock.patch.object(distributed, "quickest_precision", lambda accelerator: "32-true"):  # another machine
        assert resume_run(tmp_path / "run").config.precision == "bf16-mixed"
        assert start_run(recipe_file, options, tmp_path / "other").config.precision == "32-true"


@pytest.mark.parametrize(
    ("accelerator", "cuda", "mps", "cpu", "expected"),
    [
        ("auto", True, False, False, "bf16-mixed"),
        ("auto", False, True, True, "32-true"),
        ("auto", False, False, True, "bf16-mixed"),
        ("cpu", True, True, False, "32-true"),
        ("gpu", None, False, True, "32-true"),  # a GPU that only emulates bfloat16
    ],
)
def test_the_quickest_precision_is_that_of_the_device(monkeypatch, accelerator, cuda, mps, cpu, expected):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda is not False)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: cuda or including_emulation)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)
    monkeypatch.setattr(torch.cpu, "_is_avx512_bf16_supported", lambda: cpu)
    assert distributed.quickest_precision(accelerator) == expected


def test_compiled_networks_learn_the_same_and_resume(recipe_file, tmp_path, monkeypatch):
    """Traced and differentiated by torch.compile, then run as it is: generating C++ would take more than a minute."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="aot_eager"))
    options = ["discriminators=[{name: period, periods: [2], channels: [4, 8]}]", "generator={name: spectral, dim: 8}"]
    options += ["generator.num_blocks=1", "objective.weights={mel: 1}", "trainer.max_steps=3", "trainer.num_samples=0"]
    options += ["trainer.adversarial_start=0", "trainer.critic_steps=0", "trainer.checkpoint_interval=2"]
    start_run(recipe_file, options, tmp_path / "plain").train()
    start_run(recipe_file, [*options, "trainer.compile=true"], tmp_path / "compiled").train()
    plain, compiled = (metrics_without_speed(tmp_path / name) for name in ("plain", "compiled"))
    for ours, expected in zip(compiled, plain, strict=True):
        assert ours == pytest.approx(expected, rel=1e-3, abs=1e-4)
    shutil.copytree(tmp_path / "compiled", tmp_path / "parts")
    shutil.move(tmp_path / "parts" / native.PREVIOUS, tmp_path / "parts" / native.TRAINER)  # of step 2
    trainer = resume_run(tmp_path / "parts")
    assert trainer.step == 2 and trainer.train() == 0
    assert_same_run(tmp_path / "compiled", tmp_path / "parts")
