"""Systems over recordings: what is scored, what is kept, what is refused, and the page. Metrics are the quick ones."""

from __future__ import annotations

import base64
import io
import json
import os
import pickle
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from tests.conftest import RATE, speech_like
from tests.test_cli import run as cli_run
from wavegan import Synthesizer, UserError, audio, metrics
from wavegan.audio.resample import resample
from wavegan.checkpoints import native
from wavegan.checkpoints.hub import PRETRAINED
from wavegan.core.processes import ignore_interrupts
from wavegan.data import manifest
from wavegan.evaluation import evaluate, scoring, summary
from wavegan.evaluation import page as module
from wavegan.evaluation.copies import read_recordings
from wavegan.evaluation.summary import Results
from wavegan.evaluation.systems import Folder, GriffinLim, Model, is_folder_of_sounds, load
from wavegan.metrics import Sound

QUICK = ["mel_l1", "si_sdr"]


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    """real/ of two speakers, 8 files; noisy/ and noisier/ of the same names."""
    random = torch.Generator().manual_seed(0)
    for i in range(8):
        name = f"{'ab'[i % 2]}/clip-{i}.wav"
        waveform = speech_like(0.5, seed=i)
        for folder, level in (("real", 0.0), ("noisy", 0.01), ("noisier", 0.02)):
            (tmp_path / folder / name).parent.mkdir(parents=True, exist_ok=True)
            noise = level * torch.randn(len(waveform), generator=random)
            audio.write(tmp_path / folder / name, waveform + noise, RATE)
    return tmp_path


def run(folder: Path, *systems: object, **options) -> tuple[str, dict]:  # noqa: ANN003
    """The table and metrics.json."""
    sources = [str(s if s in ("griffin-lim", "vocoder-16k") else folder / s) for s in systems]
    options = {"reference": folder / "real", "metric_names": QUICK} | options
    shown = evaluate(sources, output=folder / "out", **options)
    return shown, json.loads((folder / "out/metrics.json").read_text())


def records(folder: Path) -> list[dict]:
    return [json.loads(line) for line in (folder / "out/scores.jsonl").read_text().splitlines()]


def test_systems_side_by_side(folders):
    shown, found = run(folders, "noisy", "noisier", "griffin-lim", "vocoder-16k")
    assert list(found["means"]) == ["noisy", "noisier", "griffin-lim", "vocoder-16k"] and found["sample_rate"] == RATE
    clips = found["clips"]["noisy"]
    for clip in clips:
        paths = [folders / folder / f"{clip['id']}.wav" for folder in ("real", "noisy")]
        real, fake = (audio.read(path)[0] for path in paths)
        assert clip["mel_l1"] == pytest.approx(metrics.mel_l1(real, fake, RATE), rel=1e-6)
    assert found["means"]["noisy"]["mel_l1"] == pytest.approx(np.mean([c["mel_l1"] for c in clips]))
    low, high = found["intervals"]["noisy"]["mel_l1"]
    assert low < found["means"]["noisy"]["mel_l1"] < high
    of_a = [clip["mel_l1"] for clip in clips if clip["speaker"] == "a"]
    assert found["speakers"]["a"]["noisy"]["mel_l1"]["value"] == pytest.approx(np.mean(of_a)) and len(of_a) == 4
    pair = found["differences"][0]
    assert (pair["first"], pair["second"], pair["metric"]) == ("noisy", "noisier", "mel_l1")
    both = found["means"]["noisier"]["mel_l1"] - found["means"]["noisy"]["mel_l1"]
    assert pair["value"] == pytest.approx(both) and pair["low"] > 0 and pair["files"] == 8
    assert len(found["differences"]) == 2 * 6
    assert "noisier - noisy" in shown and "Inaudible changes of phase or delay" in found["metrics"]["si_sdr"]["is"]
    _, alone = run(folders, "noisy", "noisier")
    (pair,) = (d for d in alone["differences"] if d["metric"] == "mel_l1")
    assert pair["significant"] and pair["better"] == "noisy" and pair["p"] < 0.05


def test_one_file_has_a_figure_but_no_interval(folders):
    shown, found = run(folders, "noisy", "noisier", limit=1)
    assert found["means"]["noisy"]["mel_l1"] > 0 and found["intervals"]["noisy"]["mel_l1"] == [None, None]
    assert not any(pair["significant"] or pair["p"] for pair in found["differences"]) and "better |" in shown
    assert "of no recording" not in shown  # the other files are of recordings, though of none that was asked for


def test_a_vocoder_is_scored_as_it_is_written(folders):
    _, found = run(folders, "vocoder-16k")
    clip = found["clips"]["vocoder-16k"][0]
    real = audio.read(folders / "real" / f"{clip['id']}.wav")[0]
    copied = audio.read(folders / "out/vocoder-16k" / f"{clip['id']}.wav")[0]
    assert clip["mel_l1"] == pytest.approx(metrics.mel_l1(real, copied, RATE), rel=1e-6)
    own = torch.from_numpy(Synthesizer.from_pretrained("vocoder-16k").vocode(real))
    assert (own - copied).abs().max() < 2 / 32768 + (own.abs() - 1).clamp(min=0).max()


def test_griffin_lim_is_the_same_every_time_and_keeps_the_mel(folders):
    real = speech_like(1.0)
    anchor = GriffinLim.of(None, RATE)
    copied, rate = anchor.copy(real, RATE)
    assert rate == RATE and len(copied) == len(real) and torch.equal(copied, anchor.copy(real, RATE)[0])
    assert metrics.mel_l1(real, copied, RATE) < 0.5 < metrics.mel_l1(real, 0.1 * torch.randn(RATE), RATE)
    features = Synthesizer.from_pretrained("vocoder-16k").features
    assert GriffinLim.of(features, 48000).features.hop_length == features.hop_length


def test_only_what_is_missing_is_done(folders):
    run(folders, "noisy", "vocoder-16k")
    before = records(folders)
    copies = {path: path.stat().st_mtime_ns for path in (folders / "out/vocoder-16k").rglob("*.wav")}
    assert len(copies) == 8 and len(before) == 16
    _, first = run(folders, "noisy", "vocoder-16k")
    assert records(folders) == before  # nothing
    run(folders, "noisy", "vocoder-16k", metric_names=[*QUICK, "lsd"])
    more = records(folders)[16:]
    assert len(more) == 16 and all(list(r["scores"]) == ["lsd v1"] for r in more)  # only what is new
    assert copies == {path: path.stat().st_mtime_ns for path in copies}
    shutil.copy(folders / "noisier/a/clip-0.wav", folders / "noisy/a/clip-0.wav")
    _, found = run(folders, "noisy", "vocoder-16k")
    assert [(r["system"], r["id"]) for r in records(folders)[32:]] == [("noisy", "a/clip-0")]
    assert found["clips"]["noisy"][0]["mel_l1"] > first["clips"]["noisy"][0]["mel_l1"]
    audio.write(folders / "real/b/clip-1.wav", speech_like(0.5, seed=9), RATE)
    run(folders, "noisy", "vocoder-16k")
    again = [(r["system"], r["id"]) for r in records(folders)[33:]]
    assert again == [("noisy", "b/clip-1"), ("vocoder-16k", "b/clip-1")]
    one, other, *_ = copies
    one.unlink()
    whole = other.read_bytes()
    other.write_bytes(whole[:-2] + b"xx")  # another model's, say, that was interrupted
    run(folders, "vocoder-16k")
    assert len(records(folders)) == 37 and other.read_bytes() == whole and one.is_file()  # though all was scored


def test_another_model_of_the_same_name_is_not_taken_for_the_first(folders):
    shutil.copytree(PRETRAINED / "vocoder-16k", folders / "model")
    _, first = run(folders, "model")
    generator, contents = native.load_generator(folders / "model")
    with torch.no_grad():
        next(generator.parameters()).mul_(1.5)
    weights = {name: tensor.contiguous() for name, tensor in generator.state_dict().items()}
    from safetensors.torch import save_file

    save_file(weights, folders / "model/generator.safetensors")
    load.cache_clear()  # another process would read it anew
    _, second = run(folders, "model")
    assert len(records(folders)) == 16 and second["means"] != first["means"]
    copied = audio.read(folders / "out/model/a/clip-0.wav")[0]
    real = audio.read(folders / "real/a/clip-0.wav")[0]
    assert second["clips"]["model"][0]["mel_l1"] == pytest.approx(metrics.mel_l1(real, copied, RATE), rel=1e-6)


def test_an_interrupted_run_goes_on(folders, monkeypatch):
    calls = []
    whole = scoring.Scorer.__call__

    def interrupted(self: scoring.Scorer, job: scoring.Job) -> list[dict]:
        calls.append(job.utterance.id)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return whole(self, job)

    monkeypatch.setattr(scoring.Scorer, "__call__", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(folders, "noisy")
    assert not (folders / "out/metrics.json").exists()
    kept = (folders / "out/scores.jsonl").read_text()
    assert kept.count("\n") == 3
    (folders / "out/scores.jsonl").write_text(kept + kept.splitlines()[0][:40])  # killed while it wrote
    _, found = run(folders, "noisy")
    assert len(calls) == 4 + 5 and not any(np.isnan(clip["mel_l1"]) for clip in found["clips"]["noisy"])
    run(folders, "noisy")
    assert len(calls) == 9


@pytest.mark.usefixtures("forked_workers")
def test_processes_change_nothing(folders):
    _, one = run(folders, "noisy", "griffin-lim")
    shutil.rmtree(folders / "out")
    _, two = run(folders, "noisy", "griffin-lim", num_workers=2)
    for system in one["means"]:
        assert two["means"][system] == pytest.approx(one["means"][system], rel=1e-4)
    assert two["clips"]["noisy"] == one["clips"]["noisy"]


def test_nothing_is_left_out_in_silence(folders):
    audio.write(folders / "real/a/silent.wav", torch.zeros(RATE // 2), RATE)
    audio.write(folders / "noisy/a/silent.wav", torch.zeros(RATE // 2), RATE)
    (folders / "noisy/a/clip-0.wav").unlink()
    (folders / "noisy/b/clip-1.wav").write_bytes(b"RIFF, but no sound")
    audio.write(folders / "noisy/stray.wav", speech_like(0.2), RATE)
    audio.write(folders / "noisy/a/clip-2.wav", speech_like(0.4, seed=2), RATE)
    late = torch.cat([torch.zeros(RATE // 2), speech_like(0.5)])
    audio.write(folders / "real/a/late.wav", late, RATE)
    audio.write(folders / "noisy/a/late.wav", late[:800], RATE)
    (folders / "real/b/broken.wav").write_bytes(b"no sound at all")
    shown, found = run(folders, "noisy", "noisier")
    for expected in (
        "noisy has no copy of 1: a/clip-0",
        "noisier has no copy of 2: a/late, a/silent",
        "noisy has 1 of no recording: stray.wav",
        "b/clip-1 of noisy is left out: ",
        "noisy: 2 of 8 are not as long as their recording, by at most 950.0 ms",
        "Look at a/clip-2 (0.10 s), a/late (0.95 s).",
        "mel_l1, si_sdr of noisy: 1 file left out, the output ends before the reference begins to sound (a/late)",
        "mel_l1, si_sdr of noisy: 1 file left out, the reference is silent (a/silent)",
        "left out: ",
        "broken.wav",
    ):
        assert expected in shown and any(expected in note for note in found["notes"]), expected
    assert found["files"]["noisy"]["mel_l1"] == 6 and found["files"]["noisier"]["mel_l1"] == 8
    assert {d["files"] for d in found["differences"]} == {6}
    rows = {clip["id"]: clip for clip in found["clips"]["noisy"]}
    assert rows["a/clip-0"]["mel_l1"] is None and rows["a/silent"]["undefined"]["mel_l1"] == "the reference is silent"
    page = (folders / "out/index.html").read_text()
    assert "noisy has no copy of 1: a/clip-0" in page


def test_too_few_files_are_told(folders):
    shown, _ = run(folders, "noisy", "noisier", limit=5)
    assert "5 files are too few for any difference to be significant" in shown and "(Holm)" in shown
    assert "too few" not in run(folders, "noisy", "noisier", limit=6)[0]


def test_what_is_kept_may_be_damaged(folders):
    (folders / "out").mkdir()
    (folders / "out/scores.jsonl").write_bytes(b"\xff\xfe\n[1]\n{")
    _, found = run(folders, "noisy")
    assert found["files"]["noisy"]["mel_l1"] == 8
    (folders / "file").touch()
    with pytest.raises(UserError, match="file is a file, expected an output folder"):
        evaluate([str(folders / "noisy")], folders / "real", folders / "file", ["mel_l1"])


def test_different_rates_meet_at_the_lowest(folders):
    for path in (folders / "noisy").rglob("*.wav"):
        waveform = audio.read(path)[0]
        audio.write(path, resample(waveform, RATE, 24000), 24000)
    for path in (folders / "noisier").rglob("*.wav"):
        audio.write(path, resample(audio.read(path)[0], RATE, 8000), 8000)
    shown, found = run(folders, "noisy")
    assert found["sample_rate"] == RATE and "noisy: 24000 Hz resampled to 16000 Hz, the lowest rate of all." in shown
    shown, low = run(folders, "noisy", "noisier")
    assert low["sample_rate"] == 8000 and low["means"]["noisy"] != found["means"]["noisy"]
    assert "8000 Hz holds only narrow-band speech" in shown
    shown, asked = run(folders, "noisy", sample_rate=24000)
    assert asked["sample_rate"] == 24000 and "original: 16000 Hz resampled to 24000 Hz, as asked for." in shown


def test_a_manifest_pairs_by_id_or_file_name(folders, corpus):
    (folders / "by_name").mkdir()
    for utterance in manifest.read(corpus / "train.jsonl"):
        audio.write(folders / "by_name" / f"{utterance.path.stem}.wav", audio.read(utterance.path)[0], RATE)
    _, found = run(folders, "by_name", reference=corpus / "train.jsonl")
    assert found["means"]["by_name"]["mel_l1"] < 1e-3
    assert set(found["speakers"]) == {"speaker-0", "speaker-1", "speaker-2"}


def test_recordings_themselves_have_metrics_without_a_reference(folders):
    for path in (folders / "real").rglob("*.wav"):
        path.with_suffix(".txt").write_text("seven eight")
    _, found = run(folders, "noisy", metric_names=["mel_l1", "wer"])
    assert set(found["means"]["original"]) == {"wer"} and set(found["means"]["noisy"]) == {"mel_l1", "wer"}
    assert found["files"]["original"]["wer"] == 8
    shown, found = run(folders, "noisy", metric_names=["wer"], limit=3)
    assert len(found["clips"]["noisy"]) == 3
    for path in (folders / "real").rglob("*.txt"):
        path.unlink()
    shown, found = run(folders, "noisy", metric_names=["mel_l1", "wer"])
    assert "wer of original, noisy: 8 files left out, there is no transcript" in shown


@pytest.mark.parametrize(
    ("systems", "options", "expected"),
    [
        (["noisy", "noisy"], {}, "the same name, 'noisy'"),
        (["nowhere"], {}, "No model or checkpoint folder"),
        (["empty"], {}, "has no sound files"),
        (["strange"], {}, "has the name of a recording"),
        (["twins"], {}, "are both copies of 'a/clip-0'"),
        (["noisy"], {"metric_names": ["mel_l2"]}, "Did you mean 'mel_l1'"),
        (["noisy"], {"limit": 1, "metric_names": ["lsd_high"], "cutoff": 9000.0}, "there is nothing above 9000 Hz"),
        (["flat"], {}, "flat/clip-0.wav has the name of a/clip-0 and of b/clip-0"),
        (["noisy"], {"train": Path("train.jsonl")}, "--train is for models of the generation task"),
    ],
)
def test_refusals(folders, systems, options, expected):
    (folders / "empty").mkdir()
    (folders / "strange").mkdir()
    audio.write(folders / "strange/other.wav", speech_like(0.2), RATE)
    shutil.copytree(folders / "noisy", folders / "twins")
    audio.write(folders / "twins/a/clip-0.flac", speech_like(0.2), RATE)
    (folders / "flat").mkdir()
    shutil.copy(folders / "noisy/a/clip-0.wav", folders / "flat")
    if "flat" in systems:
        shutil.copy(folders / "real/a/clip-0.wav", folders / "real/b/clip-0.wav")
    try:
        shown, _ = run(folders, *systems, **options)
    except UserError as error:
        shown = str(error)
        assert not (folders / "out/metrics.json").exists()
    assert expected in shown


def test_copies_are_never_written_among_the_recordings(folders):
    sources = ["griffin-lim", str(folders / "noisy")]
    with pytest.raises(UserError, match="real/out is in .*real, where copies would be taken for recordings"):
        evaluate(sources, folders / "real", folders / "real/out", QUICK)
    (folders / "real").rename(folders / "griffin-lim")
    before = {path: path.read_bytes() for path in (folders / "griffin-lim").rglob("*.wav")}
    with pytest.raises(UserError, match="Recordings are in .*griffin-lim, where copies would overwrite them"):
        evaluate(sources, folders / "griffin-lim", folders, QUICK)
    assert before == {path: path.read_bytes() for path in (folders / "griffin-lim").rglob("*") if path.is_file()}


def test_options_of_the_other_task_are_refused(folders):
    for option in ({"limit": 3}, {"sample_rate": 16000}):
        with pytest.raises(UserError, match="--limit and --sample-rate are for vocoders"):
            evaluate(["digits-8k"], folders / "test.jsonl", folders / "out", **option)


def test_a_transcript_that_is_not_utf8_is_told(folders):
    (folders / "real/a/clip-0.txt").write_bytes("caf\u00e9".encode("latin-1"))
    shown, _ = run(folders, "noisy", limit=2)
    assert "clip-0.txt, which is not UTF-8" in shown


def test_requests_are_small_however_many_files_a_folder_has(folders):
    sizes, scorer = [], scoring.Scorer({"mel_l1": metrics.METRICS["mel_l1"]()}, RATE)
    (utterance, *_), _ = read_recordings(folders / "real")
    for count in (8, 1000):
        files = {f"a/clip-{i}": folders / f"noisy/a/clip-{i % 8 // 2 * 2}.wav" for i in range(count)}
        system, store = Folder("x", folders, files), scoring.Store(folders / "none")
        requests = scoring._requests(utterance, [system], scorer, store, folders / "out")
        sizes.append(len(pickle.dumps(requests)))
    assert sizes[1] < sizes[0] + 100


def test_interrupted_it_says_so_and_its_processes_keep_quiet(folders, monkeypatch):
    monkeypatch.setattr(scoring.Scorer, "__call__", lambda *_: os.kill(os.getpid(), signal.SIGINT))
    options = ["--reference", folders / "real", "--metrics", "mel_l1", "-o", folders / "out", "--num-workers", 1]
    done = cli_run("evaluate", folders / "noisy", *options)
    assert done.returncode == 130 and "Interrupted: unfinished files" in done.stderr
    before = signal.getsignal(signal.SIGINT)
    code = "import signal; print(signal.getsignal(signal.SIGINT) is signal.SIG_IGN)"
    with ignore_interrupts():
        started = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert started.stdout.strip() == "True" and signal.getsignal(signal.SIGINT) is before is not signal.SIG_IGN


def test_nothing_to_score_is_an_error(folders):
    for path in (folders / "noisy").rglob("*.wav"):
        path.write_bytes(b"RIFF, but no sound")
    with pytest.raises(UserError, match="Nothing could be scored: .*not a sound file"):
        run(folders, "noisy")


def test_what_a_folder_is(folders):
    assert is_folder_of_sounds(str(folders / "noisy")) and not is_folder_of_sounds(str(PRETRAINED / "vocoder-16k"))
    assert not is_folder_of_sounds("vocoder-16k") and not is_folder_of_sounds("nowhere")
    assert Model.of(str(PRETRAINED / "vocoder-16k")).digest == Model.of("vocoder-16k").digest


def test_the_page_needs_nothing_beside_it(folders):
    odd = folders / "real/<b>&"
    odd.mkdir()
    audio.write(odd / "clip.wav", speech_like(0.4), RATE)
    shutil.copytree(odd, folders / "noisy/<b>&")
    run(folders, "noisy", "noisier")
    page = (folders / "out/index.html").read_text()
    assert not re.search(r"""(src|href)=["'](?!data:)|https?:|<script|@import|url\(""", page)
    assert "<b>&amp;" not in page and "&lt;b&gt;&amp;/clip" in page
    players = re.findall(r'<audio[^>]*src="data:audio/flac;base64,([^"]+)"', page)
    pictures = re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)
    assert len(players) >= 3 * 5 and len(pictures) >= 5
    waveform, rate = soundfile.read(io.BytesIO(base64.b64decode(players[0])))
    assert rate == RATE and len(waveform) in (0.4 * RATE, 0.5 * RATE)
    assert base64.b64decode(pictures[0])[:2] == b"\xff\xd8"
    assert page.count("<svg") == len(QUICK) and page.count("<circle") >= 2 * 2 * 8
    assert "among the worst of noisier" in page and "Scale-invariant" in page


def test_the_page_is_bounded_and_fits_a_phone(folders, monkeypatch):
    run(folders, "noisy", "noisier")
    whole = (folders / "out/index.html").read_text()
    assert '<meta name="viewport" content="width=device-width">' in whole and "Every file</h2><details>" in whole
    assert re.search(r"table{[^}]*overflow-x:auto", whole) and re.search(r"figure{[^}]*overflow-x:auto", whole)
    monkeypatch.setattr(module, "DOTS", 5)
    monkeypatch.setattr(module, "ROWS", 3)
    monkeypatch.setattr(module, "SAMPLES", 0.1 * RATE * whole.count("<audio"))
    run(folders, "noisy", "noisier")
    page = (folders / "out/index.html").read_text()
    assert page.count("<circle") == 2 * len(QUICK) * 5
    assert "the first 3 of 8 files; metrics.json has all" in page and page.count("<tr><th>a/clip") <= 3
    sounds = [soundfile.info(io.BytesIO(base64.b64decode(data))) for data in re.findall(r"flac;base64,([^\"]+)", page)]
    assert len(sounds) == whole.count("<audio") and all(sound.frames == 0.1 * RATE for sound in sounds)


def test_the_worst_files_are_the_worst(folders):
    audio.write(folders / "noisy/a/clip-4.wav", 0.3 * torch.randn(RATE // 2), RATE)
    run(folders, "noisy", metric_names=["si_sdr"])
    page = (folders / "out/index.html").read_text()
    assert page.index("<h3>a/clip-4</h3>") == min(found.start() for found in re.finditer("<h3>", page))


def test_pooled_figures_have_intervals_too():
    """Of 20 files, each with its errors and words: the rate is over all words, and files are what is drawn."""
    metric = metrics.WordErrorRate(["a"])
    parts = np.stack([np.arange(20) % 3, np.full(20, 10.0)], 1)
    files = [manifest.Utterance(id=str(i), path=Path("x"), sample_rate=RATE, num_samples=1) for i in range(20)]
    results = Results("x", RATE, files, [metric])
    results.take("s", metric, dict(zip((file.id for file in files), parts.tolist(), strict=True)))
    found, count = results.overall("s", metric)
    assert (
        found.value == pytest.approx(parts[:, 0].sum() / 200) and found.low < found.value < found.high and count == 20
    )
    assert results.overall("s", metric, "nobody")[1] == 0 and "0.095" in results.table()


def test_an_interval_is_worked_out_once(folders, monkeypatch):
    calls = []
    monkeypatch.setattr(summary, "interval", lambda value, parts: calls.append(1) or metrics.interval(value, parts))
    run(folders, "noisy", "noisier")
    assert len(calls) == 2 * len(QUICK) * 3  # of all files and of each speaker, for all tables, dots and metrics.json


def test_a_sound_is_resampled_once():
    sound = Sound(speech_like(0.2), RATE)
    assert sound.at(8000) is sound.at(8000) and sound.at(RATE) is sound.waveform
