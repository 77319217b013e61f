"""Mels of the field's conventions: what they are, what becomes of what, and what their values give away."""

from __future__ import annotations

import math
import os
from pathlib import Path

import librosa
import numpy as np
import pytest
import torch

from tests.conftest import RATE, speech_like
from tests.test_streaming import synthesizer
from wavegan import Synthesizer, UserError, audio, load_recipe
from wavegan.audio import mel_checks, mel_conventions, mel_files
from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.audio.mel_conventions import CONVENTIONS, convert, named
from wavegan.models.generators import SpectralConfig

EXAMPLES = Path(__file__).parents[1] / "demo" / "examples"
MODEL = LogMelConfig(sample_rate=RATE, n_fft=512, hop_length=128, n_mels=80)
CONTRACTS = {
    "vocoder-16k": MODEL,
    "8 kHz": LogMelConfig(sample_rate=8000, n_fft=256, hop_length=64, n_mels=40),
    "hifigan": named("hifigan"),
    "vocos": named("vocos"),
    "parallel_wavegan": named("parallel_wavegan"),
    "24 kHz, long": named("parallel_wavegan", sample_rate=24000, n_fft=2048, hop_length=300, win_length=1200),
    "log10 of powers": MODEL.model_copy(update={"log": "log10", "power": 2, "floor": 1e-10}),
    "coqui": named("coqui"),
}


def reference(name: str, waveform: np.ndarray) -> np.ndarray:
    """A convention's mel (M, F) in float64, written from its description."""
    config = named(name)
    n_fft, hop = config.n_fft, config.hop_length
    amount = (n_fft - hop) // 2 if name in ("hifigan", "bigvgan", "nemo") else n_fft // 2
    padded = np.pad(waveform.astype(np.float64), amount, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(n_fft) / (n_fft - (name == "nemo")))
    magnitude = np.abs(np.fft.rfft(frames * window)).T
    if name in ("hifigan", "bigvgan"):
        magnitude = np.sqrt(magnitude**2 + 1e-9)
    scale = {"htk": True, "norm": None} if name == "vocos" else {"htk": False, "norm": "slaney"}
    bands = {"fmin": 80, "fmax": 7600} if name == "parallel_wavegan" else {"fmax": config.fmax}
    bank = librosa.filters.mel(sr=config.sample_rate, n_fft=n_fft, n_mels=config.n_mels, **bands, **scale)
    mel = bank.astype(np.float64) @ magnitude
    if name == "parallel_wavegan":
        return np.log10(np.maximum(mel, 1e-10))
    if name == "coqui":
        decibels = 20 * np.log10(np.maximum(mel, 1e-5)) - 20
        return np.clip(8 * (decibels + 100) / 100 - 4, -4, 4)
    return np.log(np.maximum(mel, 1e-7 if name == "vocos" else 1e-5))


@pytest.mark.parametrize("name", CONVENTIONS)
def test_a_convention_is_what_its_package_computes(name):
    config = named(name)
    waveform = torch.cat([speech_like(0.4, config.sample_rate), torch.zeros(5000)])
    found = LogMel(config)(waveform[None])[0].numpy()
    expected = reference(name, waveform.numpy())
    assert found.shape == expected.shape and np.abs(found - expected).max() < 2e-3
    if name != "bigvgan":  # the style of HiFi-GAN
        assert mel_conventions.looks_like(config) == name


def test_names_and_fields():
    assert named("hifigan", sample_rate=16000, fmax=None).upper_frequency == 8000
    assert mel_conventions.parse({"sample_rate": 16000, "n_fft": 512, "hop_length": 128, "n_mels": 80}) == MODEL
    for expected, wrong in {
        "No mel convention 'hifi'. There are: hifigan, bigvgan.* Did you mean 'hifigan'": "hifi",
        "features should be a name .* or a mapping of fields, got int": 3,
        "did you mean 'n_mels'": {"n_mel": 80},
    }.items():
        with pytest.raises(UserError, match=expected):
            mel_conventions.parse(wrong)


def test_a_recipe_names_a_convention(recipe_file):
    overrides = [
        "data.segment_length=4096",
        "discriminators=[]",
        "trainer.adversarial_start=1",
        "generator={name: spectral}",
    ]
    recipe = load_recipe(recipe_file, ["task.features=hifigan", *overrides])
    assert recipe.task.features == named("hifigan")
    with pytest.raises(UserError, match=r"task.features: No mel convention 'hifgan'.* Did you mean 'hifigan'\?"):
        load_recipe(recipe_file, ["task.features=hifgan", *overrides])


EXACT = {
    "log10": {"log": "log10"},
    "a lower floor": {"floor": 1e-8},
    "log10 and a lower floor": {"log": "log10", "floor": 1e-10},
    "bands of height 1": {"mel_norm": "none"},
    "standardised": {"mean": [-4.0 + 0.01 * i for i in range(80)], "std": [2.0] * 80},
    "the other Hann window": {"window": "hann_symmetric"},
    "all": {"log": "log10", "floor": 1e-10, "mel_norm": "none", "mean": [-2.0] * 80, "std": [0.5] * 80},
}


@pytest.mark.parametrize("change", EXACT.values(), ids=EXACT.keys())
def test_converted_equals_computed(change):
    source = MODEL.model_copy(update=change)
    waveform = torch.cat([speech_like(0.5), torch.zeros(2000)])[None]
    ours, theirs = LogMel(MODEL)(waveform), LogMel(source)(waveform)
    worst = 0.1 if source.window != MODEL.window else 1e-4
    assert (convert(theirs, source, MODEL) - ours).abs().max() < worst
    heard = ours > MODEL.log_floor + 0.1  # what a floor has cut stays cut
    assert (convert(ours, MODEL, source) - theirs)[heard].abs().max() < worst
    assert torch.equal(convert(ours, MODEL, MODEL), ours)


def test_powers_become_magnitudes_as_if_bands_were_even():
    source = MODEL.model_copy(update={"power": 2, "floor": 1e-10})
    waveform = speech_like(1.0)[None]
    ours, theirs = LogMel(MODEL)(waveform), LogMel(source)(waveform)
    error = (convert(theirs, source, MODEL) - ours)[ours > MODEL.log_floor + 0.1]
    assert 0 <= error.mean() < 0.15 and error.abs().quantile(0.95) < 0.5  # nepers; never below, by Cauchy-Schwarz
    assert error.min() > -1e-3
    back = (convert(ours, MODEL, source) - theirs)[ours > MODEL.log_floor + 0.1]
    assert back.mean().abs() < 0.3


OTHER = {
    "sample_rate": 22050,
    "n_fft": 1024,
    "hop_length": 160,
    "win_length": 400,
    "padding": "same",
    "n_mels": 64,
    "fmin": 50.0,
    "fmax": 7000.0,
    "mel_scale": "htk",
}


@pytest.mark.parametrize(("field", "value"), OTHER.items())
def test_what_cant_be_converted_is_refused_with_the_reason(field, value):
    other = MODEL.model_copy(update={field: value})
    mel = torch.full((other.n_mels, 10), -3.0)
    with pytest.raises(UserError, match=rf"can't be converted:\n  {field}: .{{20}}"):
        convert(mel, other, MODEL)
    with pytest.raises(UserError, match=rf"{field}: the model expects .* this mel has .*\(.{{20}}") as caught:
        mel_checks.refuse_difference(MODEL, other)
    assert "convert" not in str(caught.value)


def test_a_model_reads_other_mels_only_when_told_to(tmp_path):
    model = synthesizer(SpectralConfig(dim=16, num_blocks=2), MODEL)
    waveform = speech_like(0.5)
    expected = model.vocode(model.mel(waveform))
    theirs = MODEL.model_copy(update={"log": "log10", "floor": 1e-10})
    mel = LogMel(theirs)(waveform[None])[0]
    with pytest.raises(UserError, match="convert=True, on the command line --convert"):
        model.vocode(mel, features=theirs)
    fields = {name: getattr(theirs, name) for name in ("sample_rate", "n_fft", "hop_length", "n_mels", "log", "floor")}
    for source in (mel, mel.numpy().astype(np.float64)):
        assert np.abs(model.vocode(source, features=fields, convert=True) - expected).max() < 1e-3
    mel_files.save_mel(tmp_path / "a.npz", mel, theirs)
    assert np.abs(model.vocode(tmp_path / "a.npz", convert=True) - expected).max() < 1e-3
    streamed = np.concatenate(list(model.stream(mel.split(9, dim=-1), features=theirs, convert=True)))
    assert np.abs(streamed - expected).max() < 1e-3
    with pytest.raises(UserError, match="To convert the mel, give the contract it was made with: features="):
        model.vocode(mel, convert=True)
    with pytest.raises(UserError, match="sample_rate: the model expects 16000, this mel has 22050"):
        model.vocode(mel, features="hifigan")


def sounds(sample_rate: int) -> dict[str, torch.Tensor]:
    """What a model's own mels are made of: speech loud and quiet, clipped, whispered, in noise; noises; nothing."""
    random = torch.Generator().manual_seed(0)
    found = {}
    for name in ("english", "french"):
        speech = audio.read(EXAMPLES / f"{name}.flac", sample_rate)[0]
        speech = 0.9 * speech / speech.abs().max()
        found |= {f"{name} x {gain}": gain * speech for gain in (1, 0.03, 0.001, 1e-5)}
        noise = torch.randn(len(speech), generator=random)
        found |= {f"{name} in noise {level}": 0.5 * speech + level * noise for level in (0.001, 0.03, 0.1)}
        found[f"{name} clipped"] = (20 * speech).clamp(-1, 1)
        found[f"{name} as 8 bits"] = (speech * 127).round() / 127
        loudest = int(speech.abs().argmax())
        found[f"{name} vowel"] = speech[max(loudest - sample_rate // 3, 0) : loudest + sample_rate // 3]
        envelope = torch.nn.functional.avg_pool1d(speech.abs()[None], 401, 1, 200)[0]
        found[f"{name} whispered"] = 0.5 * envelope * noise
    white = torch.randn(2 * sample_rate, generator=random)
    found |= {f"white noise {level}": (level * white).clamp(-1, 1) for level in (1, 0.1, 0.001, 1e-5)}
    slope = torch.arange(1, sample_rate + 2)
    brown = torch.fft.irfft(torch.fft.rfft(white) / slope)
    found["brown noise"] = 0.9 * brown / brown.abs().max()
    found["fading noise"] = 0.3 * white * torch.logspace(0, -3, len(white))
    found["silence"] = torch.zeros(sample_rate)
    found["a click"] = torch.zeros(sample_rate).index_fill(0, torch.tensor([sample_rate // 2]), 1.0)
    found["tone"] = 0.8 * torch.sin(440 * 2 * math.pi / sample_rate * torch.arange(sample_rate))
    found["full-scale square"] = torch.sign(found["tone"])
    found["made-up speech"] = speech_like(1.0, sample_rate)
    return found


@pytest.mark.parametrize("features", CONTRACTS.values(), ids=CONTRACTS.keys())
def test_a_models_own_mels_are_never_refused(features):
    log_mel = LogMel(features)
    for name, sound in sounds(features.sample_rate).items():
        mel = log_mel(sound[None])
        smooth = torch.nn.functional.avg_pool2d(mel, (3, 5), 1, (1, 2), count_include_pad=False)  # as if predicted
        noisy = mel + 0.05 * torch.randn(mel.shape, generator=torch.Generator().manual_seed(0))
        for kind, found in {"mel": mel, "smooth": smooth, "noisy": noisy, "half": mel.half()}.items():
            for first in range(0, found.shape[-1], 70):
                mel_checks.check_mel(found[..., first : first + 140], features, f"{name}, {kind}, from {first}")


@pytest.mark.parametrize("name", ["vocoder-16k", "8 kHz", "hifigan", "parallel_wavegan", "24 kHz, long"])
def test_speech_in_the_wrong_logarithm_is_seen_without_its_floor(name):
    features = CONTRACTS[name]
    wrong = features.model_copy(update={"log": "log10" if features.log == "ln" else "ln", "floor": 1e-7})
    for language in ("english", "french"):
        speech = audio.read(EXAMPLES / f"{language}.flac", features.sample_rate)[0]
        speech = 0.9 * speech / speech.abs().max()
        random = torch.randn(len(speech), generator=torch.Generator().manual_seed(0))
        mel = LogMel(wrong)((speech + 3e-4 * random)[None])[0]  # a recording's own noise: nothing lies on the floor
        assert mel.min() > wrong.log_floor + 0.1
        with pytest.raises(UserError, match=f"looks like {'log10' if wrong.log == 'log10' else 'natural log'}"):
            mel_checks.check_mel(mel, features)
        mel_checks.check_mel(mel, features, known=True)


@pytest.mark.parametrize("size", [1, 30, 1000])
def test_a_stream_of_the_wrong_logarithm_is_seen_as_soon_as_it_can_be(size):
    model = synthesizer(SpectralConfig(dim=16, num_blocks=2), MODEL)
    speech = audio.read(EXAMPLES / "english.flac", MODEL.sample_rate)[0]
    mel = LogMel(MODEL)(speech[None])[0]
    spoken = model.stream((mel / math.log(10)).split(size, dim=-1))
    with pytest.raises(UserError, match="the mel of the stream (looks like log10|is clamped)"):
        for _ in range(100):
            next(spoken)
    right = model.stream(mel.split(size, dim=-1))
    assert sum(map(len, right)) == mel.shape[-1] * MODEL.hop_length


def test_standardised_mels_are_checked_too():
    features = named("coqui")
    mel = LogMel(features)(speech_like(1.0, 22050)[None])
    mel_checks.check_mel(mel, features)
    with pytest.raises(UserError, match="goes down to .* or decibels"):
        mel_checks.check_mel(20 * mel_conventions.destandardise(mel, features), features)


def test_integers_in_disguise_are_refused():
    model = synthesizer(SpectralConfig(dim=16, num_blocks=2), MODEL)
    with pytest.raises(UserError, match="reaches .*divide it by its full scale"):
        model.vocode(speech_like(0.1) * 32768)
    assert np.isfinite(model.vocode(speech_like(0.1) * 4)).all()  # beyond full scale, as floating point can be


def random_input(random: np.random.Generator) -> object:
    """Arrays of any type, shape and content, and what is no array."""
    shapes = [(), (0,), (1,), (500,), (80, 20), (20, 80), (80, 0), (0, 80), (1, 80, 9), (2, 80, 3), (1, 1, 400), (2, 2)]
    shapes += [(3, 1, 200), (1, 1, 80, 5), (80, 80), (80, 1), (1, 80), (81, 20), (2, 20000), (20000, 2), (0, 80, 4)]
    kinds = ["f2", "f4", "f8", ">f4", "i1", "i2", "i8", "u2", "u8", "?", "c8", "O", "U5", "S3", "M8[s]"]
    shape, kind = shapes[random.integers(len(shapes))], kinds[random.integers(len(kinds))]
    scale = 10.0 ** random.integers(-40, 38)
    with np.errstate(all="ignore"):
        array = (random.standard_normal(shape) * random.choice([1, 3, scale]) + random.choice([0, -5, scale])).astype(
            "f8"
        )
        array = np.asarray(array)
        for value in random.choice([np.nan, np.inf, -np.inf, -0.0, 1e300, 1e-320], random.integers(0, 2)):
            if array.size:
                array.flat[random.integers(array.size)] = value
        if kind[0] in "US":
            array = np.full(shape, "mel", kind)
        elif kind[0] == "M":
            array = np.zeros(shape, kind)
        else:
            array = array.astype(kind)
    views = [lambda a: a, lambda a: a.T, lambda a: a[..., ::-1] if a.ndim else a, lambda a: a.tolist(), torch.as_tensor]
    try:
        array = views[random.integers(len(views))](array)
    except (TypeError, ValueError):
        pass
    others = [
        None,
        3,
        "",
        "mel",
        b"mel",
        {},
        {1: 2},
        object(),
        [[1.0], [1.0, 2.0]],
        "x" * 5000,
        "a\0b",
        range(5),
        array,
    ]
    return array if random.random() < 0.9 else others[random.integers(len(others))]


def test_anything_gives_audio_or_one_user_error():
    """WAVEGAN_FUZZ=5000 tries more."""
    model = synthesizer(SpectralConfig(dim=8, num_blocks=1), MODEL)
    random, outcomes = np.random.default_rng(0), {True: 0, False: 0}
    with np.errstate(all="ignore"):
        for _ in range(int(os.environ.get("WAVEGAN_FUZZ", 400))):
            given = random_input(random)
            attempt = random.choice(
                [model.vocode, lambda x: model.vocode(x, features=MODEL), lambda x: list(model.stream([x]))]
            )
            try:
                spoken = attempt(given)
            except UserError as error:
                outcomes[False] += 1
                assert 10 < len(str(error)) < 10000
            else:
                outcomes[True] += 1
                assert all(
                    np.isfinite(np.asarray(piece)).all()
                    for piece in ([spoken] if isinstance(spoken, np.ndarray) else spoken)
                )
    assert min(outcomes.values()) > 10


def test_the_embedded_model_on_the_command_line(tmp_path):
    from tests.test_cli import assert_refused, run

    model = Synthesizer.from_pretrained("vocoder-16k")
    np.save(tmp_path / "bare.npy", model.mel(speech_like(0.5)).numpy())
    theirs = model.features.model_copy(update={"log": "log10"})
    mel_files.save_mel(tmp_path / "theirs.npz", LogMel(theirs)(speech_like(0.5)[None])[0], theirs)
    assert run("vocode", tmp_path / "bare.npy", "-o", tmp_path / "a.wav").returncode == 0
    assert_refused(run("vocode", tmp_path / "theirs.npz", "-o", tmp_path / "b.wav"), "--convert")
    done = run("vocode", tmp_path / "theirs.npz", "-o", tmp_path / "b.wav", "--convert", "--threads", "1")
    assert done.returncode == 0 and "times real time on 1 thread\n" in done.stdout, done.stderr
    found = [audio.read(tmp_path / name)[0] for name in ("a.wav", "b.wav")]
    assert (found[0] - found[1]).abs().max() < 0.01
    assert_refused(run("vocode", tmp_path / "bare.npy", "-o", tmp_path / "c.wav", "--features", "vocos"), "sample_rate")
    assert_refused(
        run("vocode", tmp_path / "bare.npy", "-o", tmp_path / "c.wav", "--features", "x"), "No mel convention"
    )
    assert "look-ahead: 280 ms in a stream of mels; 296 ms" in run("info", "vocoder-16k").stdout
