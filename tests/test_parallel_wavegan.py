"""MelGAN, Parallel WaveGAN, the PQMF filterbank, and ParallelWaveGAN's checkpoints: synthetic ones in each spelling of
weight norm, against forwards written here, straight from the raw tensors, in float64.
"""

from __future__ import annotations

import math
import shutil
import sys
import tarfile
from pathlib import Path

import h5py
import librosa
import numpy as np
import pytest
import torch
import yaml
from torch.nn import functional as F

from tests import foreign
from tests.conftest import speech_like
from tests.test_trainer import assert_resumes_exactly
from wavegan import Synthesizer, UserError
from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.audio.pqmf import PQMF, PQMFConfig
from wavegan.checkpoints import native
from wavegan.checkpoints.formats import import_checkpoint, load_foreign, read_foreign
from wavegan.models.generators import MelGANConfig, ParallelWaveGANConfig, melgan, parallel_wavegan
from wavegan.models.layers import fold_weight_norm
from wavegan.tasks.vocoder import VocoderConfig

BANDS = 6
AUDIO = {"sampling_rate": 16000, "fft_size": 128, "win_length": 100, "window": "hann", "num_mels": BANDS}
AUDIO |= {"fmin": 80, "fmax": 7600, "version": "0.4.8", "format": "npy", "batch_size": 2}
SPELLINGS = ("weight_g and weight_v", "parametrizations", "fused")


class Weights:
    """Random tensors under their published names: ``raw`` as the file has them, ``fused`` in float64."""

    def __init__(self, spelling: str):
        self.random = torch.Generator().manual_seed(0)
        self.spelling, self.raw, self.fused = spelling, {}, {}

    def add(self, name: str, *shape: int, bias: int | None = None) -> None:
        """A convolution; ``bias``: its size, by default that of the output."""
        v = torch.randn(shape, generator=self.random) / math.sqrt(math.prod(shape[1:]))
        g = 0.5 + torch.rand(shape[0], *[1] * (len(shape) - 1), generator=self.random)
        norm = v.double().flatten(1).norm(dim=1).view_as(g)
        self.fused[f"{name}.weight"] = g.double() * v.double() / norm
        if self.spelling == "fused":
            self.fused[f"{name}.weight"] = v.double()
            self.raw[f"{name}.weight"] = v
        elif self.spelling == "parametrizations":
            self.raw |= {f"{name}.parametrizations.weight.original{i}": t for i, t in enumerate((g, v))}
        else:
            self.raw |= {f"{name}.weight_g": g, f"{name}.weight_v": v}
        if bias != 0:
            self.raw[f"{name}.bias"] = 0.1 * torch.randn(bias or shape[0], generator=self.random)
            self.fused[f"{name}.bias"] = self.raw[f"{name}.bias"].double()

    def at(self, name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
        return self.fused[f"{name}.weight"], self.fused.get(f"{name}.bias")


def write(folder: Path, weights: Weights, settings: dict, stats: np.ndarray | None = None) -> Path:
    """A folder as the package publishes it: what its training saves, config.yml, stats.npy."""
    folder.mkdir(exist_ok=True)
    model = {"generator": weights.raw, "discriminator": {"layers.0.weight_u": torch.ones(1)}}
    optimizer = {"generator": {"state": {0: {"step": 1}}, "param_groups": [{"betas": (0.9, 0.99)}]}}
    torch.save({"model": model, "optimizer": optimizer, "steps": 1, "epochs": 1}, folder / "checkpoint-1steps.pkl")
    (folder / "config.yml").write_text(yaml.dump(AUDIO | settings))
    np.save(folder / "stats.npy", statistics() if stats is None else stats)
    return folder


def statistics() -> np.ndarray:
    random = np.random.default_rng(0)
    return np.stack([random.uniform(-3, -1, BANDS), random.uniform(0.5, 1.5, BANDS)]).astype(np.float32)


def hifigan_weights(spelling: str, rates: list[int], second: bool) -> tuple[Weights, dict]:
    w, width = Weights(spelling), 8
    w.add("input_conv", width, BANDS, 7)
    for i, rate in enumerate(rates):
        w.add(f"upsamples.{i}.1", width, width // 2, 2 * rate, bias=width // 2)
        width //= 2
        for block, kernel in enumerate((3, 5)):
            for j in range(2):
                for convs in ("convs1", "convs2")[: 1 + second]:
                    w.add(f"blocks.{2 * i + block}.{convs}.{j}.1", width, width, kernel)
    w.add("output_conv.1", 1, width, 7)
    params = {"in_channels": BANDS, "channels": 8, "upsample_scales": rates, "use_additional_convs": second}
    params |= {"upsample_kernal_sizes": [2 * r for r in rates], "resblock_kernel_sizes": [3, 5]}
    params |= {"resblock_dilations": [(1, 3), (1, 3)]}  # written as !!python/tuple
    return w, {"generator_type": "HiFiGANGenerator", "hop_size": math.prod(rates), "generator_params": params}


def hifigan_forward(w: Weights, x: torch.Tensor, rates: list[int], second: bool) -> torch.Tensor:
    x = F.conv1d(x, *w.at("input_conv"), padding=3)
    for i, u in enumerate(rates):
        ends = {"padding": u // 2 + u % 2, "output_padding": u % 2}
        x = F.conv_transpose1d(F.leaky_relu(x, 0.1), *w.at(f"upsamples.{i}.1"), stride=u, **ends)
        branches = []
        for block, kernel in enumerate((3, 5)):
            y = x
            for j, dilation in enumerate((1, 3)):
                name = f"blocks.{2 * i + block}.convs1.{j}.1"
                padding = (kernel - 1) // 2 * dilation
                z = F.conv1d(F.leaky_relu(y, 0.1), *w.at(name), padding=padding, dilation=dilation)
                if second:
                    z = F.conv1d(F.leaky_relu(z, 0.1), *w.at(name.replace("s1", "s2")), padding=(kernel - 1) // 2)
                y = y + z
            branches.append(y)
        x = (branches[0] + branches[1]) / 2
    return torch.tanh(F.conv1d(F.leaky_relu(x, 0.01), *w.at("output_conv.1"), padding=3))


def melgan_weights(spelling: str, rates: list[int], stacks: int = 2, bands: int = 1) -> tuple[Weights, dict]:
    w, width, place = Weights(spelling), 8, 1
    w.add("melgan.1", width, BANDS, 7)
    for rate in rates:
        place += 2  # LeakyReLU, then the transposed convolution
        w.add(f"melgan.{place}", width, width // 2, 2 * rate, bias=width // 2)
        width //= 2
        for _ in range(stacks):
            place += 1
            w.add(f"melgan.{place}.stack.2", width, width, 3)
            w.add(f"melgan.{place}.stack.4", width, width, 1)
            w.add(f"melgan.{place}.skip_layer", width, width, 1)
    w.add(f"melgan.{place + 3}", bands, width, 7)
    params = {"in_channels": BANDS, "out_channels": bands, "channels": 8, "upsample_scales": rates, "stacks": stacks}
    settings = {"generator_type": "MelGANGenerator", "hop_size": math.prod(rates) * bands}
    return w, settings | {"generator_params": params | {"use_causal_conv": False}}


def melgan_forward(w: Weights, x: torch.Tensor, rates: list[int], stacks: int = 2) -> torch.Tensor:
    """Up to the sub-bands."""
    x, place = F.conv1d(F.pad(x, (3, 3), "reflect"), *w.at("melgan.1")), 1
    for u in rates:
        place += 2
        ends = {"padding": u // 2 + u % 2, "output_padding": u % 2}
        x = F.conv_transpose1d(F.leaky_relu(x, 0.2), *w.at(f"melgan.{place}"), stride=u, **ends)
        for j in range(stacks):
            place += 1
            y = F.pad(F.leaky_relu(x, 0.2), (3**j, 3**j), "reflect")
            y = F.leaky_relu(F.conv1d(y, *w.at(f"melgan.{place}.stack.2"), dilation=3**j), 0.2)
            skip = F.conv1d(x, *w.at(f"melgan.{place}.skip_layer"))
            x = F.conv1d(y, *w.at(f"melgan.{place}.stack.4")) + skip
    return torch.tanh(F.conv1d(F.pad(F.leaky_relu(x, 0.2), (3, 3), "reflect"), *w.at(f"melgan.{place + 3}")))


def wavenet_weights(spelling: str, rates: list[int], context: int | None) -> tuple[Weights, dict]:
    """``context``: None is the upsampling network without a first convolution."""
    w = Weights(spelling)
    w.add("first_conv", 4, 1, 1)
    inner = "upsample_net." if context is None else "upsample_net.upsample."
    if context is not None:
        w.add("upsample_net.conv_in", BANDS, BANDS, 2 * context + 1, bias=0)
    for i, rate in enumerate(rates):
        w.add(f"{inner}up_layers.{2 * i + 1}", 1, 1, 1, 2 * rate + 1, bias=0)
    for i in range(4):
        w.add(f"conv_layers.{i}.conv", 6, 4, 3)
        w.add(f"conv_layers.{i}.conv1x1_aux", 6, BANDS, 1, bias=0)
        w.add(f"conv_layers.{i}.conv1x1_out", 4, 3, 1)
        w.add(f"conv_layers.{i}.conv1x1_skip", 5, 3, 1)
    w.add("last_conv_layers.1", 5, 5, 1)
    w.add("last_conv_layers.3", 1, 5, 1)
    params = {"aux_channels": BANDS, "aux_context_window": context or 0, "layers": 4, "stacks": 2, "dropout": 0.0}
    params |= {"residual_channels": 4, "gate_channels": 6, "skip_channels": 5}
    params |= {"upsample_params": {"upsample_scales": rates}} | (
        {"upsample_net": "UpsampleNetwork"} if context is None else {}
    )
    return w, {"hop_size": math.prod(rates), "generator_params": params}  # of the type that is meant if none is said


def wavenet_forward(
    w: Weights, x: torch.Tensor, z: torch.Tensor, rates: list[int], context: int | None
) -> torch.Tensor:
    inner = "upsample_net." if context is None else "upsample_net.upsample."
    if context is not None:
        x = F.conv1d(F.pad(x, (context, context), "replicate"), w.at("upsample_net.conv_in")[0])
    x = x.unsqueeze(1)
    for i, rate in enumerate(rates):
        x = F.interpolate(x, scale_factor=(1, rate), mode="nearest")
        x = F.conv2d(x, w.at(f"{inner}up_layers.{2 * i + 1}")[0], padding=(0, rate))
    mel, hidden, skips = x.squeeze(1), F.conv1d(z, *w.at("first_conv")), 0.0
    for i in range(4):
        name, dilation = f"conv_layers.{i}", 2 ** (i % 2)
        y = F.conv1d(hidden, *w.at(f"{name}.conv"), padding=dilation, dilation=dilation)
        y = y + F.conv1d(mel, w.at(f"{name}.conv1x1_aux")[0])
        y = torch.tanh(y[:, :3]) * torch.sigmoid(y[:, 3:])
        skips = skips + F.conv1d(y, *w.at(f"{name}.conv1x1_skip"))
        hidden = (F.conv1d(y, *w.at(f"{name}.conv1x1_out")) + hidden) * math.sqrt(0.5)
    y = F.conv1d(F.relu(skips * math.sqrt(1 / 4)), *w.at("last_conv_layers.1"))
    return F.conv1d(F.relu(y), *w.at("last_conv_layers.3"))


def filters(bands: int, taps: int, cutoff: float, beta: float) -> tuple[np.ndarray, np.ndarray]:
    """Analysis and synthesis filters in float64, from their formulas, coefficient by coefficient."""
    analysis, synthesis = np.zeros((bands, taps + 1)), np.zeros((bands, taps + 1))
    for n in range(taps + 1):
        t = n - taps / 2
        window = np.i0(beta * np.sqrt(1 - (2 * t / taps) ** 2)) / np.i0(beta)
        low_pass = window * (np.sin(np.pi * cutoff * t) / (np.pi * t) if t else cutoff)
        for k in range(bands):
            angle, quarter = (2 * k + 1) * np.pi / (2 * bands) * t, (-1) ** k * np.pi / 4
            analysis[k, n] = 2 * low_pass * np.cos(angle + quarter)
            synthesis[k, n] = 2 * low_pass * np.cos(angle - quarter)
    return analysis, synthesis


def analyse(x: np.ndarray, bands: int, taps: int, cutoff: float, beta: float) -> np.ndarray:
    padded = np.pad(x, taps // 2)
    windows = np.stack([padded[i : i + taps + 1] for i in range(0, len(x), bands)])
    return filters(bands, taps, cutoff, beta)[0] @ windows.T


def synthesise(subbands: np.ndarray, taps: int, cutoff: float, beta: float) -> np.ndarray:
    bands, length = subbands.shape
    stuffed = np.zeros((bands, bands * length))
    stuffed[:, ::bands] = bands * subbands
    padded = np.pad(stuffed, ((0, 0), (taps // 2, taps // 2)))
    synthesis = filters(bands, taps, cutoff, beta)[1]
    return np.array([np.sum(padded[:, i : i + taps + 1] * synthesis) for i in range(bands * length)])


def mel_input(frames: int = 9) -> torch.Tensor:
    return torch.randn(2, BANDS, frames, generator=torch.Generator().manual_seed(1))


def same(ours: torch.Tensor, expected: torch.Tensor) -> bool:
    return ours.shape == expected.shape and float((ours - expected).detach().abs().max()) < 1e-5


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize(
    ("rates", "second"), [([4, 2], True), ([5, 3], True), ([5, 3], False)], ids=["even", "odd rates", "resblock 2"]
)
def test_hifigan(tmp_path, spelling, rates, second):
    weights, settings = hifigan_weights(spelling, rates, second)
    generator, contents = load_foreign(write(tmp_path / "model", weights, settings))
    assert contents.generator.resblock == (1 if second else 2)
    assert same(generator(mel_input()), hifigan_forward(weights, mel_input().double(), rates, second))


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("rates", [[4, 2], [5, 3]], ids=["even", "odd rates"])
def test_melgan(tmp_path, spelling, rates):
    weights, settings = melgan_weights(spelling, rates)
    generator, _ = load_foreign(write(tmp_path / "model", weights, settings))
    assert same(generator(mel_input()), melgan_forward(weights, mel_input().double(), rates))


@pytest.mark.parametrize(
    ("version", "given", "expected"),
    [
        ("0.4.8", None, (62, 0.142, 9.0)),
        ("0.4.2", None, (62, 0.15, 9.0)),
        (None, None, (62, 0.15, 9.0)),
        ("0.4.2", {"taps": 30, "cutoff_ratio": 0.2}, (30, 0.2, 9.0)),
    ],
)
def test_multi_band_melgan(tmp_path, version, given, expected):
    weights, settings = melgan_weights("weight_g and weight_v", [3, 2], bands=4)
    settings |= {"version": version} | ({"pqmf_params": given} if given else {})
    folder = write(tmp_path / "model", weights, settings)
    if version is None:
        (folder / "config.yml").write_text((folder / "config.yml").read_text().replace("version: null\n", ""))
    generator, _ = load_foreign(folder)
    subbands = melgan_forward(weights, mel_input().double(), [3, 2]).numpy()
    reference = torch.from_numpy(np.stack([synthesise(clip, *expected) for clip in subbands])).unsqueeze(1)
    assert same(generator(mel_input()), reference)


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("context", [2, 0, None], ids=["context 2", "context 0", "no first convolution"])
def test_parallel_wavegan_with_the_same_noise(tmp_path, spelling, context):
    weights, settings = wavenet_weights(spelling, [4, 3], context)
    generator, _ = load_foreign(write(tmp_path / "model", weights, settings))
    noise = torch.randn(2, 1, 9 * 12, generator=torch.Generator().manual_seed(2))
    reference = wavenet_forward(weights, mel_input().double(), noise.double(), [4, 3], context)
    assert same(generator(mel_input(), noise=noise), reference)


@pytest.mark.parametrize("log_base", [10.0, None])
def test_mel_is_the_published_one(tmp_path, log_base):
    """An independent float64 version: centred frames, reflection, a short window, floor, logarithm, statistics."""
    weights, settings = melgan_weights("fused", [4, 4])
    _, contents = load_foreign(write(tmp_path / "model", weights, settings | {"log_base": log_base}))
    waveform = speech_like(0.5)
    waveform[3000:6000] = 0.0
    padded = np.pad(waveform.double().numpy(), 64, mode="reflect")
    window = np.pad(0.5 - 0.5 * np.cos(2 * np.pi * np.arange(100) / 100), 14)
    frames = np.stack([padded[i : i + 128] * window for i in range(0, len(padded) - 127, 16)])
    bank = librosa.filters.mel(sr=16000, n_fft=128, n_mels=BANDS, fmin=80, fmax=7600, dtype=np.float64)
    log = np.maximum(bank @ np.abs(np.fft.rfft(frames)).T, 1e-10)
    log = np.log10(log) if log_base else np.log(log)
    mean, scale = statistics().astype(np.float64)
    expected = (log - mean[:, None]) / scale[:, None]
    mel = LogMel(contents.task.features)(waveform[None])[0].numpy()
    assert mel.shape == expected.shape and np.abs(mel - expected).max() < 1e-3
    lowest = -10.0 if log_base else math.log(1e-10)
    assert np.abs(mel[:, 250] - (lowest - mean) / scale).max() < 1e-4  # in the silence


def test_a_model_from_an_archive_speaks(tmp_path):
    """config.yml, stats.h5 and the weights in one .tar.gz, as they are published."""
    weights, settings = wavenet_weights("weight_g and weight_v", [4, 4], 2)
    folder = write(tmp_path / "model", weights, settings)
    (folder / "stats.npy").unlink()
    with h5py.File(folder / "stats.h5", "w") as file:
        file["mean"], file["scale"] = statistics()
    with tarfile.open(tmp_path / "published.tar.gz", "w:gz") as archive:
        archive.add(folder, "published")
    import_checkpoint(tmp_path / "published.tar.gz", tmp_path / "out")
    shutil.rmtree(folder)
    folder.mkdir()
    (tmp_path / "published.tar.gz").rename(folder / "published.tar.gz")
    assert Synthesizer.from_pretrained(folder).config.generator.name == "parallel_wavegan"
    synthesizer = Synthesizer.from_pretrained(tmp_path / "out")
    assert np.allclose([synthesizer.features.mean, synthesizer.features.std], statistics())
    waveform = speech_like(0.3)
    copy = synthesizer.vocode(waveform)
    assert copy.shape == (len(waveform),) and np.isfinite(copy).all() and copy.std() > 0
    assert np.array_equal(copy, synthesizer.vocode(waveform))


def test_a_model_of_another_loudness_is_noted(tmp_path):
    weights, settings = melgan_weights("fused", [4, 2])
    assert read_foreign(write(tmp_path / "model", weights, settings)).note == ""
    quiet = write(tmp_path / "model", weights, settings | {"global_gain_scale": 0.5})
    assert "0.5 times as loud" in read_foreign(quiet).note


def refusal(folder: Path) -> str:
    with pytest.raises(UserError) as error:
        load_foreign(folder)
    return str(error.value)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"generator_type": "StyleMelGANGenerator"}, "it is a StyleMelGANGenerator; only .* HiFiGANGenerator"),
        ({"window": "hamming"}, "its window is 'hamming'; only 'hann'"),
        ({"log_base": 2.0}, "its log_base is 2.0"),
        ({"sampling_rate_for_feats": 8000}, "another sample rate"),
        ({"num_mels": 2000}, "num_mels: .*less than or equal to 1024"),
        ({"generator_params.stacks": 9}, "stacks: .*less than or equal to 8"),
        ({"num_mels": 7}, "a finite mean and scale for 7 bands, found \\(2, 6\\)"),
        ({"hop_size": 17}, "multiply to 4 x 2 = 8, hop_length is 17"),
        ({"generator_params.use_causal_conv": True}, "use_causal_conv is True; only False is supported"),
        ({"generator_params.pad": "ReplicationPad1d"}, "pad is 'ReplicationPad1d'; only 'ReflectionPad1d'"),
        ({"generator_params.nonlinear_activation_params": {"negative_slope": 0.1}}, "only {'negative_slope': 0.2}"),
        ({"generator_params.stacks": 3}, "says layers in melgan, by upsample_scales and stacks, 14, .* have 12"),
        ({"generator_params.upsample_scales": [2, 4]}, "ups.0.weight is \\(8, 4, 8\\), expected \\(8, 4, 4\\)"),
        ({"generator_params.out_channels": 4}, "says out_channels 4, but the weights in .* have 1"),
        ({"sampling_rate": None}, "sampling_rate: Input should be a valid integer"),
    ],
)
def test_what_we_cannot_play_is_refused_by_name(tmp_path, change, expected):
    weights, settings = melgan_weights("fused", [4, 2])
    for key, value in change.items():
        section, _, name = key.rpartition(".")
        (settings[section] if section else settings)[name] = value
    folder = write(tmp_path / "model", weights, settings)
    with pytest.raises(UserError, match=f"(?s){expected}"):
        import_checkpoint(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"upsample_net": "MelGANGenerator"}, "its upsample_net is MelGANGenerator"),
        ({"upsample_net": "UpsampleNetwork"}, "with an aux_context_window of 0"),
        (
            {"upsample_params": {"upsample_scales": [4, 2], "nonlinear_activation": "ReLU"}},
            "nonlinear_activation is 'ReLU'",
        ),
        ({"upsample_params": {"upsample_scales": [4]}}, "upsample_scales 1, .* have 2"),
        ({"upsample_params": {"upsample_scales": 8}}, "upsample_params.upsample_scales: Input should be a valid list"),
        ({"aux_context_window": 1}, "conv_in.weight is \\(6, 6, 5\\), expected \\(6, 6, 3\\)"),
        ({"layers": 60000}, "says layers 60000, .* have 4"),
        ({"aux_channels": 80}, "says aux_channels 80, .* have 6"),
    ],
)
def test_settings_that_contradict_the_weights(tmp_path, change, expected):
    weights, settings = wavenet_weights("fused", [4, 2], 2)
    settings["generator_params"] |= change
    with pytest.raises(UserError, match=f"(?s){expected}"):
        load_foreign(write(tmp_path / "model", weights, settings))


def test_statistics_that_are_missing_or_wrong(tmp_path, monkeypatch):
    weights, settings = melgan_weights("fused", [4, 2])
    folder = write(tmp_path / "model", weights, settings)
    stats = folder / "stats.npy"
    np.save(stats, np.array([None, None]))
    assert "has no readable mean and scale" in refusal(folder)  # pickles are not opened
    stats.write_bytes(foreign.npy_header("(2, 18446744073709551616)"))
    assert "has no readable mean and scale" in refusal(folder)
    np.save(stats, np.full((2, BANDS), np.nan))
    assert "a finite mean and scale for 6 bands" in refusal(folder)
    np.save(stats, np.zeros((2, BANDS)))
    assert "std must be above 0" in refusal(folder)
    stats.unlink()
    assert "it needs the mean and deviation of its mels, in stats.h5 or stats.npy beside it" in refusal(folder)
    with h5py.File(folder / "stats.h5", "w") as file:
        file["anna/mean"], file["anna/scale"] = statistics()
    assert "single speakers' won't do" in refusal(folder)
    (folder / "stats.h5").write_bytes(b"not HDF5")
    assert "has no readable mean and scale" in refusal(folder)
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert "pip install h5py" in refusal(folder) and "stats.npy" in refusal(folder)


@pytest.mark.parametrize(("bands", "taps", "cutoff"), [(4, 62, 0.142), (3, 20, 0.2)])
def test_pqmf_equals_its_formulas(bands, taps, cutoff):
    waveform = np.random.default_rng(0).standard_normal(120)
    module = PQMF(bands, PQMFConfig(taps=taps, cutoff=cutoff))
    subbands = module.analysis(torch.from_numpy(waveform).float().view(1, 1, -1))
    expected = analyse(waveform, bands, taps, cutoff, 9.0)
    assert same(subbands[0].double(), torch.from_numpy(expected))
    again = synthesise(expected, taps, cutoff, 9.0)
    assert same(module.synthesis(subbands)[0, 0].double(), torch.from_numpy(again))


@pytest.mark.parametrize("bands", [2, 3, 4, 5, 8])
def test_pqmf_reconstructs_almost_perfectly_without_delay(bands):
    waveform = torch.randn(1, 1, 240 * bands, generator=torch.Generator().manual_seed(0))
    for config in (PQMFConfig(), PQMFConfig(taps=32 * bands)):
        module = PQMF(bands, config)
        error = (module.synthesis(module.analysis(waveform)) - waveform)[..., module.taps : -module.taps]
        assert 10 * math.log10(error.square().mean() / waveform.square().mean()) < -55


def test_pqmf_sorts_tones_into_bands():
    module = PQMF(4, PQMFConfig())
    time = torch.arange(1024) / 16000
    for band, frequency in enumerate((1000, 3000, 5000, 7000)):
        power = module.analysis(torch.sin(2 * math.pi * frequency * time).view(1, 1, -1))[0].square().mean(1)
        assert power.argmax() == band and power[band] > 100 * (power.sum() - power[band])


GENERATORS = {
    "melgan": MelGANConfig(upsample_rates=[5, 3], upsample_initial_channel=8, stacks=2),
    "multi-band": MelGANConfig(upsample_rates=[5], upsample_initial_channel=8, stacks=4, bands=3),
    "parallel_wavegan": ParallelWaveGANConfig(
        upsample_rates=[5, 3], layers=6, stacks=2, residual_channels=8, gate_channels=8, skip_channels=8
    ),
}
TASK = VocoderConfig(features=LogMelConfig(sample_rate=16000, n_fft=64, hop_length=15, n_mels=BANDS))


@pytest.fixture(params=GENERATORS.values(), ids=GENERATORS.keys())
def generator(request):
    torch.manual_seed(0)
    return fold_weight_norm(request.param.build(TASK)).eval().requires_grad_(False)


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 50])
@pytest.mark.parametrize("chunk", [1, 4, 23])
def test_windows_with_context_equal_the_whole(generator, frames, chunk):
    x = mel_input(frames)
    whole = generator(x)
    left, right = generator.context_frames
    pieces = []
    for start in range(0, frames, chunk):
        stop, first = min(start + chunk, frames), max(start - left, 0)
        piece = generator(x[..., first : stop + right], first_frame=first)
        pieces.append(piece[..., (start - first) * 15 : (stop - first) * 15])
    assert whole.shape == (2, 1, frames * 15) and same(torch.cat(pieces, -1), whole)


def test_context_is_as_small_as_it_can_be(generator):
    left, right = generator.context_frames
    x = torch.randn(1, BANDS, left + right + 1)
    frame = slice(left * 15, (left + 1) * 15)
    for end in (0, -1):
        changed = x.clone()
        changed[..., end] += 100.0
        assert (generator(x) - generator(changed))[..., frame].abs().max() > 0


def test_noise_belongs_to_the_sample():
    generator = GENERATORS["parallel_wavegan"].build(TASK).eval()
    noise = generator.noise(0, 1000)
    assert torch.equal(generator.noise(700, 31), noise[:, 700 * 15 : 731 * 15])
    assert abs(float(noise.mean())) < 0.03 and abs(float(noise.std()) - 1) < 0.03
    assert abs(float((noise[:, :-15] * noise[:, 15:]).mean())) < 0.03  # the next frame has other noise
    assert not torch.equal(generator.noise(0, 2, seed=1), noise[:, :30])
    x = mel_input()
    assert torch.equal(generator(x), generator(x)) and same(generator(x)[1:], generator(x[1:]))
    apart = torch.cat([generator(x[:1], first_frame=3), generator(x[1:], first_frame=5)])
    assert same(generator(x, first_frame=torch.tensor([3, 5])), apart)


def test_noise_in_training_is_torchs():
    generator, x = GENERATORS["parallel_wavegan"].build(TASK).train(), mel_input()
    torch.manual_seed(5)
    first, second = generator(x), generator(x)
    assert not torch.equal(first, second)
    torch.manual_seed(5)
    assert torch.equal(generator(x), first)


def test_training_on_noise_resumes_bit_for_bit(recipe_file, tmp_path):
    sizes = "layers: 2, stacks: 1, residual_channels: 4, gate_channels: 4, skip_channels: 4"
    options = [f"generator={{name: parallel_wavegan, upsample_rates: [8, 4], {sizes}}}", "trainer.max_steps=4"]
    options += ["objective.weights={mel: 1, feature_matching: 1}"]
    assert_resumes_exactly(recipe_file, options, tmp_path, stop=3)
    assert native.load_trainer(tmp_path / "whole")["step"] == 4


@pytest.mark.parametrize(
    ("config", "millions"),
    [(MelGANConfig(), 4.26), (melgan.MULTI_BAND, 2.53), (parallel_wavegan.ParallelWaveGANConfig(), 1.33)],
)
def test_published_sizes(config, millions):
    features = LogMelConfig(sample_rate=22050, n_fft=1024, hop_length=256, n_mels=80)
    with torch.device("meta"):
        module = fold_weight_norm(config.build(VocoderConfig(features=features)))
    assert config.check(VocoderConfig(features=features)) is None
    assert round(sum(p.numel() for p in module.parameters()) / 1e6, 2) == millions


def test_rates_that_do_not_make_the_hop_are_refused():
    assert "4 x 2 x 4 bands = 32, hop_length is 15" in MelGANConfig(upsample_rates=[4, 2], bands=4).check(TASK)
    assert "4 x 4 x 4 x 4 = 256, hop_length is 15" in ParallelWaveGANConfig().check(TASK)
    for make in (lambda: MelGANConfig(upsample_rates=[4, 0]), lambda: ParallelWaveGANConfig(layers=7)):
        with pytest.raises(ValueError, match="greater than or equal to 1|multiple of stacks"):
            make()
