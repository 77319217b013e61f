"""Silence at the ends and loudness, against what BS.1770 says of tones and a reference written from its text."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.signal import lfilter

from tests.conftest import RATE, speech_like
from wavegan.audio import loudness
from wavegan.audio.silence import FRAME_SECONDS, MARGIN_SECONDS, trim_by_energy


def tone(frequency: float, seconds: float, rate: int, peak: float = 1.0) -> torch.Tensor:
    return peak * torch.sin(2 * torch.pi * frequency * torch.arange(int(seconds * rate), dtype=torch.float64) / rate)


def level(power: float) -> float:
    return -0.691 + 10 * np.log10(power)


def reference(waveform: np.ndarray) -> float:
    """BS.1770-4 at 48 kHz: its two filters as printed, blocks of 0.4 s every 0.1 s, an absolute and a relative gate."""
    shelf = ([1.53512485958697, -2.69169618940638, 1.19839281085285], [1.0, -1.69065929318241, 0.73248077421585])
    high_pass = ([1.0, -2.0, 1.0], [1.0, -1.99004745483398, 0.99007225036621])
    weighted = lfilter(*high_pass, lfilter(*shelf, waveform))
    blocks = [np.mean(weighted[i : i + 19200] ** 2) for i in range(0, len(weighted) - 19199, 4800)]
    loud = [power for power in blocks if level(power) > -70]
    return level(np.mean([power for power in loud if level(power) > level(np.mean(loud)) - 10]))


def test_loudness_is_that_of_the_recommendation():
    for rate in (8000, 16000, 22050, 48000):
        assert loudness.loudness(tone(997, 3, rate).float(), rate) == pytest.approx(-3.01, abs=0.005)
    waveform = speech_like(3.0, 48000)
    assert loudness.loudness(waveform, 48000) == pytest.approx(reference(waveform.double().numpy()), abs=1e-6)


@pytest.mark.parametrize("rate", [8000, 16000, 22050, 44100])
@pytest.mark.parametrize("seconds", [0.2, 2.0])
def test_recordings_come_to_the_target(rate, seconds):
    waveform = 0.05 * speech_like(seconds, rate, seed=1)
    found = loudness.set_loudness(waveform, rate, -30.0)
    assert loudness.loudness(found, rate) == pytest.approx(-30.0, abs=0.01)
    loud = waveform.abs() > 1e-3
    ratio = found[loud] / waveform[loud]
    assert ratio.std() < 1e-4 * ratio.mean()  # one gain


def test_a_peak_that_would_clip_limits_the_gain():
    waveform = torch.zeros(RATE)
    waveform[::1600] = 0.5  # clicks: hardly loud, but peaks
    assert float(loudness.set_loudness(waveform, RATE, -6.0).abs().max()) == pytest.approx(10 ** (-1 / 20), rel=1e-4)
    silence = torch.full((RATE,), 1e-6)
    assert torch.equal(loudness.set_loudness(silence, RATE, -23.0), silence)


@pytest.mark.parametrize("rate", [8000, 16000, 44100])
def test_silence_at_both_ends_goes_but_a_margin(rate):
    waveform = 1e-4 * torch.from_numpy(np.random.default_rng(0).standard_normal(3 * rate)).float()
    waveform[rate : 2 * rate] += tone(300, 1.0, rate, 0.3).float()
    found = trim_by_energy(waveform, rate)
    start = next(i for i in range(rate) if torch.equal(waveform[i : i + len(found)], found))
    frame, margin = FRAME_SECONDS, MARGIN_SECONDS
    assert 1 - margin - frame - 1e-3 <= start / rate <= 1 - margin + 1e-3
    assert 2 + margin - 1e-3 <= (start + len(found)) / rate <= 2 + margin + frame + 1e-3


def test_what_has_no_silence_at_its_ends_stays():
    for waveform in (tone(300, 0.5, RATE).float(), tone(300, 0.01, RATE).float()):
        assert torch.equal(trim_by_energy(waveform, RATE), waveform)
