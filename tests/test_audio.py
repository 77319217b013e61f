"""Sound files in and out, good and bad."""

from __future__ import annotations

import resource
import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.conftest import RATE, speech_like
from wavegan import UserError, audio
from wavegan.audio import readers
from wavegan.audio.resample import resample


@pytest.mark.parametrize(("suffix", "tolerance"), [(".wav", 4e-5), (".flac", 4e-5), (".ogg", 0.1), (".mp3", 0.1)])
def test_round_trip(tmp_path, suffix, tolerance):
    waveform = speech_like(0.5)
    path = tmp_path / f"grüße und pausen{suffix}"
    audio.write(path, waveform, RATE)
    again, rate = audio.read(path)
    assert rate == RATE and abs(len(again) - len(waveform)) <= (0 if suffix != ".mp3" else 2400)
    length = min(len(again), len(waveform))
    assert (again[:length] - waveform[:length]).abs().mean() < tolerance


def test_full_scale_is_clipped_and_never_wraps(tmp_path):
    audio.write(tmp_path / "a.wav", torch.tensor([1.0, -1.0, 2.0, -2.0, 0.0]), RATE)
    assert soundfile.read(tmp_path / "a.wav", dtype="int16")[0].tolist() == [32767, -32767, 32767, -32767, 0]


def test_eight_channels_at_96_khz_become_one_at_16(tmp_path):
    tone = np.sin(2 * np.pi * 440 * np.arange(48000) / 96000)
    soundfile.write(tmp_path / "a.wav", np.stack([tone * k / 8 for k in range(8)], 1), 96000, subtype="PCM_24")
    waveform, rate = audio.read(tmp_path / "a.wav", 16000)
    assert rate == 16000 and waveform.shape == (8000,)
    expected = 0.4375 * np.sin(2 * np.pi * 440 * np.arange(8000) / 16000)
    assert np.abs(waveform.numpy()[100:-100] - expected[100:-100]).max() < 1e-3


def test_resampling_keeps_tones_below_the_cutoff_and_removes_those_above():
    time = torch.arange(44100, dtype=torch.float64) / 44100
    kept = resample(torch.sin(2 * torch.pi * 7000 * time), 44100, 16000)[500:-500]
    gone = resample(torch.sin(2 * torch.pi * 9000 * time), 44100, 16000)[500:-500]
    assert kept.square().mean().sqrt() == pytest.approx(0.5**0.5, rel=0.01)
    assert gone.abs().max() < 1e-3


@pytest.mark.parametrize("rates", [(44110, 22050), (8000, 44101), (44101, 16000)])
def test_rates_of_a_large_ratio_keep_length_and_pitch(rates):
    """The phase of a tone after ten seconds: a ratio that is a ten-thousandth off would be a cycle away."""
    before, after = rates
    found = resample(torch.sin(2 * torch.pi * 500 * torch.arange(10 * before).double() / before), before, after)
    time = torch.arange(10 * after).double() / after
    assert abs(len(found) - len(time)) <= 1e-5 * len(time)
    end = slice(9 * after, 10 * after - 1000)
    assert (found[end] - torch.sin(2 * torch.pi * 500 * time[end])).abs().max() < 0.35  # 1e-5 is a third of a radian


def test_rates_without_a_ratio_are_refused(tmp_path):
    soundfile.write(tmp_path / "a.wav", speech_like(0.1).numpy(), 48001)
    for open_file in (audio.read, audio.stream):
        with pytest.raises(UserError, match=r"a.wav from 48001 to 16000 Hz: convert it to a usual rate"):
            open_file(tmp_path / "a.wav", 16000)


def test_a_file_in_blocks_is_the_file(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "BLOCK_VALUES", 5000)
    for channels in (1, 2):
        samples = np.tile(speech_like(3.0, 22050).numpy()[:, None], (1, channels))
        soundfile.write(tmp_path / "a.wav", samples, 22050)
        blocks, rate = audio.stream(tmp_path / "a.wav")
        blocks = list(blocks)
        assert rate == 22050 and len(blocks) > 10
        assert torch.equal(torch.cat(blocks), audio.read(tmp_path / "a.wav")[0])
        blocks, rate = audio.stream(tmp_path / "a.wav", 16000)
        assert rate == 16000 and torch.equal(torch.cat(list(blocks)), audio.read(tmp_path / "a.wav", 16000)[0])


def test_g722_by_ffmpeg(tmp_path):
    if shutil.which("ffmpeg") is None:
        pytest.fail("this test needs ffmpeg: apt-get install ffmpeg")
    audio.write(tmp_path / "a.wav", speech_like(0.5), RATE)
    command = ["ffmpeg", "-v", "error", "-i", str(tmp_path / "a.wav"), "-f", "g722", str(tmp_path / "a.g722")]
    subprocess.run(command, check=True)
    waveform, rate = audio.read(tmp_path / "a.g722")
    assert rate == RATE and len(waveform) == 8000 and audio.probe(tmp_path / "a.g722") == (RATE, 8000)
    assert torch.equal(audio.read_span(tmp_path / "a.g722", 0.1, 0.3)[0], waveform[1600:4800])
    assert len(next(audio.stream(tmp_path / "a.g722")[0])) == 8000  # left half-read
    assert torch.corrcoef(torch.stack([waveform[22:], speech_like(0.5)[:-22]]))[0, 1] > 0.99  # the codec's delay


def test_a_new_format_is_a_reader_and_a_line(tmp_path, monkeypatch):
    class Bytes(readers.Reader):
        def probe(self, path):
            return audio.Probe(8000, path.stat().st_size)

        def blocks(self, path):
            yield np.frombuffer(path.read_bytes(), np.int8).astype(np.float32) / 128

    monkeypatch.setitem(readers.READERS, ".s8", Bytes())
    (tmp_path / "a.s8").write_bytes(bytes(range(100)))
    assert audio.find(tmp_path) == [tmp_path / "a.s8"] and audio.probe(tmp_path / "a.s8").num_samples == 100
    assert audio.read(tmp_path / "a.s8")[0][64] == 0.5 and len(audio.read(tmp_path / "a.s8", 16000)[0]) == 200
    assert audio.read_span(tmp_path / "a.s8", 0.001, 0.002)[0][0] == 8 / 128


def bad_files(folder: Path) -> dict[str, str]:
    """name -> what the message must say."""
    soundfile.write(folder / "good.wav", speech_like(0.3).numpy(), RATE)
    data = (folder / "good.wav").read_bytes()
    soundfile.write(folder / "good.flac", speech_like(0.3).numpy(), RATE)
    flac = (folder / "good.flac").read_bytes()
    (folder / "zero.wav").write_bytes(b"")
    (folder / "header.wav").write_bytes(data[:40] + struct.pack("<I", 0))
    (folder / "cut.wav").write_bytes(data[: len(data) // 2])
    (folder / "cut.flac").write_bytes(flac[: len(flac) // 2])
    (folder / "text.wav").write_text("this is no sound\n" * 100)
    (folder / "short.wav").write_bytes(data[:20])
    soundfile.write(folder / "loud.wav", 32768 * speech_like(0.3).numpy(), RATE, subtype="FLOAT")
    nan = speech_like(0.3).numpy()
    nan[100] = np.nan
    soundfile.write(folder / "nan.wav", nan, RATE, subtype="FLOAT")
    return {
        "missing.wav": "No such file",
        "zero.wav": "empty file",
        "header.wav": "no samples",
        "cut.wav": "cut short",
        "cut.flac": "cut short|not a sound file",
        "text.wav": "not a sound file",
        "short.wav": "not a sound file|no samples|cut short",
        "nan.wav": "not finite",
        "loud.wav": "between -1 and 1",
        "": "folder",
    }


def test_bad_files_get_one_sentence_that_names_them(tmp_path):
    for name, expected in bad_files(tmp_path).items():
        with pytest.raises(UserError, match=expected) as caught:
            audio.read(tmp_path / name)
        assert str(tmp_path / name) in str(caught.value) and "\n" not in str(caught.value)


def test_streams_of_unknown_length_are_read(tmp_path):
    """ffmpeg writing WAV to a pipe can't go back to fill in the length."""
    soundfile.write(tmp_path / "a.wav", speech_like(0.3).numpy(), RATE)
    data = bytearray((tmp_path / "a.wav").read_bytes())
    at = data.index(b"data") + 4
    data[at : at + 4] = struct.pack("<I", 0xFFFFFFFF)
    (tmp_path / "b.wav").write_bytes(data)
    assert len(audio.read(tmp_path / "b.wav")[0]) == int(0.3 * RATE)


def test_bad_targets(tmp_path):
    waveform = speech_like(0.1)
    for name, expected in {"a.xyz": "unknown suffix", "none/a.wav": "no folder", "a": "unknown suffix"}.items():
        with pytest.raises(UserError, match=expected):
            audio.write(tmp_path / name, waveform, RATE)
    (tmp_path / "folder.wav").mkdir()
    with pytest.raises(UserError, match="it is a folder"):
        audio.write(tmp_path / "folder.wav", waveform, RATE)
    for name, rate in {"a.mp3": 11111, "a.ogg": 192001}.items():
        with pytest.raises(UserError, match=f"doesn't support {rate} samples a second. Use .wav or .flac"):
            audio.write(tmp_path / name, waveform, rate)
    assert [p.name for p in tmp_path.iterdir()] == ["folder.wav"]


@pytest.mark.parametrize("suffix", sorted(audio.WRITABLE))
def test_a_failed_write_leaves_the_old_file(tmp_path, suffix):
    """A limit on the size of files stands for a full disk, whenever it is met: at the last flush, too."""
    path, waveform = tmp_path / f"a{suffix}", 0.3 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))
    audio.write(path, waveform, RATE)
    size = path.stat().st_size
    audio.write(path, speech_like(0.1), RATE)
    before, (soft, hard) = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    for most in (100, size // 2, size - 1):
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most, hard))
            with pytest.raises(UserError, match=f"a{suffix}: File too large. What was there before is untouched"):
                audio.write(path, waveform, RATE)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        assert path.read_bytes() == before and len(list(tmp_path.iterdir())) == 1


def test_find_sees_nested_folders_and_refuses_empty_ones(tmp_path):
    (tmp_path / "ä b" / "c").mkdir(parents=True)
    audio.write(tmp_path / "ä b" / "c" / "x.WAV", speech_like(0.1), RATE)
    assert [p.name for p in audio.find(tmp_path)] == ["x.WAV"]
    (tmp_path / "ä b" / "c" / "x.WAV").unlink()
    with pytest.raises(UserError, match="no sound files"):
        audio.find(tmp_path)
    with pytest.raises(UserError, match="not a folder"):
        audio.find(tmp_path / "none")


def test_longer_files_than_wanted_are_refused_before_they_are_decoded(tmp_path, monkeypatch):
    audio.write(tmp_path / "two.wav", speech_like(2.0), RATE)
    assert len(audio.read(tmp_path / "two.wav", max_seconds=2)[0]) == 2 * RATE
    monkeypatch.setattr(readers.SoundFile, "blocks", None)
    with pytest.raises(UserError, match=r"two.wav lasts 2 s; at most 1.5 s"):
        audio.read(tmp_path / "two.wav", max_seconds=1.5)


def test_decoding_stops_at_the_limit_whatever_the_header_promises(tmp_path, monkeypatch):
    audio.write(tmp_path / "two.mp3", speech_like(2.0), RATE)
    monkeypatch.setattr(readers.SoundFile, "probe", lambda self, path: audio.Probe(RATE, RATE))
    with pytest.raises(UserError, match="at most 1.5 s"):
        audio.read(tmp_path / "two.mp3", max_seconds=1.5)
