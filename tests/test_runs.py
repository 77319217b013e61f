"""Runs begun from others, tried dry, kept by score, resumed from a damaged file."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import time
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from torch import nn

from tests.test_trainer import assert_resumes_exactly, assert_same_run, weights
from wavegan import Synthesizer, UserError, audio, load_recipe
from wavegan.audio.log_mel import LogMel
from wavegan.checkpoints import native
from wavegan.data import manifest
from wavegan.losses.penalties import ExactPenalty, FiniteDifferencePenalty
from wavegan.tasks.base import Validation
from wavegan.training import distributed
from wavegan.training.best_checkpoints import Selection, SelectionConfig
from wavegan.training.monitor import Advice
from wavegan.training.profiling import Stopwatch
from wavegan.training.runs import dry_run, pack, phases, resume_run, start_run
from wavegan.training.warm_start import load_folded

ROOT = Path(__file__).parent.parent
SHORT = ["trainer.max_steps=4", "trainer.num_samples=0"]


def test_fine_tuning_begins_with_the_weights_and_a_fresh_schedule(recipe_file, tmp_path):
    start_run(recipe_file, SHORT, tmp_path / "first").train()
    trainer = start_run(
        recipe_file, [*SHORT, "trainer.warmup_steps=7"], tmp_path / "tuned", finetune=tmp_path / "first"
    )
    begun = trainer.generator.state_dict()
    assert all(torch.equal(tensor, begun[name]) for name, tensor in weights(tmp_path / "first").items())
    c = trainer.config
    assert trainer.step == 0 and (c.learning_rate, c.warmup_steps) == (pytest.approx(2e-3 / 5), 7)
    assert trainer.train() == 0
    pack(tmp_path / "tuned", tmp_path / "packed")
    assert native.read_config(tmp_path / "packed").recipe["trainer"]["finetune"] == "first"


def test_fine_tuning_unfolds_weight_norm(recipe_file, tmp_path):
    generator = "{name: hifigan, upsample_rates: [8, 4], upsample_kernel_sizes: [16, 8], upsample_initial_channel: 8}"
    options = [*SHORT, f"generator={generator}", "objective.weights={mel: 1}"]
    start_run(recipe_file, options, tmp_path / "first").train()
    trainer = start_run(recipe_file, options, tmp_path / "tuned", finetune=tmp_path / "first")
    x = torch.randn(1, 20, 8)
    expected = native.load_generator(tmp_path / "first")[0](x)
    assert torch.allclose(trainer.generator(x), expected, atol=1e-6)
    with pytest.raises(UserError, match="do not fit"):
        load_folded(trainer.generator, {**weights(tmp_path / "first"), "more": torch.ones(1)}, Path("x"))


def test_fine_tuning_of_another_model_is_refused(recipe_file, tmp_path):
    start_run(recipe_file, SHORT, tmp_path / "first").train()
    for change, message in (
        (
            "task.features={sample_rate: 16000, n_fft: 128, hop_length: 32, n_mels: 24}",
            "n_mels: the recipe has 24, the checkpoint 20",
        ),
        ("generator.dim=8", "another generator than the recipe"),
    ):
        with pytest.raises(UserError, match=message):
            start_run(recipe_file, [*SHORT, change], tmp_path / "tuned", finetune=tmp_path / "first")
    assert not (tmp_path / "tuned").exists()


def test_fine_tuning_can_add_refinements_which_have_no_weights(recipe_file, tmp_path):
    start_run(recipe_file, SHORT, tmp_path / "first").train()
    options = [*SHORT, "generator.refinements=2"]
    trainer = start_run(recipe_file, options, tmp_path / "tuned", finetune=tmp_path / "first")
    assert trainer.generator.config.refinements == 2 and trainer.train() == 0
    assert native.load_generator(tmp_path / "tuned")[0].config.refinements == 2


def test_a_packed_model_can_have_other_refinements(recipe_file, tmp_path):
    start_run(recipe_file, SHORT, tmp_path / "run").train()
    pack(tmp_path / "run", tmp_path / "packed", refinements=3)
    plain, refined = (Synthesizer.from_pretrained(tmp_path / name) for name in ("run", "packed"))
    mel = plain.mel(0.1 * torch.randn(8000))
    assert not np.array_equal(plain.vocode(mel), refined.vocode(mel))
    later = 3 * 3 * 32 / 16000  # each time three more frames: a window has four hops
    assert refined.look_ahead_seconds == pytest.approx(plain.look_ahead_seconds + later)
    options = [*SHORT, "generator={name: spectral, dim: 8, causal: true}"]
    start_run(recipe_file, options, tmp_path / "causal").train()
    with pytest.raises(UserError, match="refinements look ahead"):
        pack(tmp_path / "causal", tmp_path / "other", refinements=3)
    assert not (tmp_path / "other").exists()


def test_refinements_wait_for_their_step(recipe_file, tmp_path):
    options = ["trainer.max_steps=8", "trainer.adversarial_start=0.75", "generator.refinements=2"]
    trainer = start_run(recipe_file, [*options, "trainer.refinement_start=0.5"], tmp_path / "run")
    names = [(name, first, count) for name, first, count in phases(trainer)]
    assert names == [
        ("reconstruction only", 0, 4),
        ("reconstruction only, 2 refinements", 4, 2),
        ("both players, 2 refinements", 6, 2),
    ]
    seen = []
    for trainer.step in (0, 3, 4, 7):
        trainer.train_step()
        seen.append(trainer.generator.refining)
    assert seen == [False, False, True, True] and trainer.ema.refining
    with pytest.raises(UserError, match="refinement_start is for generators with refinements"):
        start_run(recipe_file, ["trainer.refinement_start=0.5"], tmp_path / "other")


def test_a_frozen_generator_waits_for_the_discriminators(recipe_file, tmp_path):
    options = ["trainer.frozen_steps=3", "trainer.adversarial_start=0", "trainer.critic_steps=0"]
    trainer = start_run(recipe_file, options, tmp_path / "run")
    moved = []
    for trainer.step in range(5):
        parts = [*trainer.generator.parameters()], [*trainer.discriminators.parameters()]
        before = [[p.detach().clone() for p in part] for part in parts]
        trainer.train_step()
        pairs = [list(zip(*pair, strict=True)) for pair in zip(before, parts, strict=True)]
        moved.append([any(not torch.equal(a, b) for a, b in pair) for pair in pairs])
    assert moved == [[step >= 3, True] for step in range(5)]


def test_dry_run_says_what_it_costs_and_leaves_nothing(recipe_file, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    said = dry_run(recipe_file, ["trainer.max_steps=1000"])
    assert sorted(tmp_path.rglob("*")) == before
    for line in (
        "generator: ",
        "reconstruction only: 500 steps at",
        "both players: 500 steps at",
        "memory: ",
        "time: ",
    ):
        assert line in said
    with pytest.raises(UserError, match="No such manifest"):
        dry_run(recipe_file, ["data.train=nowhere.jsonl"])


def test_selection_keeps_the_best_and_loses_patience(tmp_path):
    selection = Selection(SelectionConfig(metric="mel_l1", keep=2, patience=2), tmp_path)
    for step, score in ((1, 3.0), (2, 1.0), (3, 2.0)):
        folder = selection.add(step, score)
        assert folder is not None
        folder.mkdir(parents=True)
        selection.prune()
    assert sorted(p.name for p in (tmp_path / "best").iterdir()) == ["step-00000002", "step-00000003"]
    assert selection.add(4, math.nan) is None and not selection.exhausted()
    assert selection.add(5, 2.5) is None and selection.exhausted()
    assert Selection(SelectionConfig(metric="pesq"), tmp_path, {1: 2.0, 2: 3.0}).best() == [2, 1]


def test_a_run_keeps_its_best_stops_early_and_resumes_with_its_scores(recipe_file, tmp_path):
    options = ["trainer.valid_interval=1", "selection={metric: mel_l1, keep: 1, patience: 2}", "trainer.max_steps=8"]
    scores = iter([3.0, 1.0, 2.0, 1.5, 9.0])
    trainer = start_run(recipe_file, options, tmp_path / "run")
    with mock.patch.object(trainer.task, "validate", lambda *_: Validation({"mel_l1": next(scores)}, [])):
        assert trainer.train() == 0
    assert trainer.step == 4 and native.load_trainer(tmp_path / "run")["scores"] == {1: 3.0, 2: 1.0, 3: 2.0, 4: 1.5}
    generator, contents = native.load_generator(tmp_path / "run" / "best" / "step-00000002")
    assert contents.step == 2
    again = resume_run(tmp_path / "run")
    assert again.train() == 0 and again.step == 4
    with pytest.raises(UserError, match="selection.metric 'loudness' is not measured here; there are: mel_l1"):
        start_run(recipe_file, [*options, "selection.metric=loudness"], tmp_path / "other").train()


SELECTING = ["selection={metric: mel_l1, keep: 2}", "trainer.valid_interval=2", "trainer.checkpoint_interval=4"]
SELECTING += ["trainer.num_samples=0"]


def test_a_step_is_saved_once(recipe_file, tmp_path):
    trainer = start_run(recipe_file, SELECTING, tmp_path / "run")
    saved = []
    with mock.patch.object(native, "save_trainer", lambda folder, state: saved.append(state["step"])):
        trainer.train()
    assert saved == [2, 4, 6, 8]


@pytest.mark.parametrize("lost", ["validation", "selection"])
def test_a_run_killed_after_its_checkpoint_catches_up(recipe_file, tmp_path, lost):
    options = [*SELECTING, "trainer.valid_interval=4"]
    start_run(recipe_file, options, tmp_path / "whole").train()
    trainer = start_run(recipe_file, options, tmp_path / "parts")
    place = {"validation": (trainer.task, "validate"), "selection": (trainer.selection, "add")}[lost]
    with mock.patch.object(*place, side_effect=KeyboardInterrupt), pytest.raises(KeyboardInterrupt):
        trainer.train()
    assert native.load_trainer(tmp_path / "parts")["scores"] == {}
    assert resume_run(tmp_path / "parts").train() == 0
    assert_same_run(tmp_path / "whole", tmp_path / "parts")
    names = [sorted(path.name for path in (tmp_path / name / "best").iterdir()) for name in ("whole", "parts")]
    assert names[0] == names[1] == ["step-00000004", "step-00000008"]
    resume_run(tmp_path / "parts", ["trainer.max_steps=9"]).train()  # knows the score that came after the last save
    assert sorted(native.load_trainer(tmp_path / "parts")["scores"]) == [4, 8]


def test_a_restart_goes_on_with_its_own_run_only(recipe_file, tmp_path, monkeypatch):
    start_run(recipe_file, [*SHORT, "trainer.precision=auto"], tmp_path / "run").train()
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert start_run(recipe_file, [*SHORT, "trainer.precision=auto"], tmp_path / "run").step == 4
    with pytest.raises(UserError, match="already holds a run"):
        start_run(recipe_file, [*SHORT, "trainer.seed=1"], tmp_path / "run")


@pytest.mark.parametrize(
    ("restarts", "most", "machines", "expected"),
    [(0, 3, 1, False), (1, 3, 1, True), (0, 0, 2, False), (0, 3, 2, True)],  # a machine counts its own losses only
)
def test_which_starts_may_be_restarts(monkeypatch, restarts, most, machines, expected):
    sizes = {"WORLD_SIZE": 2 * machines, "LOCAL_WORLD_SIZE": 2}
    for name, value in {"RESTART_COUNT": restarts, "MAX_RESTARTS": most}.items():
        monkeypatch.setenv(f"TORCHELASTIC_{name}", str(value))
    for name, value in sizes.items():
        monkeypatch.setenv(name, str(value))
    assert distributed.restarted() == expected


def test_a_damaged_checkpoint_falls_back_to_the_one_before(recipe_file, tmp_path, capsys):
    start_run(recipe_file, ["trainer.checkpoint_interval=3"], tmp_path / "whole").train()
    start_run(recipe_file, ["trainer.checkpoint_interval=3"], tmp_path / "run").train()
    path = tmp_path / "run" / "trainer.pt"
    path.write_bytes(path.read_bytes()[:1000])
    trainer = resume_run(tmp_path / "run")
    said = capsys.readouterr().err
    assert trainer.step == 6 and "damaged or cut short" in said and "Going on from the previous one, step 6" in said
    trainer.train()
    assert_same_run(tmp_path / "whole", tmp_path / "run")


def test_a_full_disk_leaves_the_old_checkpoint(recipe_file, tmp_path):
    trainer = start_run(recipe_file, SHORT, tmp_path / "run")
    trainer.train()
    before = (tmp_path / "run" / "trainer.pt").read_bytes()
    full = mock.patch("os.fsync", side_effect=OSError(28, "No space left on device"))
    with mock.patch.object(native, "save_generator"), full:  # the small files fitted
        with pytest.raises(UserError, match="No space left on device. What was there before is untouched"):
            trainer.save()
    assert (tmp_path / "run" / "trainer.pt").read_bytes() == before
    assert not list((tmp_path / "run").glob(".*partial"))


@pytest.mark.usefixtures("forks")
@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_killed_three_times_ends_as_one_never_stopped(recipe_file, tmp_path, processes):
    steps = ["trainer.max_steps=40", "trainer.checkpoint_interval=4", "trainer.log_interval=1"]
    options = ["--kills", "3", "--processes", str(processes), "-o", str(tmp_path / "soak")]
    command = [sys.executable, "recipes/soak.py", str(recipe_file), *steps, *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr + (tmp_path / "soak" / "log").read_text()[-2000:]
    assert "the same weights and curves, bit for bit" in done.stdout


def test_advice_speaks_when_one_side_wins_or_features_drift():
    advice = Advice()
    said = [s for _ in range(30) for s in advice.look({"train/d/accuracy": 1.0, "train/g/feature_matching": 0.1})]
    assert 1 <= len(said) <= 3 and all("discriminators tell 100% of the pairs apart" in s for s in said)
    advice = Advice()
    assert not [s for _ in range(30) for s in advice.look({"train/d/accuracy": 0.7, "train/g/feature_matching": 0.1})]
    risen = [s for _ in range(30) for s in advice.look({"train/d/accuracy": 0.7, "train/g/feature_matching": 0.3})]
    assert risen and "Feature matching has risen" in risen[0]
    advice = Advice()
    assert "they guess" in [s for _ in range(30) for s in advice.look({"train/d/accuracy": 0.5})][0]


def test_the_stopwatch_names_the_bound():
    watch = Stopwatch(torch.device("cpu"))
    with watch("data"):
        time.sleep(0.02)
    with watch("generator"):
        pass
    assert "data 100%" in watch.report() and not watch.running


class Linear(nn.Module):
    """D(x) = w x: its gradient is w everywhere."""

    def __init__(self, w: torch.Tensor):
        super().__init__()
        self.w = nn.Parameter(w)

    def analyse(self, waveform):
        return waveform.flatten(1)

    def judge(self, x, label=None):
        from wavegan.models.discriminators import DiscriminatorOutput

        return DiscriminatorOutput((x @ self.w)[:, None], [])


def test_exact_and_estimated_penalties_of_a_linear_discriminator_are_its_squared_weights():
    torch.manual_seed(0)
    real, fake = torch.randn(500, 1, 3), torch.randn(500, 1, 3)
    ensemble = nn.Module()
    ensemble.members = nn.ModuleList([Linear(torch.tensor([1.0, 2.0, 2.0]))])
    expected = 2 * 9 * torch.cat([real, fake]).var().item()  # |w|^2 in units of the input's deviation, R1 + R2
    assert ExactPenalty()(ensemble, real, fake, None).item() == pytest.approx(expected, rel=1e-4)
    assert FiniteDifferencePenalty()(ensemble, real, fake, None).item() == pytest.approx(expected, rel=0.15)
    value = ExactPenalty()(ensemble, real, fake, None)
    value.backward()
    assert ensemble.members[0].w.grad.abs().sum() > 0


def test_stopping_in_the_frozen_phase_resumes_exactly(recipe_file, tmp_path):
    options = [
        "trainer.frozen_steps=4",
        "trainer.adversarial_start=0",
        "trainer.accumulate=2",
        "trainer.log_interval=1",
    ]
    assert_resumes_exactly(recipe_file, options, tmp_path, stop=2)


def with_mels(recipe_file: Path, shift: int = 0) -> list[str]:
    """Manifests of the recipe with mels made by the recipe's contract, and the overrides that name them."""
    recipe = load_recipe(recipe_file)
    log_mel, options = LogMel(recipe.task.features), ["data.gain_db=[0, 0]"]
    for part in ("train", "valid"):
        path = getattr(recipe.data, part)
        utterances = []
        for utterance in manifest.read(path):
            mel = log_mel(audio.read(utterance.path)[0][None])[0]
            np.save(path.parent / f"{utterance.id}.npy", mel[:, shift:].numpy())
            utterances.append(utterance.model_copy(update={"mel": path.parent / f"{utterance.id}.npy"}))
        manifest.write(path.with_name(f"{part}-mels.jsonl"), utterances)
        options.append(f"data.{part}={path.with_name(f'{part}-mels.jsonl')}")
    return options


def test_given_mels_are_those_that_would_have_been_made(recipe_file, tmp_path):
    """Of the recordings' own mels, segments are the same as computed ones but at their edges."""
    trainer = start_run(recipe_file, with_mels(recipe_file), tmp_path / "run")
    batch = trainer.segments.batch(0)
    computed = trainer.task.sample_input(batch.waveform)
    assert batch.mel.shape == computed.shape
    inner = slice(2, -2)  # beyond its ends, a segment is reflected where the mel has heard what follows
    assert (batch.mel - computed)[..., inner].abs().max() < 1e-3
    assert trainer.train() == 0


def test_mels_that_are_not_aligned_are_all_reported(recipe_file, tmp_path):
    options = with_mels(recipe_file, shift=3)
    with pytest.raises(UserError, match="4 of 4 recordings can't be used") as caught:
        start_run(recipe_file, options, tmp_path / "run")
    assert str(caught.value).count("not aligned") == 4 and "clip-0.npy has" in str(caught.value)
    with pytest.raises(UserError, match="data.gain_db must be"):
        start_run(recipe_file, [*options, "data.gain_db=[-6, 0]"], tmp_path / "run")


def test_validation_is_also_by_speaker(recipe_file, tmp_path):
    start_run(recipe_file, SHORT, tmp_path / "run").train()
    scores = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    own = [scores["valid/mel_l1/speaker-1"], scores["valid/mel_l1/speaker-2"]]
    assert scores["valid/mel_l1"] == pytest.approx(sum(own) / 2, rel=1e-4)


def test_wandb_offline_has_the_curves(recipe_file, tmp_path, monkeypatch):
    wandb = pytest.importorskip("wandb", reason="the extra 'wandb' isn't installed")
    monkeypatch.setenv("WANDB_MODE", "offline")
    start_run(recipe_file, [*SHORT, "trainer.wandb=test"], tmp_path / "run").train()
    wandb.teardown()  # its own process writes the file, and may still be at it
    (log,) = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    assert b"train/g/mel" in log.read_bytes()
