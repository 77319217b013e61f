"""Bad checkpoints of other projects: each gives one sentence, nothing is run, nothing is written, nothing blows up."""

from __future__ import annotations

import contextlib
import copy
import gzip
import io
import json
import os
import pickle
import re
import resource
import tarfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
import yaml

from tests import foreign, test_interop_vocos, test_parallel_wavegan
from wavegan import UserError
from wavegan.audio import mel_files
from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.checkpoints import hub, native
from wavegan.checkpoints.formats import import_checkpoint, load_foreign
from wavegan.checkpoints.formats.discriminators import read_discriminators
from wavegan.cli import app
from wavegan.models.discriminators import Discriminators, PeriodConfig
from wavegan.tasks.vocoder import VocoderConfig

COUNT = int(os.environ.get("WAVEGAN_FUZZ", "200"))  # mutated checkpoints; WAVEGAN_FUZZ=10000 takes minutes


def refused(path: Path, expected: str, format: str = "auto") -> None:
    output = path.parent / "out"
    with pytest.raises(UserError, match=expected) as caught:
        import_checkpoint(path, output, format)
    assert not output.exists() and len(str(caught.value)) < 1000


@pytest.fixture
def state() -> dict[str, torch.Tensor]:
    return foreign.hifigan(foreign.V1)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"num_mels": 80}, "mel bands 80, but the weights in .*g_00000001 have 10"),
        ({"hop_size": 32}, "4 x 4 = 16, hop_length is 32"),
        ({"upsample_initial_channel": 512}, "upsample_initial_channel 512, .* have 16"),
        ({"upsample_initial_channel": 10**9}, "upsample_initial_channel 1000000000, .* have 16"),
        ({"upsample_rates": [4, 2, 2], "upsample_kernel_sizes": [8, 4, 4]}, "this many stages, 3, .* have 2"),
        ({"upsample_kernel_sizes": [8, 4]}, r"upsample_kernel_sizes \[8, 4\], .* have \[8, 8\]"),
        ({"upsample_kernel_sizes": [8, 7]}, "only an even difference"),
        ({"upsample_rates": [0, 16]}, "upsample_rates.0: .*greater than or equal to 1"),
        ({"resblock": "2"}, "resblock 2, .* have 1"),
        ({"resblock_kernel_sizes": [3, 7]}, r"resblock_kernel_sizes \[3, 7\], .* have \[3, 5\]"),
        ({"resblock_kernel_sizes": [3]}, "residual blocks"),
        ({"resblock_dilation_sizes": [[1], [1]]}, r"lengths of resblock_dilation_sizes \[1, 1\], .* have \[3, 3\]"),
        ({"resblock_dilation_sizes": [[1, 3, 10**9], [1, 2, 3]]}, "resblock_dilation_sizes.0.2"),
        ({"n_fft": 2**30}, "n_fft: .*less than or equal to 8192"),
        ({"sampling_rate": None}, "sampling_rate"),
        ({"fmax": 9000}, "fmax 9000.0 must be above fmin and at most sample_rate / 2"),
    ],
)
def test_settings_that_contradict_the_weights(tmp_path, state, settings, expected):
    refused(foreign.write_hifigan(tmp_path / "a", state, foreign.V1 | settings), expected)


def test_missing_settings_are_named(tmp_path, state):
    folder = foreign.write_hifigan(tmp_path / "a", state, foreign.V1)
    (folder / "config.json").write_text(json.dumps({"resblock": "1"}))
    refused(folder, "(?s)upsample_rates: required, but missing.*resblock_kernel_sizes: required")


def test_missing_left_over_and_ill_fitting_tensors_are_named(tmp_path, state):
    def with_tensors(expected: str, **changes: torch.Tensor | None) -> None:
        changed = {name: tensor for name, tensor in (state | changes).items() if tensor is not None}
        refused(foreign.write_hifigan(tmp_path / "a", changed, foreign.V1), expected)

    with_tensors("missing conv_post.bias", **{"conv_post.bias": None})
    with_tensors("unexpected cond.weight", **{"cond.weight": torch.ones(2)})
    extra = "resblocks.00.convs1.0.bias"
    with_tensors(f"unexpected {extra}", **{extra: state["resblocks.0.convs1.0.bias"]})
    with_tensors(r"conv_post.weight is \(1, 4, 5\), expected \(1, 4, 7\)", **{"conv_post.weight": torch.ones(1, 4, 5)})
    with_tensors("expected ups.1.weight with 3 dimensions, it is missing", **{"ups.1.weight": None})
    with_tensors("not finite: conv_pre.bias", **{"conv_pre.bias": torch.full((16,), torch.nan)})
    trap = {"conv_pre.weight_orig": torch.ones(16, 10, 7), "conv_pre.weight_u": torch.ones(16)}
    with_tensors("conv_pre.weight_orig is part of spectral norm", **trap | {"conv_pre.weight_v": torch.ones(70)})
    half = foreign.spell(state, "weight_g")
    del half["ups.0.weight_v"]
    refused(foreign.write_hifigan(tmp_path / "b", half, foreign.V1), "ups.0.weight_g without its direction")
    half = foreign.spell(state, "parametrizations")
    del half["ups.0.parametrizations.weight.original0"]
    refused(foreign.write_hifigan(tmp_path / "b", half, foreign.V1), "but not ups.0.parametrizations.weight.original0")
    half["ups.0.parametrizations.weight.original0"] = torch.ones(3)
    refused(foreign.write_hifigan(tmp_path / "b", half, foreign.V1), "don't belong together")


def test_files_that_are_not_there_or_not_what_they_should_be(tmp_path, state):
    folder = foreign.write_hifigan(tmp_path / "a", state, foreign.V1)
    refused(tmp_path / "nowhere", "No such file or folder")
    refused(tmp_path / ("x" * 300), "No such file or folder")
    refused(folder, "No such format: 'hifi'. There are: auto, bigvgan", format="hifi")
    refused(folder, "n_fft|backbone|feature_extractor", format="vocos")
    (folder / "g_other").write_bytes(b"x")
    refused(folder, "should hold one file of weights, found g_00000001, g_other")
    refused(folder / "g_other", "is not a weights file that can be loaded safely")
    torch.save({"mpd": {}, "msd": {}, "steps": 1}, folder / "do_1")
    refused(folder / "do_1", "holds no generator's weights")
    torch.save({"generator": {"a.weight": torch.ones(1)}}, folder / "other.pt")
    refused(folder / "other.pt", "has none of the formats .*: it has tensors such as a.weight")
    for text, expected in (
        ("{", "config.json is not JSON"),
        ("[1]", "should hold a mapping, found list"),
        ("[" * 100_000, "is not JSON"),
        ("1" * 10_000, "is not JSON"),
        ('{"a": "' + '\\"' * 300_000, "is not JSON"),  # its comments are looked for once, not from each quote on
        (" " * 2_000_000, "expected at most 1048576"),
        ('{"format_version": 1, "wavegan_version": "0.1"}', "is already a checkpoint of wavegan"),
    ):
        (folder / "config.json").write_text(text)
        refused(folder / "g_00000001", expected)
    (folder / "config.json").unlink()
    refused(folder / "g_00000001", "has no config.json or config.yaml beside the weights")
    (tmp_path / "empty").mkdir()
    refused(tmp_path / "empty", "should hold one file of weights, found none: it is not a checkpoint")


def test_another_projects_settings_are_not_overwritten(tmp_path, state):
    folder = foreign.write_hifigan(tmp_path / "a", state, foreign.V1)
    before = (folder / "config.json").read_text()
    for path in (folder, folder / "g_00000001"):
        with pytest.raises(UserError, match="holds another project's files. Give another folder"):
            import_checkpoint(path, folder)
    assert (folder / "config.json").read_text() == before
    for _ in range(2):  # over a checkpoint of ours
        import_checkpoint(folder, tmp_path / "out")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a: !!python/object/apply:os.system ['touch /tmp/wavegan-evil']", "is not safe YAML .*python/object/apply"),
        ("a: !!python/name:os.system", "is not safe YAML .*python/name"),
        ("a: &a {x: 1}\nb: {<<: *a}", "is not safe YAML"),
        ("[" * 1500, "is not safe YAML"),
        ("a: !!timestamp 2024-13-45", "is not safe YAML"),
        ("a: !!timestamp x", "is not safe YAML"),
        ("a: !!bool x", "is not safe YAML"),
        ("a: !!int ''", "is not safe YAML"),
        ("a: " + "1:" * 400 + "1.5", "is not safe YAML"),
        ("a: 0x" + "F" * 5000, "is not safe YAML .an integer of more than 100 digits"),
    ],
)
def test_yaml_from_strangers(tmp_path, text, expected):
    folder = test_interop_vocos.write(tmp_path / "a", test_interop_vocos.weights(), {})
    (folder / "config.yaml").write_text(text)
    refused(folder, expected)
    assert not Path("/tmp/wavegan-evil").exists()


def test_yaml_tuples_are_lists(tmp_path):
    folder = test_interop_vocos.write(tmp_path, test_interop_vocos.weights(), {})
    text = yaml.safe_dump(test_interop_vocos.settings("same")) + "\nextra: !!python/tuple [1, 2]\n"
    (folder / "config.yaml").write_text(text)
    load_foreign(folder)


class Odd:
    pass


class Evil:
    def __reduce__(self):
        return (Path("/tmp/wavegan-evil").touch, ())


def test_weights_that_run_code_or_claim_what_they_do_not_hold(tmp_path, state):
    folder = foreign.write_hifigan(tmp_path / "a", state, foreign.V1)

    def with_state(value: Any, expected: str) -> None:
        torch.save(value, folder / "g_00000001")
        refused(folder, expected)

    with_state({"generator": Evil()}, "safely")
    (folder / "g_00000001").write_bytes(pickle.dumps({"generator": Evil()}, protocol=2))
    refused(folder, "safely")
    assert not Path("/tmp/wavegan-evil").exists()
    object_ = r"loaded safely \(it holds a Python object, tests.test_interop_refusals.Odd, besides tensors\)\."
    with_state({"generator": state, "more": Odd()}, object_)
    huge = torch.ones(1).expand(10**6, 10**6)  # four bytes that claim to be four terabytes
    with_state({"generator": state | {"conv_pre.weight": huge}}, "its tensors would take more")
    shared = torch.ones(10**4)
    with_state({"generator": state | {f"x.{i}": shared for i in range(100)}}, "its tensors would take more")
    with_state({"generator": state | {"x": torch.eye(3).to_sparse()}}, "a tensor of another kind")
    with_state({"generator": state | {"x": torch.ones(3, dtype=torch.complex64)}}, "a tensor of another kind")
    with_state({"generator": {3: torch.ones(1)}}, "holds no generator's weights")
    cycle: dict = {}
    cycle["model"] = cycle
    with_state(cycle, "holds no generator's weights")
    torch.save({"generator": state}, folder / "g_00000001")
    with zipfile.ZipFile(folder / "g_00000001") as source:
        records = {info.filename: source.read(info) for info in source.infolist()}
    with zipfile.ZipFile(folder / "g_00000001", "w", zipfile.ZIP_DEFLATED) as target:
        for name, data in records.items():
            target.writestr(name, data)
    refused(folder, "compressed")


def test_archives_from_strangers(tmp_path, state):
    theirs = {f"generator.{name}": tensor for name, tensor in state.items()}
    path = foreign.write_archive(tmp_path / "a.nemo", foreign.nemo_settings(foreign.V1), theirs)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    refused(path, "is an archive that can't be read|is not a weights file")
    with tarfile.open(path, "w:gz") as archive:
        info = tarfile.TarInfo("../../evil.txt")
        info.size = 2**26
        archive.addfile(info, io.BytesIO(bytes(2**26)))
    refused(path, "unpacks to far more than its own size")
    info.name, info.type = "header", tarfile.XHDTYPE  # which tarfile reads whole
    with gzip.open(path, "wb") as file:
        file.write(info.tobuf() + bytes(2**26))
    refused(path, "unpacks to far more than its own size")


def test_nemo_mels_that_we_cannot_make(tmp_path, state):
    def with_preprocessor(expected: str, **changes: Any) -> None:
        theirs = {f"generator.{name}": tensor for name, tensor in state.items()}
        theirs["audio_to_melspec_precessor.window"] = torch.hann_window(64, periodic=False)
        settings = foreign.nemo_settings(foreign.V1)
        settings["preprocessor"] |= changes
        refused(foreign.write_archive(tmp_path / "a.nemo", settings, theirs), expected)

    with_preprocessor("log_zero_guard_type is 'add'; only 'clamp' is supported", log_zero_guard_type="add")
    with_preprocessor("normalize is 'per_feature'; only None", normalize="per_feature")
    with_preprocessor("preemph 0.97", preemph=0.97)
    with_preprocessor("window is 'hamming'", window="hamming")
    with_preprocessor("window differs from that of its settings", n_window_size=60)
    with_preprocessor("power", mag_power=1.5)
    with_preprocessor("stft_conv is True; only False", stft_conv=True)
    with_preprocessor("its preprocessor is 'os.system'", _target_="os.system")


def test_coqui_mels_that_we_cannot_make(tmp_path, state):
    def with_audio(expected: str, **changes: Any) -> None:
        folder = tmp_path / "a"
        folder.mkdir(exist_ok=True)
        torch.save({"model": state}, folder / "model_file.pth")
        (folder / "config.json").write_text(json.dumps(foreign.coqui_settings(foreign.V1, **changes)))
        refused(folder, expected)

    with_audio("scale_stats.npy, a pickle", signal_norm=True, stats_path="scale_stats.npy")
    with_audio("preemphasis", preemphasis=0.97)
    with_audio("preemphasis, or mels without a logarithm", do_amp_to_db_mel=False)
    with_audio("log_func", log_func="np.log2")
    with_audio("min_level_db 0; it should be below 0", signal_norm=True, min_level_db=0)


def test_discriminators_of_other_sizes(tmp_path):
    torch.save({"mpd": {"discriminators.0.convs.0.weight_g": torch.ones(32, 1, 1, 1)}, "msd": {}}, tmp_path / "do_1")
    task = VocoderConfig(features={"sample_rate": 16000, "n_fft": 64, "hop_length": 16, "n_mels": 10})
    with pytest.raises(UserError, match="missing conv_post.bias"):
        read_discriminators(tmp_path / "do_1", Discriminators([PeriodConfig(periods=[2])], task))
    with pytest.raises(UserError, match="none of the recipe's discriminators"):
        read_discriminators(tmp_path / "do_1", Discriminators([PeriodConfig(periods=[4])], task))


# Mutated files. A seed says what is done to which checkpoint, so that a failure can be repeated.

NASTY = (10**9, 2**63, -1, 0, 1, 3, 1e308, 2.5, None, True, "x", "", [], {}, [[]], [1] * 1000, [[1, 3, 5]] * 1000)


def templates(folder: Path) -> list[Path]:
    """One small valid checkpoint of each format, and of ours."""
    state = foreign.hifigan(foreign.V1)
    made = [foreign.write_hifigan(folder / "hifigan", foreign.spell(state, "weight_g"), foreign.V1)]
    settings = foreign.V3 | {"activation": "snakebeta", "snake_logscale": True}
    made.append(foreign.write_hifigan(folder / "bigvgan", foreign.bigvgan(settings), settings))
    made.append(foreign.write_hifigan(folder / "old", {}, foreign.V1))
    torch.save({"generator": state}, made[-1] / "g_00000001", _use_new_zipfile_serialization=False)
    made.append(test_interop_vocos.write(folder / "vocos", test_interop_vocos.weights(), vocos := {}))
    vocos |= test_interop_vocos.settings("center")
    (made[-1] / "config.yaml").write_text(yaml.safe_dump(vocos))
    for name in ("nemo", "speechbrain", "coqui", "speecht5"):
        made.append(folder / name)
        made[-1].mkdir()
    nemo, speechbrain, coqui, speecht5 = made[-4:]
    inner = {f"generator.{name}": tensor for name, tensor in state.items()}
    foreign.write_archive(nemo / "a.nemo", foreign.nemo_settings(foreign.V1), inner)
    (speechbrain / "hyperparams.yaml").write_text(foreign.speechbrain_settings(foreign.V1))
    renamed = {re.sub(r"\.(weight|bias)", r".conv.\1", name): tensor for name, tensor in state.items()}
    torch.save(renamed, speechbrain / "generator.ckpt")
    (coqui / "config.json").write_text(json.dumps(foreign.coqui_settings(foreign.V1, signal_norm=True)))
    torch.save({"model": state}, coqui / "model_file.pth")
    settings = foreign.V1 | {"upsample_rates": [16, 16], "upsample_kernel_sizes": [32, 32]}
    (speecht5 / "config.json").write_text(json.dumps(foreign.speecht5_settings(settings)))
    theirs = {name.replace("ups.", "upsampler."): tensor for name, tensor in foreign.hifigan(settings).items()}
    safetensors.torch.save_file(theirs | {"mean": torch.zeros(10), "scale": torch.ones(10)}, speecht5 / "m.safetensors")
    package = test_parallel_wavegan
    for name, (weights, settings) in {
        "pwg-hifigan": package.hifigan_weights("weight_g and weight_v", [5, 3], True),
        "pwg-melgan": package.melgan_weights("fused", [3, 2], bands=4),
        "pwg-wavenet": package.wavenet_weights("parametrizations", [4, 3], 2),
    }.items():
        made.append(package.write(folder / name, weights, settings))
    for theirs in (made[0], made[3]):
        import_checkpoint(theirs, folder / f"our-{theirs.name}")
        made.append(folder / f"our-{theirs.name}")
    return made


def mutate_bytes(data: bytes, random: np.random.Generator) -> bytes:
    changed, kind = bytearray(data), random.integers(4)
    at = int(random.integers(len(changed))) if random.random() < 0.5 else int(random.integers(min(len(changed), 2000)))
    if kind == 0:
        for place in (at, *random.integers(len(changed), size=random.integers(8))):
            changed[int(place)] = int(random.integers(256))
    elif kind == 1:
        del changed[at:]
    elif kind == 2:
        del changed[at : at + int(random.integers(1, 200))]
    else:
        changed[at:at] = bytes(random.integers(256, size=int(random.integers(1, 200)), dtype=np.uint8))
    return bytes(changed)


def mutate_value(value: Any, random: np.random.Generator) -> Any:
    """A copy in which one place, at any depth, is dropped or replaced."""
    if isinstance(value, dict) and value and random.random() < 0.9:
        key = list(value)[int(random.integers(len(value)))]
        if random.random() < 0.15:
            return {k: v for k, v in value.items() if k != key}
        return value | {key: mutate_value(value[key], random)}
    if isinstance(value, list) and value and random.random() < 0.6:
        at = int(random.integers(len(value)))
        return [mutate_value(item, random) if i == at else item for i, item in enumerate(value)]
    return copy.deepcopy(NASTY[int(random.integers(len(NASTY)))])


def mutate_tensors(state: Any, random: np.random.Generator) -> Any:
    """A state with one tensor dropped, renamed, or of another shape, type or value."""
    if any(isinstance(state.get(key), dict) for key in ("generator", "model")):
        key = "generator" if "generator" in state else "model"
        return state | {key: mutate_tensors(state[key], random)}
    name = list(state)[int(random.integers(len(state)))]
    tensor, rest = state[name], {k: v for k, v in state.items() if k != name}
    changes: list[Callable[[], dict]] = [
        lambda: rest,
        lambda: rest | {name + "x": tensor},
        lambda: rest | {name: tensor.half()},
        lambda: rest | {name: tensor.int()},
        lambda: rest | {name: tensor * torch.nan},
        lambda: rest | {name: tensor[..., :1].clone()},
        lambda: rest | {name: tensor[:0].clone()},
        lambda: rest | {name: tensor.unsqueeze(0)},
        lambda: rest | {name: torch.zeros(())},
        lambda: rest | {name: torch.zeros(1).expand(10**5, 10**5)},
        lambda: rest | {name: "x"},
        lambda: rest | {name: tensor, name.replace("weight", "weight_v"): tensor},
    ]
    return changes[int(random.integers(len(changes)))]()


def mutated(template: Path, target: Path, random: np.random.Generator) -> Path:
    target.mkdir(exist_ok=True)
    for old in target.iterdir():
        old.unlink()
    files = {path.name: path.read_bytes() for path in sorted(template.iterdir())}
    name = list(files)[int(random.integers(len(files)))]
    way = random.random()
    if way < 0.4:
        files[name] = mutate_bytes(files[name], random)
    elif name.endswith((".json", ".yaml", ".yml")):
        data = yaml.load(files[name], yaml.BaseLoader) if b" !" in files[name] else yaml.safe_load(files[name])
        files[name] = json.dumps(mutate_value(data, random)).encode()
    elif not name.endswith((".nemo", ".safetensors", ".npy")):
        buffer = io.BytesIO()
        torch.save(mutate_tensors(torch.load(io.BytesIO(files[name])), random), buffer)
        files[name] = buffer.getvalue()
    for name, data in files.items():
        (target / name).write_bytes(data)
    return target


@contextlib.contextmanager
def at_most_a_gigabyte_more() -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    now = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (now + 2**30, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def test_mutated_checkpoints_load_or_are_refused(tmp_path):
    made, loaded = templates(tmp_path), 0
    for template in made:
        hub.load(template)
    with at_most_a_gigabyte_more():
        for seed in range(COUNT):
            random = np.random.default_rng(seed)
            template = made[seed % len(made)]
            path = mutated(template, tmp_path / "mutated", random)
            try:
                generator, contents = hub.load(path)
                LogMel(contents.task.features)
                generator(torch.zeros(1, contents.task.features.n_mels, 3))
                loaded += 1
            except UserError as error:
                assert len(str(error)) < 20_000, f"seed {seed}"
            except BaseException as error:
                raise AssertionError(f"seed {seed}, {template.name}: {type(error).__name__}: {error}") from error
    assert 0 < loaded < COUNT  # a byte of a weight is only another weight


@pytest.mark.parametrize(
    ("place", "value", "expected"),
    [
        ("upsample_initial_channel", 2**24, "do not fit"),
        ("upsample_initial_channel", 2**34, "no generator can be built"),
        ("resblock_kernel_sizes", [-3, 5], "resblock_kernel_sizes.0: .*greater than or equal to 1"),
        ("resblock_dilation_sizes", [[0, 3, 5], [1, 2, 3]], "resblock_dilation_sizes.0.0: .*greater than or equal"),
        ("upsample_rates", [], "upsample_rates: .*at least 1 item"),
        ("upsample_rates", ["a"] * 16, "16 faults"),
        ("resblock_dilation_sizes", [[0] * 8] * 4, "32 faults.* and 12 more$"),
    ],
)
def test_our_own_settings_from_strangers(tmp_path, state, place, value, expected):
    import_checkpoint(foreign.write_hifigan(tmp_path / "a", state, foreign.V1), folder := tmp_path / "out")
    config = json.loads((folder / "config.json").read_text())
    config["generator"][place] = value
    (folder / "config.json").write_text(json.dumps(config))
    with at_most_a_gigabyte_more(), pytest.raises(UserError, match=f"(?s){expected}"):
        native.load_generator(folder)
    (folder / "config.json").write_text('{"format_version": ' + "[" * 100_000)
    with pytest.raises(UserError, match="not a wavegan configuration"):
        hub.load(folder)


def test_mutated_mels_are_read_or_refused(tmp_path):
    mel, path = np.zeros((80, 5), np.float32), tmp_path / "mel"
    mel_files.save_mel(tmp_path / "a.npz", mel, LogMelConfig(sample_rate=16000, n_fft=512, hop_length=128, n_mels=80))
    np.save(tmp_path / "b.npy", mel)
    np.save(tmp_path / "c.npy", np.asfortranarray(mel))
    originals = [(tmp_path / name).read_bytes() for name in ("a.npz", "b.npy", "c.npy")]
    claims = ("(1180591620717411303424,)", "(1099511627776, 80)", "(-1, -80)", "(80, 1", "(True, 80)", "0")
    refusals = 0
    with at_most_a_gigabyte_more():
        for data in (
            *map(foreign.npy_header, claims),
            *(mutate_bytes(originals[seed % 3], np.random.default_rng(seed)) for seed in range(3 * COUNT)),
        ):
            path.write_bytes(data)
            try:
                mel_files.load_mel(path)
            except UserError as error:
                assert "has no mel" in str(error) or "fault" in str(error) or "array of numbers" in str(error)
                refusals += 1
    assert len(claims) - 1 <= refusals < 3 * COUNT


def test_the_command_line_says_it_in_one_sentence(tmp_path, state, capsys):
    from typer.testing import CliRunner

    folder = foreign.write_hifigan(tmp_path / "a", state, foreign.V1 | {"num_mels": 80})
    result = CliRunner().invoke(app, ["import", str(folder), "-o", str(tmp_path / "out")])
    assert result.exit_code == 2 and "They don't belong together" in result.output
    foreign.write_hifigan(tmp_path / "a", state, foreign.V1)
    result = CliRunner().invoke(app, ["import", str(folder), "--format", "hifigan", "-o", str(tmp_path / "out")])
    assert result.exit_code == 0 and "wavegan vocode" in result.output and (tmp_path / "out" / "config.json").is_file()
