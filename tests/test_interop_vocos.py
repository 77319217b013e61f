"""Vocos: made-up checkpoints against a reference on the raw dictionary, in float64."""

from __future__ import annotations

from pathlib import Path

import librosa
import numpy as np
import pytest
import torch
import yaml
from torch import Tensor
from torch.nn import functional as F

from tests.conftest import speech_like
from tests.foreign import draw
from wavegan import UserError
from wavegan.audio.log_mel import LogMel
from wavegan.checkpoints.formats import load_foreign, read_foreign

N_FFT, HOP, BANDS, DIM, WIDTH, LAYERS = 64, 16, 10, 16, 32, 2
NAMES = {
    "feature_extractor": "vocos.feature_extractors.MelSpectrogramFeatures",
    "backbone": "vocos.models.VocosBackbone",
    "head": "vocos.heads.ISTFTHead",
}


def settings(padding: str) -> dict:
    mel = {"sample_rate": 16000, "n_fft": N_FFT, "hop_length": HOP, "n_mels": BANDS, "padding": padding}
    backbone = {"input_channels": BANDS, "dim": DIM, "intermediate_dim": WIDTH, "num_layers": LAYERS}
    head = {"dim": DIM, "n_fft": N_FFT, "hop_length": HOP, "padding": padding}
    arguments = {"feature_extractor": mel, "backbone": backbone, "head": head}
    return {part: {"class_path": NAMES[part], "init_args": arguments[part]} for part in NAMES}


def weights() -> dict[str, Tensor]:
    random, state = np.random.default_rng(0), {}

    def add(name: str, *size: int, scale: float | None = None) -> None:
        state[f"{name}.weight"] = draw(*size, scale=scale, random=random)
        state[f"{name}.bias"] = draw(size[0], scale=0.1, random=random)

    def add_norm(name: str) -> None:
        state[f"{name}.weight"] = 1 + draw(DIM, scale=0.1, random=random)
        state[f"{name}.bias"] = draw(DIM, scale=0.1, random=random)

    add("backbone.embed", DIM, BANDS, 7)
    add_norm("backbone.norm")
    for i in range(LAYERS):
        block = f"backbone.convnext.{i}"
        state[f"{block}.gamma"] = draw(DIM, scale=0.5, random=random)
        add(f"{block}.dwconv", DIM, 1, 7)
        add_norm(f"{block}.norm")
        add(f"{block}.pwconv1", WIDTH, DIM, scale=DIM**-0.5)
        add(f"{block}.pwconv2", DIM, WIDTH, scale=WIDTH**-0.5)
    add_norm("backbone.final_layer_norm")
    add("head.out", N_FFT + 2, DIM, scale=1.0)
    state["head.out.bias"][3] = 8.0  # exp of it is cut off at 100
    bank = librosa.filters.mel(sr=16000, n_fft=N_FFT, n_mels=BANDS, htk=True, norm=None)
    state["feature_extractor.mel_spec.mel_scale.fb"] = torch.from_numpy(bank.T.copy())
    state["feature_extractor.mel_spec.spectrogram.window"] = torch.hann_window(N_FFT)
    state["head.istft.window"] = torch.hann_window(N_FFT)
    return state


def forward(state: dict[str, Tensor], mel: Tensor, padding: str) -> np.ndarray:
    s = {name: tensor.double() for name, tensor in state.items()}

    def norm(name: str, x: Tensor) -> Tensor:
        return F.layer_norm(x, (DIM,), s[f"{name}.weight"], s[f"{name}.bias"], eps=1e-6)

    x = F.conv1d(mel.double(), s["backbone.embed.weight"], s["backbone.embed.bias"], padding=3)
    x = norm("backbone.norm", x.transpose(1, 2)).transpose(1, 2)
    for i in range(LAYERS):
        b = f"backbone.convnext.{i}"
        h = F.conv1d(x, s[f"{b}.dwconv.weight"], s[f"{b}.dwconv.bias"], padding=3, groups=DIM).transpose(1, 2)
        h = F.gelu(norm(f"{b}.norm", h) @ s[f"{b}.pwconv1.weight"].T + s[f"{b}.pwconv1.bias"])
        h = s[f"{b}.gamma"] * (h @ s[f"{b}.pwconv2.weight"].T + s[f"{b}.pwconv2.bias"])
        x = x + h.transpose(1, 2)
    out = norm("backbone.final_layer_norm", x.transpose(1, 2)) @ s["head.out.weight"].T + s["head.out.bias"]
    magnitude, phase = out.numpy()[..., : N_FFT // 2 + 1], out.numpy()[..., N_FFT // 2 + 1 :]
    spectrum = np.minimum(np.exp(magnitude), 100.0) * np.exp(1j * phase)
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    frames = np.fft.irfft(spectrum, N_FFT) * window
    total = np.zeros((len(frames), (frames.shape[1] - 1) * HOP + N_FFT))
    envelope = np.zeros(total.shape[1])
    for i in range(frames.shape[1]):
        total[:, i * HOP : i * HOP + N_FFT] += frames[:, i]
        envelope[i * HOP : i * HOP + N_FFT] += window**2
    trim = N_FFT // 2 if padding == "center" else (N_FFT - HOP) // 2
    return (total[:, trim:-trim] / envelope[trim:-trim])[:, None]


def write(folder: Path, state: dict[str, Tensor], config: dict, name: str = "pytorch_model.bin") -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.safe_dump(config))
    torch.save(state, folder / name)
    return folder


@pytest.mark.parametrize("padding", ["center", "same"])
@pytest.mark.parametrize("lightning", [False, True], ids=["published", "Lightning"])
def test_vocos(tmp_path, padding, lightning):
    """Where ours goes on for another hop, "center", the published one stops at its last frame."""
    state = weights()
    if lightning:
        training = {"multiperioddisc.discriminators.0.convs.0.weight_g": torch.ones(1), "melspec_loss.x": torch.ones(1)}
        config = {"trainer": {"max_steps": 1}, "model": {"class_path": "VocosExp", "init_args": settings(padding)}}
        write(tmp_path, {"state_dict": state | training, "epoch": 1}, config, "checkpoints.ckpt")
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints.ckpt").rename(tmp_path / "checkpoints" / "last.ckpt")
        path = tmp_path / "checkpoints" / "last.ckpt"  # its settings are a folder above
    else:
        path = write(tmp_path, state, settings(padding))
    mel = torch.from_numpy(np.random.default_rng(1).standard_normal((2, BANDS, 30))).float()
    expected = forward(state, mel, padding)
    generator, _ = load_foreign(path)
    waveform = generator(mel).numpy()
    assert waveform.shape[-1] == 30 * HOP and expected.shape[-1] == (30 if padding == "same" else 29) * HOP
    assert np.abs(expected).mean() > 0.05
    # Sums of magnitudes up to 100: the bound is relative to the loudest sample.
    difference = np.abs(waveform[..., : expected.shape[-1]] - expected).max()
    assert difference < 1e-5 * max(1.0, np.abs(expected).max())


@pytest.mark.parametrize("padding", ["center", "same"])
def test_mels_of_vocos(tmp_path, padding):
    waveform = torch.cat([speech_like(0.3), torch.zeros(1600)]).double().numpy()
    amount = N_FFT // 2 if padding == "center" else (N_FFT - HOP) // 2
    padded = np.pad(waveform, amount, mode="reflect")
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(N_FFT) / N_FFT)
    frames = np.stack([padded[i : i + N_FFT] * window for i in range(0, len(padded) - N_FFT + 1, HOP)])
    bank = librosa.filters.mel(sr=16000, n_fft=N_FFT, n_mels=BANDS, htk=True, norm=None, dtype=np.float64)
    expected = np.log(np.maximum(bank @ np.abs(np.fft.rfft(frames)).T, 1e-7))
    assert np.isclose(expected.min(), -16.1181, atol=1e-4)
    features = read_foreign(write(tmp_path, weights(), settings(padding))).task.features
    mel = LogMel(features)(torch.from_numpy(waveform).float()[None])[0].numpy()
    assert mel.shape == expected.shape and np.abs(mel - expected).max() < 1e-3


def test_its_settings_and_weights_must_agree(tmp_path):
    def refused(expected: str, state: dict | None = None, **arguments: dict) -> None:
        config = settings("center")
        for part, changes in arguments.items():
            config[part]["class_path"] = changes.pop("class_path", NAMES[part])
            config[part]["init_args"] |= changes
        with pytest.raises(UserError, match=expected):
            load_foreign(write(tmp_path, weights() | (state or {}), config))

    refused("n_mels 80, but the weights", feature_extractor={"n_mels": 80})
    refused("num_layers 8, but the weights .* have 2", backbone={"num_layers": 8})
    refused("dim 512, but the weights", backbone={"dim": 512, "intermediate_dim": 512})
    refused("n_fft \\+ 2 514", feature_extractor={"n_fft": 512}, head={"n_fft": 512})
    refused("differ in n_fft, hop_length or padding", head={"padding": "same"})
    refused("EnCodec's tokens", feature_extractor={"class_path": "vocos.feature_extractors.EncodecFeatures"})
    refused("only 'vocos.heads.ISTFTHead' is supported", head={"class_path": "os.system"})
    refused("adaptive norms", backbone={"adanorm_num_embeddings": 4})
    refused("multiple of dim", backbone={"intermediate_dim": 33})
    bank = {"feature_extractor.mel_spec.mel_scale.fb": torch.ones(33, BANDS)}
    refused("mel_scale.fb differs from that of its settings", bank)
    refused("mel_scale.fb differs", feature_extractor={"sample_rate": 24000}, head={})
    refused("unexpected post.bias", {"post.bias": torch.ones(1)})
    refused("head.out.bias is \\(3,\\), expected \\(66,\\)", {"head.out.bias": torch.ones(3)})
