"""Metrics on pairs with known answers."""

from __future__ import annotations

import math

import pytest
import torch

from tests.conftest import RATE, speech_like
from wavegan import metrics


def test_an_identical_copy_is_perfect():
    real = speech_like(2.0)
    scores = metrics.copy_quality(real, real.clone(), RATE)
    assert scores["mel_l1"] == 0 and scores["estoi"] == pytest.approx(1, abs=1e-4)
    assert scores["pesq"] == pytest.approx(4.644, abs=0.01)


def test_half_the_amplitude_is_ln_2_away_in_mel():
    real = 0.01 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))  # every band above the floor
    assert metrics.mel_l1(real, 0.5 * real, RATE) == pytest.approx(math.log(2), rel=1e-3)


def test_noise_lowers_every_score():
    real = speech_like(2.0)
    noise = torch.randn(len(real), generator=torch.Generator().manual_seed(0))
    noise = noise * real.square().mean().sqrt() / noise.square().mean().sqrt()
    quiet, loud = (metrics.copy_quality(real, real + noise * 10 ** (-snr / 20), RATE) for snr in (20, 0))
    assert loud["pesq"] < quiet["pesq"] < 4 and loud["estoi"] < quiet["estoi"] < 1
    assert loud["mel_l1"] > quiet["mel_l1"] > 0


def test_undefined_scores_are_nan_and_not_errors():
    silence = torch.zeros(RATE)
    assert math.isnan(metrics.pesq(silence, silence, RATE))
    short = speech_like(0.1)
    assert math.isnan(metrics.estoi(short, short, RATE))
    assert "nan" not in metrics.describe(short, short, RATE)


def test_pesq_survives_minutes_of_short_utterances():
    """The reference code has room for 50 utterances and crashes the process beyond."""
    word = torch.cat([speech_like(0.5), torch.zeros(RATE // 2)])
    real = word.repeat(150)
    assert metrics.pesq(real, real.clone(), RATE) == pytest.approx(4.644, abs=0.02)


def test_unequal_lengths_are_cut_to_the_shorter():
    real = speech_like(1.0)
    assert metrics.mel_l1(real, torch.cat([real, torch.zeros(500)]), RATE) == 0


def test_dnsmos_prefers_speech_to_noise():
    """Real DNSMOS on synthetic sound: only the order means something here."""
    noise = 0.1 * torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0))
    assert 1 <= metrics.dnsmos(noise, RATE) < metrics.dnsmos(speech_like(2.0), RATE) <= 5


def test_multi_resolution_stft_of_known_pairs():
    """Nothing for the same; of half the amplitude, 1/2 of convergence and ln 2 of log-magnitude."""
    noise = torch.randn(16000)
    assert metrics.multi_resolution_stft(noise, noise) == 0
    assert metrics.multi_resolution_stft(noise, noise / 2) == pytest.approx(0.5 + math.log(2), rel=1e-3)
