"""Speech told from noise by silero-vad, on a recording of a real voice."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from wavegan import UserError, audio
from wavegan.audio import silence
from wavegan.data.prepare import prepare
from wavegan.data.source import Settings, Source

RATE = 22050
VOICE = Path(__file__).parent.parent / "demo" / "examples" / "english.flac"


def noise(seconds: float) -> torch.Tensor:
    return 0.02 * torch.randn(int(seconds * RATE), generator=torch.Generator().manual_seed(0))


def test_noise_around_speech_goes_and_noise_alone_is_left_out(tmp_path):
    pytest.importorskip("silero_vad", reason="pip install 'wavegan[vad]'")
    voice, _ = audio.read(VOICE, RATE)
    noisy = torch.cat([noise(2.0), voice, noise(3.0)])
    assert len(silence.trim_by_energy(noisy, RATE)) == len(noisy)  # by its energy it is no silence
    found = silence.trim_by_speech(noisy, RATE)
    start = next(i for i in range(len(noisy)) if torch.equal(noisy[i : i + len(found)], found))
    assert 1.8 * RATE < start < 2.5 * RATE and len(voice) - RATE < len(found) < len(voice) + 0.4 * RATE
    for name, waveform in (("talk", noisy), ("noise", noise(2.0))):
        audio.write(tmp_path / f"{name}.wav", waveform, RATE)
    sources = [Source(tmp_path / f"{name}.wav", name) for name in ("talk", "noise")]
    report = prepare(sources, tmp_path / "out", Settings(RATE, trim="vad"), num_workers=2)
    assert [u.id for u in report.kept] == ["talk"] and abs(report.kept[0].num_samples - len(found)) < 0.1 * RATE
    assert report.rejected[0][1] == "no speech in it (silero-vad)"


def test_without_the_package_it_is_said_at_once(monkeypatch):
    monkeypatch.setattr(silence, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'wavegan\[vad\]'. Or use --trim energy"):
        Settings(RATE, trim="vad")
