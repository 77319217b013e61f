"""Metrics on pairs with known answers, against the packages, and against the formulas written again in float64."""

from __future__ import annotations

import math
import tracemalloc

import numpy as np
import pytest
import torch

from tests.conftest import RATE, speech_like
from wavegan import UserError, metrics
from wavegan.metrics import METRICS, Sound, Undefined, base, crepe
from wavegan.metrics import pitch as pitch_module
from wavegan.metrics.no_reference import edits
from wavegan.metrics.recognizer import Recognizer, words
from wavegan.metrics.spectral import mel_cepstrum, time_warped, warping

SPECTRAL = ("mcd", "mcd_dtw", "multi_resolution_stft", "mel_l1", "lsd", "lsd_high")


def figure(name: str, real: torch.Tensor, fake: torch.Tensor, rate: int = RATE) -> float:
    metric = METRICS[name]()
    metric.update(Sound(real, rate), Sound(fake, rate))
    return metric.compute()


def noise_at(real: torch.Tensor, decibels: float) -> torch.Tensor:
    noise = torch.randn(len(real), generator=torch.Generator().manual_seed(0))
    return real + noise * (real.square().mean() / noise.square().mean()).sqrt() * 10 ** (-decibels / 20)


# Pairs with known answers.


def test_an_identical_copy_is_perfect():
    real = speech_like(2.0)
    for name in SPECTRAL:
        assert figure(name, real, real.clone()) == 0
    assert figure("si_sdr", real, real.clone()) == 100
    assert figure("stoi", real, real.clone()) == pytest.approx(1) == figure("estoi", real, real.clone())
    assert figure("pesq", real, real.clone()) == pytest.approx(4.644, abs=1e-3)
    assert figure("pesq_nb", real, real.clone()) == pytest.approx(4.549, abs=1e-3)


def test_half_the_amplitude():
    """ln 2 in nepers, 2 log10 2 in bels, half of convergence; nothing in a cepstrum without its energy, nor in SI."""
    real = 0.1 * torch.randn(RATE, generator=torch.Generator().manual_seed(0))  # all bins above the floors
    assert figure("mel_l1", real, real / 2) == pytest.approx(math.log(2), rel=1e-4)
    assert figure("lsd", real, real / 2) == pytest.approx(2 * math.log10(2), rel=1e-4)
    assert figure("multi_resolution_stft", real, real / 2) == pytest.approx(0.5 + math.log(2), rel=1e-3)
    assert figure("mcd", real, real / 2) == pytest.approx(0, abs=1e-3)
    assert figure("si_sdr", real, real / 2) == 100
    real = speech_like(2.0)
    assert figure("pesq", real, real / 2) == pytest.approx(4.644, abs=1e-3)
    assert figure("estoi", real, real / 2) == pytest.approx(1, abs=1e-4)


def test_a_shift_of_100_samples():
    """6 ms: a ruin to the waveform, little to spectra, less after time warping, and PESQ finds the delay itself."""
    real = speech_like(2.0)
    late = torch.cat([torch.zeros(100), real])[: len(real)]
    assert figure("si_sdr", real, late) < -10
    assert figure("mcd_dtw", real, late) < figure("mcd", real, late) < 4
    assert 0 < figure("lsd", real, late) < figure("lsd", real, noise_at(real, 10)) / 5
    assert figure("pesq", real, late) > 3.5
    white = torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0))
    assert figure("si_sdr", white, white.roll(100)) < -20  # of what isn't like itself, next to nothing is left


def test_noise_at_10_db():
    real = speech_like(2.0)
    assert figure("si_sdr", real, noise_at(real, 10)) == pytest.approx(10, abs=0.1)
    for name, one in METRICS.items():
        if one.needs_reference and one.package in (None, "pesq"):
            worse, better = figure(name, real, noise_at(real, 0)), figure(name, real, noise_at(real, 20))
            assert worse < better if one.better == "higher" else worse > better, name


def test_a_file_counts_once_and_parts_add_up():
    pairs = [(speech_like(s, seed=i), speech_like(s, seed=i + 1)) for i, s in enumerate((0.5, 1.0, 1.5))]
    metric = METRICS["lsd"]()
    parts = [metric.update(*(Sound(w, RATE) for w in pair)) for pair in pairs]
    assert metric.compute() == pytest.approx(np.mean([figure("lsd", *pair) for pair in pairs]))
    assert metric.value(np.array(parts).sum(0)) == metric.compute()
    assert math.isnan(METRICS["lsd"]().compute())


# The packages.


def test_pesq_and_stoi_equal_their_packages():
    from pesq import pesq
    from pystoi import stoi

    real = speech_like(2.0)
    fake = noise_at(real, 15)
    r, f = real.numpy(), fake.numpy()
    assert figure("pesq", real, fake) == pesq(16000, r, f, "wb")
    assert figure("stoi", real, fake) == pytest.approx(stoi(r, f, RATE), rel=1e-12)
    assert figure("estoi", real, fake) == pytest.approx(stoi(r, f, RATE, extended=True), rel=1e-12)
    eight = [Sound(w, RATE).at(8000) for w in (real, fake)]
    assert figure("pesq_nb", *eight, rate=8000) == pesq(8000, *(w.numpy() for w in eight), "nb")


def test_pesq_survives_minutes_of_short_utterances():
    """The reference code has room for 50 utterances and crashes the process beyond."""
    word = torch.cat([speech_like(0.5), torch.zeros(RATE // 2)])
    real = word.repeat(150)
    assert metrics.pesq(real, real.clone(), RATE) == pytest.approx(4.644, abs=0.02)


def test_a_lost_part_of_a_long_recording_counts_and_a_pause_does_not():
    real = torch.cat([speech_like(15.0), speech_like(15.0, seed=1)])
    lost = torch.cat([real[: 15 * RATE], torch.zeros(15 * RATE)])
    assert figure("pesq", real, lost) == pytest.approx((4.644 + 1.043) / 2, abs=0.01)
    assert figure("pesq_nb", real, lost) < 3.5
    assert figure("pesq", lost, lost.clone()) == pytest.approx(4.644, abs=0.01)


def test_dnsmos_prefers_speech_to_noise():
    """Real DNSMOS on synthetic sound: only the order means something here."""
    from speechmos import dnsmos

    noise = 0.1 * torch.randn(2 * RATE, generator=torch.Generator().manual_seed(0))
    speech = speech_like(2.0)
    score = metrics.dnsmos(speech, RATE)
    assert 1 <= metrics.dnsmos(noise, RATE) < score <= 5
    assert score == pytest.approx(dnsmos.run(speech.numpy(), RATE)["ovrl_mos"], abs=1e-4)


def test_plcmos_is_the_same_every_time():
    first, again = (METRICS["plcmos"]() for _ in range(2))
    for metric in (first, again):
        state = np.random.get_state()[1].copy()
        metric.update(None, Sound(speech_like(1.0), RATE))
        assert np.array_equal(state, np.random.get_state()[1])  # and nobody else's numbers change
    assert first.compute() == again.compute()
    from speechmos import plcmos

    with base.seeded():
        expected = plcmos.run(speech_like(1.0).numpy(), RATE)["plcmos"]
    assert first.compute() == pytest.approx(expected, abs=1e-4) and 1 <= expected <= 5


# The published formulas, in float64.


def spectrum(waveform: torch.Tensor, n_fft: int, hop: int, window: int) -> np.ndarray:
    """Magnitudes (F, K): centred frames of a reflected signal, a periodic Hann window in the middle."""
    x = np.pad(waveform.numpy().astype(np.float64), n_fft // 2, mode="reflect")
    taper = np.zeros(n_fft)
    left = (n_fft - window) // 2
    taper[left : left + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    frames = [x[start : start + n_fft] * taper for start in range(0, len(x) - n_fft + 1, hop)]
    return np.abs(np.fft.rfft(frames, axis=1))


@pytest.mark.parametrize("rate", [16000, 22050])
def test_log_spectral_distance_by_its_formula(rate):
    real, fake = speech_like(0.7, rate), speech_like(0.7, rate, seed=1)
    r, f = (np.log10(np.maximum(spectrum(w, 2048, 512, 2048) ** 2, 1e-8)) for w in (real, fake))
    assert figure("lsd", real, fake, rate) == pytest.approx(np.sqrt(((r - f) ** 2).mean(1)).mean(), rel=1e-4)
    above = np.arange(1025) * rate / 2048 >= 4000
    expected = np.sqrt(((r - f) ** 2)[:, above].mean(1)).mean()
    assert figure("lsd_high", real, fake, rate) == pytest.approx(expected, rel=1e-4)


def test_multi_resolution_stft_by_its_formula():
    real, fake = speech_like(0.7), speech_like(0.7, seed=1)
    total = 0.0
    for n_fft, hop, window in ((512, 50, 240), (1024, 120, 600), (2048, 240, 1200)):
        r, f = (np.sqrt(np.maximum(spectrum(w, n_fft, hop, window) ** 2, 1e-8)) for w in (real, fake))
        total += np.sqrt(((r - f) ** 2).sum()) / np.sqrt((r**2).sum()) + np.abs(np.log(r) - np.log(f)).mean()
    assert figure("multi_resolution_stft", real, fake) == pytest.approx(total / 3, rel=1e-4)


def warped_cepstrum(cepstrum: np.ndarray, order: int, alpha: float) -> np.ndarray:
    """Oppenheim's recursion as SPTK's manual gives it: (F, any) -> (F, order + 1)."""
    warped = np.zeros((len(cepstrum), order + 1))
    for value in cepstrum.T[::-1]:
        before = warped.copy()
        warped[:, 0] = value + alpha * before[:, 0]
        warped[:, 1] = (1 - alpha**2) * before[:, 0] + alpha * before[:, 1]
        for m in range(2, order + 1):
            warped[:, m] = before[:, m - 1] + alpha * (before[:, m] - warped[:, m - 1])
    return warped


def test_mel_cepstral_distortion_by_its_formula():
    real, fake = speech_like(0.5), speech_like(0.5, seed=1)
    cepstra = []
    for waveform in (real, fake):
        log_magnitude = np.log(np.maximum(spectrum(waveform, 512, 80, 512), 1e-4))
        cepstrum = np.fft.irfft(log_magnitude, axis=1)[:, :257]
        cepstrum[:, 1:256] *= 2  # of the minimum phase
        cepstra.append(warped_cepstrum(cepstrum, 24, 0.41)[:, 1:])
        assert np.abs(mel_cepstrum(waveform, RATE).numpy() - cepstra[-1]).max() < 1e-4
    differences = cepstra[0][:, None] - cepstra[1][None]
    distances = 10 / math.log(10) * np.sqrt(2 * (differences**2).sum(2))
    assert figure("mcd", real, fake) == pytest.approx(np.diagonal(distances).mean(), rel=1e-5)
    assert figure("mcd_dtw", real, fake) == pytest.approx(along_the_path(distances), rel=1e-5)


def along_the_path(distances: np.ndarray) -> float:
    """Dynamic time warping, cell by cell, with the path walked back."""
    rows, columns = distances.shape
    cost = np.full((rows, columns), np.inf)
    for i in range(rows):
        for j in range(columns):
            before = [cost[a, b] for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
            cost[i, j] = distances[i, j] + min(before, default=0.0)
    i, j, path = rows - 1, columns - 1, []
    while True:
        path.append(distances[i, j])
        if i == j == 0:
            return float(np.mean(path))
        steps = [(a, b) for a, b in ((i - 1, j - 1), (i - 1, j), (i, j - 1)) if a >= 0 and b >= 0]
        i, j = min(steps, key=lambda step: cost[step])


def test_time_warping_of_unequal_lengths_by_hand():
    a, b = np.array([0.0, 1.0, 2.0]), np.array([0.0, 0.0, 1.0, 2.0, 2.0])
    assert time_warped(a[:, None], b[:, None]) == 0
    assert time_warped(a[:, None], b[:, None] + 1) == pytest.approx(along_the_path(np.abs(a[:, None] - b - 1)))


def test_time_warping_takes_no_memory_of_a_square():
    random = np.random.default_rng(0)
    tracemalloc.start()
    time_warped(random.random((600, 2)), random.random((500, 2)))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 600 * 500


def test_the_warping_is_that_of_sptk():
    known = {8000: 0.312, 16000: 0.41, 22050: 0.455, 44100: 0.544, 48000: 0.554}  # pysptk.util.mcepalpha
    assert {rate: warping(rate) for rate in known} == known


# CARGAN's protocol.


def hysteresis(hertz: np.ndarray, periodicity: np.ndarray) -> np.ndarray:
    """Which frames are voiced: periodicity above a threshold that rises from 0.19 with the distance of the pitch from
    the mean beyond 1.7 deviations, and each run of frames above it has one above 0.31.
    """
    known = periodicity >= 0.19
    pitch = np.log2(hertz)
    whitened = (pitch - pitch[known].mean()) / pitch[known].std()
    far = np.clip(0.2 * (whitened**2 - 1.7**2), 0, 1 - 0.19)
    threshold = np.where(known, 0.19 + far, 0.19)
    voiced = periodicity >= threshold
    start = None
    for i in range(1, len(voiced) + 1):
        if i < len(voiced) and periodicity[i] > threshold[i]:
            start = i if start is None and periodicity[i - 1] < threshold[i - 1] else start
        elif start is not None:
            voiced[start:i] &= periodicity[start:i].max() > 0.31
            start = None
    return voiced


def independent_track(waveform: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """CARGAN's steps with CREPE's network, but framing, decoding, loudness and stretching written again."""
    import torchcrepe

    x = np.pad(waveform.numpy().astype(np.float64), (1024 - 185) // 2, mode="reflect")
    frames = np.stack([x[start : start + 1024] for start in range(0, len(x) - 1023, 185)])
    centred = frames - frames.mean(1, keepdims=True)
    centred /= np.maximum(centred.std(1, ddof=1, keepdims=True), 1e-10)
    with torch.no_grad():
        p = torchcrepe.infer(torch.from_numpy(centred).float(), "full").double().numpy()
    cents = 1997.3794084376191 + 20 * np.arange(360)
    lowest, highest = ((1200 * math.log2(f / 10) - cents[0]) / 20 for f in (50, 550))
    allowed = (np.arange(360) >= math.floor(lowest)) & (np.arange(360) < math.ceil(highest))
    emission = np.where(allowed, np.exp(p), 0)
    emission /= emission.sum(1, keepdims=True)
    transition = np.maximum(12 - np.abs(np.arange(360)[:, None] - np.arange(360)), 0.0)
    transition /= transition.sum(1, keepdims=True)
    with np.errstate(divide="ignore"):
        log_e, log_t = np.log(emission), np.log(transition)
    best, back = log_e[0], []
    for row in log_e[1:]:
        reached = best[:, None] + log_t
        back.append(reached.argmax(0))
        best = reached.max(0) + row
    bins = [int(best.argmax())]
    for step in back[::-1]:
        bins.append(int(step[bins[-1]]))
    bins = np.array(bins[::-1])
    hertz, periodicity = 10 * 2 ** (cents[bins] / 1200), p[np.arange(len(p)), bins]
    f = np.fft.rfftfreq(1024, 1 / 16000)
    with np.errstate(divide="ignore"):
        weight = 12194.217**2 * f**4 / ((f**2 + 20.598997**2) * (f**2 + 12194.217**2))
        weight = 2 + 20 * np.log10(weight / np.sqrt((f**2 + 107.65265**2) * (f**2 + 737.86223**2)))
    power = np.abs(np.fft.rfft(frames * (0.5 - 0.5 * np.cos(2 * np.pi * np.arange(1024) / 1024)), axis=1)) ** 2
    level = 10 * np.log10(np.maximum(power, 1e-10))
    loudness = np.maximum(np.maximum(level, level.max() - 80) + np.maximum(weight, -80) - 20, -100).mean(1)
    periodicity[loudness < -60] = 0
    size = len(waveform) * 22050 // 16000 // 256
    places = (np.arange(size) + 0.5) * len(p) / size - 0.5
    places = np.clip(places, 0, len(p) - 1)
    return 2 ** np.interp(places, np.arange(len(p)), np.log2(hertz)), np.interp(places, np.arange(len(p)), periodicity)


def test_crepe_by_fft_is_torchcrepe():
    import torchcrepe

    frames = torch.cat(list(torchcrepe.preprocess(speech_like(0.3)[None], RATE, 185, pad=False)))
    with torch.no_grad():
        expected = torchcrepe.infer(frames, "full")
    assert expected.max() > 0.2
    assert (crepe.probabilities(frames) - expected).abs().max() < 1e-5


def test_pitch_metrics_by_cargans_protocol():
    real = torch.cat([speech_like(0.35), torch.zeros(2000)])
    fake = noise_at(real, 5)
    tracks = [Sound(w, RATE).once(pitch_module.track) for w in (real, fake)]
    expected = [independent_track(w) for w in (real, fake)]
    for track, (hertz, periodicity) in zip(tracks, expected, strict=True):
        assert np.abs(track.periodicity.numpy() - periodicity).max() < 1e-3
        assert np.abs(1200 * np.log2(track.hertz.numpy() / hertz)).max() < 21  # the dither
        assert np.array_equal(track.voiced.numpy(), hysteresis(track.hertz.double().numpy(), periodicity))
    assert 0 < tracks[0].voiced.float().mean() < 1
    pair = Sound(real, RATE), Sound(fake, RATE)
    for sound, track in zip(pair, tracks, strict=True):
        sound._derived[pitch_module.track] = track  # CREPE takes its time
    found = {}
    for name in ("periodicity", "vuv_f1", "f0_rmse"):
        metric = METRICS[name]()
        metric.update(*pair)
        found[name] = metric.compute()
    error = expected[0][1] - expected[1][1]
    assert found["periodicity"] == pytest.approx(np.sqrt((error**2).mean()), rel=1e-3)
    r, f = (track.voiced.numpy() for track in tracks)
    precision, recall = (r & f).sum() / f.sum(), (r & f).sum() / r.sum()
    assert found["vuv_f1"] == pytest.approx(2 * precision * recall / (precision + recall))
    cents = 1200 * np.log2(tracks[0].hertz.numpy()[r & f] / tracks[1].hertz.numpy()[r & f])
    assert found["f0_rmse"] == pytest.approx(np.sqrt((cents**2).mean()), rel=1e-4)


@pytest.mark.parametrize("seed", range(5))
def test_voicing_is_by_hysteresis(seed):
    random = np.random.default_rng(seed)
    periodicity = np.clip(np.convolve(random.uniform(0, 1, 204), np.ones(5) / 5, "valid") ** 2, 0, 1)
    hertz = 2 ** (7 + random.standard_normal(200))
    found = pitch_module.voiced(*(torch.from_numpy(a)[None] for a in (hertz, periodicity)))[0].numpy()
    assert np.array_equal(found, hysteresis(hertz, periodicity)) and 0 < found.mean() < 1


def test_pitch_figures_are_over_all_frames():
    def track(hertz: list[float], periodicity: list[float]) -> pitch_module.Track:
        p = torch.tensor(periodicity)
        return pitch_module.Track(torch.tensor(hertz), p, p > 0.5)

    f1, error, cents = (METRICS[name]() for name in ("vuv_f1", "periodicity", "f0_rmse"))
    first = track([100, 100, 100, 100], [1, 1, 0, 0]), track([200, 100, 100, 100], [1, 0, 1, 0])
    second = track([100, 100], [1, 1]), track([100, 100], [1, 1])
    sums = {one.name: np.add(one.count(*first), one.count(*second)) for one in (f1, error, cents)}
    assert f1.value(sums["vuv_f1"]) == pytest.approx(2 * 3 / (2 * 3 + 1 + 1))
    assert error.value(sums["periodicity"]) == pytest.approx(math.sqrt(2 / 6))
    assert cents.value(sums["f0_rmse"]) == pytest.approx(math.sqrt(1200**2 / 3))
    with pytest.raises(Undefined, match="no frame is voiced in both"):
        cents.count(track([100], [0]), track([100], [1]))


# What isn't defined is said, not skipped.


@pytest.mark.parametrize("name", [name for name, one in METRICS.items() if one.package != "resemblyzer"])
def test_silence_and_splinters_are_told(name):
    metric = METRICS[name]()
    silence, splinter = Sound(torch.zeros(RATE), RATE, "a"), Sound(0.5 * torch.ones(10), RATE)
    with pytest.raises(Undefined, match="silent|know"):
        metric.update(silence, silence)
    if name not in ("mel_l1", "si_sdr"):
        with pytest.raises(Undefined, match="shorter than|less than|no transcript"):
            metric.update(splinter, splinter)
    assert math.isnan(metric.compute()) or name in ("mel_l1", "si_sdr")


def test_an_empty_output_and_a_cut_off_that_is_no_number_are_told():
    real = speech_like(0.5)
    for name in ("mel_l1", "si_sdr", "mcd", "pesq"):
        with pytest.raises(Undefined, match="the output is empty"):
            METRICS[name]().update(Sound(real, RATE), Sound(torch.zeros(0), RATE))
    with pytest.raises(Undefined, match="nothing above nan Hz"):
        METRICS["lsd_high"](math.nan).update(Sound(real, RATE), Sound(real, RATE))
    with pytest.raises(UserError, match="A set needs at least two clips, got 1"):
        metrics.frechet_distance(torch.randn(9, 3), torch.randn(1, 3))


def test_a_silent_output_has_the_same_estoi_every_time():
    """pystoi normalises it with random numbers."""
    real = speech_like(1.0)
    assert len({figure("estoi", real, torch.zeros(RATE)) for _ in range(3)}) == 1


def test_undefined_scores_of_single_pairs_are_nan():
    silence, short = torch.zeros(RATE), speech_like(0.1)
    assert math.isnan(metrics.pesq(silence, silence, RATE)) and math.isnan(metrics.estoi(short, short, RATE))
    assert "nan" not in metrics.describe(metrics.copy_quality(short, short, RATE))


def test_unequal_lengths_and_rates_are_made_equal():
    real = speech_like(1.0)
    assert metrics.mel_l1(real, torch.cat([real, torch.zeros(500)]), RATE) == 0
    real, fake = metrics.aligned(Sound(real, RATE), Sound(speech_like(0.8, 22050), 22050))
    assert fake.sample_rate == RATE and len(real.waveform) == len(fake.waveform) == 12800


def test_a_wrong_name_is_corrected_and_a_missing_package_named(monkeypatch):
    with pytest.raises(UserError, match="No such metric: 'pesk'. Did you mean 'pesq'"):
        metrics.named(["mcd", "pesk"])
    with pytest.raises(UserError, match="names no metric"):
        metrics.named([])
    assert metrics.named(["lsd", "default", "lsd"])[0] == "lsd" and set(metrics.named(["all"])) < set(METRICS)
    for module in (metrics, base):
        monkeypatch.setattr(module, "installed", lambda package: False)
    expected = r"pesq, f0_rmse need packages: pip install 'wavegan\[metrics\]'. Or do without: --metrics mcd."
    with pytest.raises(UserError, match=expected):
        metrics.build(["pesq", "mcd", "f0_rmse"])
    with pytest.raises(UserError, match=r"wavegan\[speaker\]"):
        METRICS["speaker_similarity"]()


def test_speaker_similarity_reads_the_weights_of_resemblyzer(tmp_path, monkeypatch):
    """The package as it lies on the disk, with other weights."""
    from wavegan.metrics import perceptual

    torch.manual_seed(0)
    (tmp_path / "resemblyzer").mkdir()
    (tmp_path / "resemblyzer/__init__.py").write_text("raise ImportError('its imports fail on today's setuptools')")
    weights = {name: tensor * 2 for name, tensor in perceptual.VoiceEncoder().state_dict().items()}
    torch.save({"model_state": weights | {"similarity_weight": torch.ones(1)}}, tmp_path / "resemblyzer/pretrained.pt")
    monkeypatch.syspath_prepend(str(tmp_path))
    perceptual._voice_encoder.cache_clear()
    real = speech_like(2.0)
    try:
        assert figure("speaker_similarity", real, real.clone()) == pytest.approx(1)
        assert figure("speaker_similarity", real, noise_at(real, -10)) < 0.999
        with torch.no_grad():
            quiet = perceptual._voice_encoder()(0.001 * real) @ perceptual._voice_encoder()(0.002 * real)
        assert quiet == pytest.approx(1, abs=1e-5)  # both brought to -30 dB
    finally:
        perceptual._voice_encoder.cache_clear()


# Words.


def test_words_and_their_errors():
    assert words("Room 42, please! It's late.") == ["room", "four", "two", "please", "it's", "late"]
    assert words("It\N{RIGHT SINGLE QUOTATION MARK}s late") == ["it's", "late"]
    assert edits("a b c d".split(), "a x c".split()) == 2
    assert edits([], ["a"]) == 1 and edits(["a"], []) == 1 and edits("a b".split(), "a b".split()) == 0


def test_word_error_rate_is_over_all_words(monkeypatch):
    metric = metrics.WordErrorRate(["seven", "eight", "qzxw"])
    hypotheses = iter([["seven", "eight", "eight"], ["seven"]])
    monkeypatch.setattr(metric.recognizer, "recognize", lambda waveform, rate: next(hypotheses))
    metric.update(None, Sound(speech_like(0.3), RATE, "7 8"))
    metric.update(None, Sound(speech_like(0.3), RATE, "Seven, seven eight"))
    assert metric.compute() == pytest.approx(3 / 5)
    with pytest.raises(Undefined, match="doesn't know the word 'qzxw'"):
        metric.update(None, Sound(speech_like(0.3), RATE, "seven qzxw"))
    monkeypatch.undo()
    assert metric.update(None, Sound(torch.zeros(RATE), RATE, "seven eight")) == (2.0, 2.0)  # heard as nothing
    assert set(metric.recognizer.recognize(speech_like(0.5), RATE)) <= {"seven", "eight"}
    settings = {metrics.WordErrorRate(*one).settings for one in ((["a", "b"],), (["a"],), (["a"], True))}
    assert len(settings) == 3


def test_what_is_heard_does_not_depend_on_what_was_heard_before():
    recognizer = Recognizer(["one", "four", "seven", "eight"], "({})+")
    sound, loud = 0.3 * speech_like(1.3, seed=2), 0.3 * torch.randn(2 * RATE)
    scores = []
    for before in (sound, sound, loud):
        recognizer.recognize(before, RATE)
        recognizer.recognize(sound, RATE)
        scores.append(recognizer.decoder.hyp().score)
    assert len(set(scores)) == 1


# How sure a figure is.


def mean(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def test_bootstrap_intervals_are_those_of_the_normal_distribution():
    scores = np.random.default_rng(5).normal(3, 2, 400)
    found = metrics.interval(mean, np.stack([scores, np.ones(400)], 1))
    half = 1.96 * scores.std() / 20
    assert found.value == pytest.approx(scores.mean())
    assert found.low == pytest.approx(scores.mean() - half, abs=half / 8)
    assert found.high == pytest.approx(scores.mean() + half, abs=half / 8)
    lone = metrics.interval(mean, np.array([[3.0, 1.0]]))
    assert lone.value == 3 and math.isnan(lone.low)


def test_differences_are_paired():
    """Files differ a hundred times as much as systems do, but on every file the second is a bit better."""
    random = np.random.default_rng(0)
    first = np.stack([random.normal(0, 10, 50), np.ones(50)], 1)
    second = first + [0.1, 0] + np.stack([random.normal(0, 0.1, 50), np.zeros(50)], 1)
    found = metrics.difference(mean, first, second)
    assert 0 < found.low < found.value < found.high < 0.2 and found.p < 0.001
    back = metrics.difference(mean, second, first)
    assert (back.value, back.low, back.high) == pytest.approx((-found.value, -found.high, -found.low))
    same = metrics.difference(mean, first, first)
    assert same[:3] == (0, 0, 0) and same.p == 1
    assert math.isnan(metrics.difference(mean, first[:1], second[:1]).p)


def test_chance_differences_are_significant_once_in_twenty():
    random = np.random.default_rng(1)
    ps = []
    for _ in range(200):
        pair = random.normal(0, 1, (2, 20))
        ps.append(metrics.difference(mean, *(np.stack([scores, np.ones(20)], 1) for scores in pair)).p)
    assert 0.015 < np.mean(np.array(ps) < 0.05) < 0.1 and 0.4 < np.mean(ps) < 0.6


def test_holm_by_hand():
    assert metrics.holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert metrics.holm([0.6, 0.9]) == [1.0, 1.0] and metrics.holm([]) == []
    assert metrics.holm([0.03, math.nan, 0.02]) == pytest.approx([0.04, math.nan, 0.04], nan_ok=True)


def test_frechet_interval_holds_the_distance_and_shrinks_with_more_clips():
    features = torch.randn(2000, 6, generator=torch.Generator().manual_seed(0))
    other = torch.randn(2000, 6, generator=torch.Generator().manual_seed(1)) + 0.3
    widths = []
    for count in (200, 2000):
        low, high = metrics.frechet_interval(features, other[:count], draws=100)
        assert low < metrics.frechet_distance(features, other[:count]) < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2
