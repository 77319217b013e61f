"""LogMel equals librosa; the inverse STFT equals torch's and keeps the length; padding of short signals."""

from __future__ import annotations

import librosa
import numpy as np
import pytest
import torch

from tests.conftest import speech_like
from wavegan.audio.log_mel import LogMel, LogMelConfig, mel_filterbank
from wavegan.audio.mel_effects import mel_frequencies, shift_bands, stretch_frames
from wavegan.audio.stft import STFT, InverseSTFT, hann_window, stft


@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
@pytest.mark.parametrize("power", [1, 2])
@pytest.mark.parametrize("padding", ["center", "same"])
@pytest.mark.parametrize(("log", "floor"), [("ln", 1e-5), ("log10", 1e-10)])
def test_log_mel_equals_librosa(mel_scale, power, padding, log, floor):
    config = LogMelConfig(
        sample_rate=16000,
        n_fft=512,
        hop_length=128,
        win_length=400,
        n_mels=40,
        fmin=50,
        fmax=7000,
        mel_scale=mel_scale,
        mel_norm="slaney" if mel_scale == "slaney" else "none",
        padding=padding,
        power=power,
        log=log,
        floor=floor,
    )
    waveform = speech_like(1.0).numpy()
    centred = padding == "center"
    padded = waveform if centred else np.pad(waveform, (512 - 128) // 2, mode="reflect")
    expected = librosa.feature.melspectrogram(
        y=padded,
        sr=16000,
        n_fft=512,
        hop_length=128,
        win_length=400,
        n_mels=40,
        fmin=50,
        fmax=7000,
        htk=mel_scale == "htk",
        norm="slaney" if mel_scale == "slaney" else None,
        power=power,
        center=centred,
        pad_mode="reflect",
    )
    expected = (np.log if log == "ln" else np.log10)(np.maximum(expected, floor))
    mel = LogMel(config)(torch.from_numpy(waveform)[None])[0].numpy()
    assert mel.shape == expected.shape
    np.testing.assert_allclose(mel, expected, atol=2e-3)
    assert np.abs(mel - expected).mean() < 2e-5


@pytest.mark.parametrize("mel_scale", ["slaney", "htk"])
@pytest.mark.parametrize("norm", ["slaney", "none"])
def test_mel_filterbank_equals_librosa(mel_scale, norm):
    config = LogMelConfig(
        sample_rate=22050, n_fft=1024, hop_length=256, n_mels=80, fmax=8000, mel_scale=mel_scale, mel_norm=norm
    )
    expected = librosa.filters.mel(
        sr=22050, n_fft=1024, n_mels=80, fmax=8000, htk=mel_scale == "htk", norm=None if norm == "none" else norm
    )
    np.testing.assert_allclose(
        mel_filterbank(config).T.numpy(), expected, atol=1e-5
    )  # torchaudio computes it in float32


def test_log_mel_of_silence_is_the_floor_and_standardised():
    config = LogMelConfig(sample_rate=16000, n_fft=512, hop_length=128, n_mels=4, mean=[-1.0] * 4, std=[2.0] * 4)
    mel = LogMel(config)(torch.zeros(1, 1600))
    assert torch.allclose(mel, torch.full_like(mel, (np.log(1e-5) + 1) / 2))
    assert torch.allclose(LogMel(config).to_magnitude(mel), torch.full_like(mel, 1e-5), rtol=1e-4)


def test_log_mel_in_chunks_is_the_same(monkeypatch):
    log_mel = LogMel(LogMelConfig(sample_rate=16000, n_fft=512, hop_length=128, n_mels=80))
    waveform = speech_like(1.0)[None]
    whole = log_mel(waveform)
    monkeypatch.setattr(LogMel, "CHUNK", 7)
    assert torch.allclose(log_mel(waveform), whole, atol=1e-5)


@pytest.mark.parametrize("length", [1, 100, 257, 512])
@pytest.mark.parametrize("padding", ["center", "same"])
def test_log_mel_of_short_signals(length, padding):
    config = LogMelConfig(sample_rate=16000, n_fft=512, hop_length=128, n_mels=20, padding=padding)
    mel = LogMel(config)(speech_like(0.1)[None, :length])
    assert mel.shape[2] == (1 + length // 128 if padding == "center" else max(length // 128, 1))
    assert torch.isfinite(mel).all()


@pytest.mark.parametrize(("n_fft", "hop", "win"), [(512, 128, 512), (512, 128, 400), (512, 100, 512), (64, 30, 64)])
def test_inverse_stft_equals_torch(n_fft, hop, win):
    torch.manual_seed(0)
    frames = 23
    spectrum = torch.randn(2, n_fft // 2 + 1, frames, dtype=torch.complex64)
    spectrum[:, [0, -1]] = spectrum[:, [0, -1]].real.to(torch.complex64)
    waveform = InverseSTFT(n_fft, hop, win)(torch.view_as_real(spectrum.mT.contiguous()))
    assert waveform.shape == (2, 1, frames * hop)
    expected = torch.istft(spectrum, n_fft, hop, win, hann_window(win), length=(frames - 1) * hop)
    assert (waveform[:, 0, : (frames - 1) * hop] - expected).abs().max() < 1e-5


@pytest.mark.parametrize("padding", ["center", "same"])
def test_inverse_stft_inverts_stft(padding):
    waveform = speech_like(0.512)[None]
    assert waveform.shape[1] % 128 == 0
    spectrum = stft(waveform, 512, 128, torch.hann_window(512), padding)[..., : waveform.shape[1] // 128]
    again = InverseSTFT(512, 128, padding=padding)(torch.view_as_real(spectrum.mT.contiguous()))
    assert again.shape == (1, 1, waveform.shape[1])
    assert (again[0, 0, :-512] - waveform[0, :-512]).abs().max() < 1e-5


@pytest.mark.parametrize(("n_fft", "hop", "win"), [(512, 128, 512), (512, 128, 400), (512, 100, 512), (64, 30, 64)])
@pytest.mark.parametrize("padding", ["center", "same"])
def test_stft_module_equals_torch_with_silence_beyond_the_ends(n_fft, hop, win, padding):
    waveform = speech_like(0.5)[None, : 30 * hop]
    spectrum = torch.view_as_complex(STFT(n_fft, hop, win, padding)(waveform[None])).mT
    silence = torch.zeros(1, n_fft * hop)  # whole hops
    longer = stft(torch.cat([silence, waveform, silence], 1), n_fft, hop, hann_window(win), padding)
    expected = longer[..., n_fft : n_fft + 30]
    assert spectrum.shape == (1, n_fft // 2 + 1, 30) and (spectrum - expected).abs().max() < 1e-4


@pytest.mark.parametrize("padding", ["center", "same"])
def test_exported_graphs_have_the_same_transforms_without_complex_numbers(monkeypatch, padding):
    waveform = speech_like(0.5)[None, None, :7936]
    forward, inverse = STFT(256, 64, padding=padding), InverseSTFT(256, 64, padding=padding)
    spectrum = forward(waveform)
    again = inverse(spectrum)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    assert (forward(waveform) - spectrum).abs().max() < 1e-4
    assert (inverse(spectrum) - again).abs().max() < 1e-5
    program = torch.export.export(inverse, (spectrum,))
    assert "complex" not in str(program.graph) and "fft" not in str(program.graph)


def test_contract_difference_reads_none_as_what_it_means():
    ours = LogMelConfig(sample_rate=16000, n_fft=512, hop_length=128, n_mels=80)
    same = ours.model_copy(update={"fmax": 8000.0, "win_length": 512})
    assert ours.diff(same) == {}
    assert ours.diff(same.model_copy(update={"log": "log10", "hop_length": 256})) == {
        "log": ("ln", "log10"),
        "hop_length": (128, 256),
    }


@pytest.mark.parametrize("scale", ["slaney", "htk"])
def test_mel_frequencies_equal_librosa(scale):
    contract = LogMelConfig(sample_rate=22050, n_fft=1024, hop_length=256, n_mels=80, fmin=40, mel_scale=scale)
    expected = librosa.mel_frequencies(82, fmin=40, fmax=11025, htk=scale == "htk")[1:-1]
    assert np.abs(mel_frequencies(contract).numpy() / expected - 1).max() < 1e-5


def test_shifted_bands_are_those_of_a_higher_tone():
    """An octave up, the mel of a tone at 1 kHz peaks where one at 2 kHz does; what was above is silence."""
    contract = LogMelConfig(sample_rate=16000, n_fft=1024, hop_length=256, n_mels=80)
    time = torch.arange(16000) / 16000
    low, high = (LogMel(contract)(torch.sin(2 * torch.pi * f * time)[None]) for f in (1000.0, 2000.0))
    shifted = shift_bands(low, contract, 12)
    assert (shifted.argmax(1) - high.argmax(1)).abs().max() <= 1
    assert torch.equal(shift_bands(low, contract, 0), low)
    assert (shift_bands(low, contract, -12)[:, -5:] == contract.log_floor).all()


def test_stretched_frames_keep_their_ends_and_change_their_number():
    mel = torch.randn(1, 4, 50)
    assert torch.equal(stretch_frames(mel, 1.0), mel)
    assert stretch_frames(mel, 2.0).shape == (1, 4, 25) and stretch_frames(mel, 0.5).shape == (1, 4, 100)
    assert torch.allclose(stretch_frames(mel, 0.5)[..., [0, -1]], mel[..., [0, -1]])
