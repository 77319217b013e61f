"""Playing a checkpoint: files, arrays, batches, long inputs; mels that don't fit; damaged checkpoints."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch

from tests.conftest import RATE, speech_like
from wavegan import Synthesizer, UserError, audio, list_pretrained
from wavegan.audio import mel_files
from wavegan.audio.log_mel import LogMelConfig
from wavegan.audio.resample import resample
from wavegan.checkpoints import hub, native
from wavegan.metrics import mel_l1
from wavegan.models.generators import SpectralConfig
from wavegan.tasks.vocoder import VocoderConfig

MODEL = "vocoder-16k"


@pytest.fixture(scope="module")
def vocoder() -> Synthesizer:
    return Synthesizer.from_pretrained(MODEL)


def test_the_embedded_model_is_small_and_copies_speech(vocoder):
    assert MODEL in list_pretrained()
    assert sum(p.numel() for p in vocoder.generator.parameters()) <= 3_000_000
    real = speech_like(1.0)
    fake = vocoder.vocode(real)
    assert fake.dtype == np.float32 and fake.shape == (RATE,)
    assert mel_l1(real, torch.from_numpy(fake), RATE) < 0.35


def test_file_array_and_batch_agree(vocoder, tmp_path):
    audio.write(tmp_path / "a.wav", speech_like(0.5), RATE)
    waveform, _ = audio.read(tmp_path / "a.wav")
    from_file = vocoder.vocode(tmp_path / "a.wav")
    assert np.array_equal(from_file, vocoder.vocode(str(tmp_path / "a.wav")))
    assert np.array_equal(from_file, vocoder.vocode(waveform)) and np.array_equal(
        from_file, vocoder.vocode(waveform.numpy())
    )
    batch = vocoder.vocode(torch.stack([waveform, waveform * 0.5]).unsqueeze(1))
    assert batch.shape == (2, len(waveform)) and np.abs(batch[0] - from_file).max() < 1e-4
    assert np.array_equal(from_file, vocoder.vocode(waveform.tolist()))
    several = vocoder.vocode([waveform, waveform[:3000], tmp_path / "a.wav"])
    assert [len(w) for w in several] == [len(waveform), 3000, len(waveform)]


def test_a_mel_gives_frames_times_hop(vocoder):
    mel = vocoder.mel(speech_like(0.5))
    assert mel.shape == (80, 1 + 8000 // 128)
    assert len(vocoder.vocode(mel)) == mel.shape[1] * 128
    assert vocoder.vocode(torch.stack([mel, mel])).shape == (2, mel.shape[1] * 128)
    weight = torch.ones(80, 1, requires_grad=True)
    (mel * weight).square().sum().backward()  # a mel may be trained on


def test_a_waveform_of_another_rate_is_resampled(vocoder):
    fast = speech_like(0.5, 44100)
    assert torch.equal(vocoder.mel(fast, sample_rate=44100), vocoder.mel(resample(fast, 44100, RATE)))
    assert len(vocoder.vocode(speech_like(0.5, 44100), sample_rate=44100)) == 8000
    assert vocoder.vocode(speech_like(0.5)[None]).shape == (1, 8000)
    with pytest.raises(UserError, match="whole number"):
        vocoder.vocode(speech_like(0.5), sample_rate=-1)


@pytest.mark.parametrize("padding", ["center", "same"])
@pytest.mark.parametrize("length", [1, 127, 128, 129, 1000])
def test_a_copy_has_the_length_of_its_recording(padding, length):
    features = LogMelConfig(sample_rate=RATE, n_fft=512, hop_length=128, n_mels=80, padding=padding)
    synthesizer = tiny_synthesizer(features)
    assert len(synthesizer.vocode(speech_like(0.1)[:length])) == length


def tiny_synthesizer(features: LogMelConfig) -> Synthesizer:
    generator = SpectralConfig(dim=16, num_blocks=2)
    contents = native.CheckpointConfig(
        format_version=1,
        wavegan_version="0",
        step=0,
        name="tiny",
        task=VocoderConfig(features=features),
        generator=generator,
    )
    torch.manual_seed(0)
    return Synthesizer(generator.build(contents.task), contents)


def test_a_mel_file_carries_its_contract(vocoder, tmp_path):
    mel = vocoder.mel(speech_like(0.5))
    mel_files.save_mel(tmp_path / "a.npz", mel, vocoder.features)
    assert np.array_equal(vocoder.vocode(tmp_path / "a.npz"), vocoder.vocode(mel))
    np.save(tmp_path / "a.npy", mel.numpy())
    assert np.array_equal(vocoder.vocode(tmp_path / "a.npy"), vocoder.vocode(mel))


@pytest.mark.parametrize(
    ("change", "lines"),
    [
        ({"hop_length": 256}, ["hop_length: the model expects 128, this mel has 256"]),
        ({"log": "log10", "floor": 1e-10}, ["log: the model expects ln", "floor: ", "parallel_wavegan"]),
        ({"sample_rate": 22050}, ["sample_rate: the model expects 16000, this mel has 22050"]),
        ({"padding": "same"}, ["padding", "hifigan"]),
        ({"mel_scale": "htk", "mel_norm": "none", "floor": 1e-7}, ["mel_scale", "vocos"]),
    ],
)
def test_a_mel_of_another_contract_is_refused_with_a_diff(vocoder, tmp_path, change, lines):
    other = vocoder.features.model_copy(update=change)
    mel = torch.full((80, 10), -3.0)
    mel_files.save_mel(tmp_path / "a.npz", mel, other)
    for attempt in (lambda: vocoder.vocode(tmp_path / "a.npz"), lambda: vocoder.vocode(mel, features=other)):
        with pytest.raises(UserError, match="does not fit the model") as caught:
            attempt()
        assert all(line in str(caught.value) for line in lines)


def test_bare_mels_that_look_wrong(vocoder):
    mel = vocoder.mel(torch.cat([torch.zeros(2000), speech_like(0.5)]))
    cases = {
        "transposed": mel.T,
        "79 bands": mel[:79],
        "no frames": mel[:, :0],
        "not finite": torch.where(mel > -4, float("nan"), mel),
        "integers": mel.int(),
        "log10, floor 1e-5": mel / np.log(10),
        "natural log, floor 1e-7": torch.where(mel < -11.5, -16.1181, mel),
        "not logarithmic": mel.exp(),
        "decibels": mel * 20 / np.log(10),
        "waveform of 2 channels": torch.rand(2, 16000),
        "shape": torch.rand(1, 1, 80, 5),
    }
    for expected, wrong in cases.items():
        with pytest.raises(UserError, match=expected):
            vocoder.vocode(wrong)


def test_a_predicted_mel_may_dip_below_the_floor(vocoder):
    mel = vocoder.mel(torch.cat([torch.zeros(2000), speech_like(0.5)]))
    noisy = mel + 0.05 * torch.randn(mel.shape, generator=torch.Generator().manual_seed(0))
    for fine in (mel.half(), noisy):
        assert np.isfinite(vocoder.vocode(fine)).all()


def test_bad_waveforms(vocoder):
    for expected, wrong in {
        "integers": torch.ones(100, dtype=torch.int16),
        "no samples": torch.zeros(0),
        "not finite": torch.full((100,), float("inf")),
        "complex": torch.ones(100, dtype=torch.complex64),
        "between -1 and 1": torch.full((100,), 20000.0),
    }.items():
        for use in (vocoder.vocode, vocoder.mel):
            with pytest.raises(UserError, match=expected):
                use(wrong)
    for shape in ((2, 2, 8000), (1, 1, 1, 8000), ()):
        with pytest.raises(UserError, match=r"should be \(T,\), \(B, T\) or \(B, 1, T\), got shape"):
            vocoder.mel(torch.zeros(shape))


def test_options_that_do_not_apply_are_refused(vocoder, tmp_path):
    audio.write(tmp_path / "a.wav", speech_like(0.3), RATE)
    mel = vocoder.mel(tmp_path / "a.wav")
    for source in (tmp_path / "a.wav", speech_like(0.3)):
        for option in ({"features": vocoder.features}, {"convert": True}):
            with pytest.raises(UserError, match="features and convert are for mels, and .* is a recording"):
                vocoder.vocode(source, **option)
    mel_files.save_mel(tmp_path / "a.npz", mel, vocoder.features)
    with pytest.raises(UserError, match="a.npz carries its contract, which differs from features"):
        vocoder.vocode(tmp_path / "a.npz", features="nemo", convert=True)
    with pytest.raises(UserError, match="the mel is none: leave it out"):
        vocoder.vocode(mel, sample_rate=RATE)
    for use in (vocoder.vocode, vocoder.mel):
        with pytest.raises(UserError, match="a.wav has a sample_rate in its header"):
            use(tmp_path / "a.wav", sample_rate=44100)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"device": "gpu"}, "device should be cpu, or .*; got 'gpu'"),
        ({"device": "meta"}, "device should be cpu, or .*; got 'meta'"),
        ({"device": "cuda:99"}, "device should be cpu, or .*; got 'cuda:99'"),
        ({"device": None}, "device should be cpu, or .*; got 'None'"),
        ({"backend": "tensorrt"}, "backend should be one of torch, onnxruntime or an exported .onnx"),
        ({"backend": "none.onnx"}, "none.onnx can't be run by onnxruntime"),
        ({"name_or_folder": None}, "A model is named by a name or a path, got NoneType"),
    ],
)
def test_what_cant_be_loaded_gets_one_sentence(arguments, expected):
    with pytest.raises(UserError, match=expected):
        Synthesizer.from_pretrained(**{"name_or_folder": MODEL, **arguments})


def test_bad_mel_files(vocoder, tmp_path):
    np.save(tmp_path / "flat.npy", np.zeros(80, np.float32))
    with pytest.raises(UserError, match="a mel is .bands, frames."):
        vocoder.vocode(tmp_path / "flat.npy")
    (tmp_path / "a.npy").write_bytes(b"nonsense")
    np.savez(tmp_path / "b.npz", other=np.zeros(3))
    np.save(tmp_path / "c.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    (tmp_path / "d.npz").write_bytes((tmp_path / "b.npz").read_bytes()[:100])
    for name in ("a.npy", "b.npz", "c.npy", "d.npz"):
        with pytest.raises(UserError, match=f"{name} has no mel"):
            vocoder.vocode(tmp_path / name)
    with pytest.raises(UserError, match="No such file"):
        vocoder.vocode(tmp_path / "none.npz")


@pytest.fixture
def copied(tmp_path):
    shutil.copytree(hub.PRETRAINED / MODEL, tmp_path / "model")
    return tmp_path / "model"


def change_config(folder, **changes) -> None:
    data = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(data | changes))


def test_damaged_checkpoints_get_one_sentence(copied):
    def refused(expected: str) -> None:
        with pytest.raises(UserError, match=expected):
            Synthesizer.from_pretrained(copied)

    weights, settings = copied / "generator.safetensors", copied / "config.json"
    data, text = weights.read_bytes(), settings.read_text()
    weights.write_bytes(data[: len(data) // 2])
    refused("generator.safetensors is damaged or cut short")
    weights.write_bytes(b"")
    refused("generator.safetensors is damaged or cut short")
    weights.unlink()
    refused("has no generator.safetensors")
    weights.write_bytes(data)
    change_config(copied, format_version=99)
    refused("has checkpoint format 99; this wavegan .* reads format 1")
    settings.write_text(text)
    change_config(copied, generator={"name": "spectral", "dim": 8})
    refused("do not fit their configuration")
    settings.write_text(text)
    change_config(copied, generatr=1)
    refused("generatr: unknown key; did you mean 'generator'")
    settings.write_text(text[:50])
    refused("not a wavegan configuration")
    settings.unlink()
    refused("it has no config.json")
    with pytest.raises(UserError, match="Models in the package: .*vocoder-16k"):
        Synthesizer.from_pretrained("vocoder-17k")


def test_weights_that_are_not_finite_are_refused(copied):
    tensors = native.load_file(copied / "generator.safetensors")
    tensors["head.out.bias"][3] = float("nan")
    (copied / "generator.safetensors").write_bytes(native.save(tensors))
    with pytest.raises(UserError, match="not finite: head.out.bias"):
        Synthesizer.from_pretrained(copied)
