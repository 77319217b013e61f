"""The commands on real files: printed results, written files, and one sentence with exit status 2 for user errors.

Most run inside this process, where torch is already loaded; some in a process of their own.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import soundfile

import wavegan
from tests.conftest import RATE, speech_like
from tests.test_audio import bad_files
from wavegan import audio, cli
from wavegan.core import errors

ROOT = Path(__file__).parent.parent
WAVEGAN = [sys.executable, "-m", "wavegan"]


def run_process(*arguments: object, stdin: bytes | None = None) -> subprocess.CompletedProcess:
    """As text; with ``stdin``, as bytes."""
    command, text = [*WAVEGAN, *map(str, arguments)], stdin is None
    return subprocess.run(command, input=stdin, capture_output=True, text=text)


def run(*arguments: object) -> subprocess.CompletedProcess:
    """The whole command line, from ``sys.argv`` to the exit status, in this process."""
    out, err, status = io.StringIO(), io.StringIO(), 0
    command = ["wavegan", *map(str, arguments)]
    with mock.patch.object(sys, "argv", command), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main()
        except SystemExit as stop:
            status = stop.code or 0
    return subprocess.CompletedProcess(command, status, out.getvalue(), err.getvalue())


def assert_refused(done: subprocess.CompletedProcess, *expected: str) -> None:
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: ") and "Traceback" not in done.stderr
    assert all(what in done.stderr for what in expected), done.stderr


def test_import_is_light():
    heavy = ("torch", "librosa", "gradio", "numpy")
    code = f"import sys, wavegan, wavegan.cli; print([m for m in {heavy} if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_public_names():
    inference, training = {"Synthesizer", "list_pretrained"}, {"Trainer", "load_recipe", "register", "term"}
    assert set(wavegan.__all__) == inference | training | {"UserError", "__version__"}
    assert all(getattr(wavegan, name) for name in wavegan.__all__)
    with pytest.raises(AttributeError, match="no attribute 'Synth'"):
        _ = wavegan.Synth


def test_help_version_and_completion():
    for arguments in (["-h"], ["vocode", "-h"], ["recipe", "-h"], ["recipe", "run", "-h"]):
        assert run(*arguments).stdout == run(*arguments[:-1], "--help").stdout != ""
    assert run("--version").stdout == run("version").stdout == f"{wavegan.__version__}\n"
    assert "--show-completion" in run("-h").stdout


def test_vocode_reports_file_speed_and_quality(tmp_path):
    soundfile.write(tmp_path / "in put.wav", np.stack([speech_like(1.0, 44100).numpy()] * 2, 1), 44100)
    done = run_process("vocode", tmp_path / "in put.wav", "-o", tmp_path / "out.flac")
    assert done.returncode == 0, done.stderr
    assert f"{tmp_path}/out.flac: 1.00 s at 16000 Hz" in done.stdout
    assert "times real time" in done.stdout and "PESQ" in done.stdout and "mel distance" in done.stdout
    assert soundfile.info(str(tmp_path / "out.flac")).frames == RATE


def test_vocode_of_a_folder_and_of_a_mel(tmp_path):
    (tmp_path / "in" / "sub").mkdir(parents=True)
    audio.write(tmp_path / "in" / "sub" / "ü.ogg", speech_like(0.5), RATE)
    assert run("vocode", tmp_path / "in", "-o", tmp_path / "out").returncode == 0
    assert (tmp_path / "out" / "sub" / "ü.wav").is_file()
    assert run("mel", tmp_path / "in" / "sub" / "ü.ogg", "-o", tmp_path / "m.npz").returncode == 0
    done = run("vocode", tmp_path / "m.npz", "-o", tmp_path / "m.wav")
    assert done.returncode == 0 and "compared with" not in done.stdout


def test_an_interrupted_folder_continues(tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    for name in ("a.wav", "b.wav", "sub/c.flac"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        audio.write(folder / name, speech_like(0.3), RATE)

    def copied(*options: str) -> list[str]:
        done = run("vocode", folder, "-o", out, "--json", *options)
        assert done.returncode == 0, done.stderr
        result = json.loads(done.stdout)
        assert len(result["files"]) + len(result["copied_before"]) == 3
        return [file["source"] for file in result["files"]]

    assert copied() == ["a.wav", "b.wav", "sub/c.flac"] and copied() == []
    assert "3 copied by an earlier run" in run("vocode", folder, "-o", out).stdout
    (out / "a.wav").unlink()
    audio.write(folder / "b.wav", speech_like(0.4), RATE)
    log = out / "vocode.jsonl"
    log.write_bytes(log.read_bytes()[:-9])  # killed while the last line was written
    assert copied() == ["a.wav", "b.wav", "sub/c.flac"] and copied() == []
    os.truncate(out / "a.wav", 1000)
    assert copied() == ["a.wav"] and len(copied("--force")) == 3
    assert run("pack", "vocoder-16k", "--refinements", 1, "-o", tmp_path / "other").returncode == 0
    other = ("-m", str(tmp_path / "other"))
    assert len(copied(*other)) == 3 and copied(*other) == []
    assert len(copied()) == 3


def test_json_is_one_object_on_stdout(tmp_path):
    (tmp_path / "in").mkdir()
    audio.write(tmp_path / "in" / "a.wav", speech_like(0.5), RATE)
    (tmp_path / "in" / "b.wav").write_text("no sound")
    done = run("vocode", tmp_path / "in" / "a.wav", "-o", tmp_path / "a.flac", "--json")
    clip = json.loads(done.stdout)
    assert clip["output"] == f"{tmp_path}/a.flac" and clip["seconds"] == 0.5 and clip["sample_rate"] == RATE
    assert clip["metrics"]["mel_l1"] > 0 and clip["speed"] > 0 and "times real time" in done.stderr
    assert clip["device"] == "cpu" and clip["threads"] >= 1
    done = run("vocode", tmp_path / "in", "-o", tmp_path / "out", "--json", "--quiet")
    folder = json.loads(done.stdout)
    assert done.returncode == 2 and "times real time" not in done.stderr and "error: 1 recording of" in done.stderr
    assert [file["source"] for file in folder["files"]] == ["a.wav"]
    done = run("vocode", tmp_path / "in", "-o", tmp_path / "a.flac")
    assert done.returncode == 2 and "a.flac is a file, expected an output folder" in done.stderr
    assert folder["failed"][0]["source"] == "b.wav" and "not a sound file" in folder["failed"][0]["error"]
    facts = json.loads(run("info", "vocoder-16k", "--json").stdout)
    assert facts["generator"] == "spectral" and facts["features"]["hop_length"] == 128
    assert facts["task"] == "vocoder" and facts["parameters"] > 1e6 and facts["look_ahead_seconds"] > 0
    facts = json.loads(run("info", "digits-8k", "--json").stdout)
    assert "george" in facts["conditions"]["speaker"] and "look_ahead_seconds" not in facts
    assert "vocoder-16k" in json.loads(run("info", "--json").stdout)["models"]
    done = run("bench", "digits-8k", "--seconds", 1, "--repeats", 1, "--json")
    assert json.loads(done.stdout)["results"][0]["model"] == "digits-8k", done.stderr


@pytest.mark.usefixtures("forks")
def test_sound_and_mels_through_pipes(tmp_path):
    audio.write(tmp_path / "in.flac", speech_like(0.5), RATE)
    run("vocode", tmp_path / "in.flac", "-o", tmp_path / "out.wav")
    expected = (tmp_path / "out.wav").read_bytes()
    sound = (tmp_path / "in.flac").read_bytes()
    done = run_process("vocode", "-", "-o", "-", stdin=sound)
    assert done.stdout == expected and b"compared with stdin" in done.stderr, done.stderr
    mel = run_process("mel", "-", "-o", "-", stdin=sound).stdout
    assert mel.startswith(b"PK")
    done = run_process("vocode", "-", "-o", "-", "--quiet", stdin=mel)
    assert soundfile.info(io.BytesIO(done.stdout)).frames >= RATE // 2 and done.stderr == b""
    done = run_process("vocode", "-", "-o", "-", stdin=b"no sound")
    assert done.returncode == 2 and done.stdout == b"" and b"error: stdin is not a sound file" in done.stderr
    assert_refused(run("vocode", tmp_path, "-o", "-"), "is a folder")
    assert_refused(run("vocode", tmp_path / "in.flac", "-o", "-", "--json"), "--json writes to stdout as well")


def test_a_closed_pipe_ends_quietly():
    process = subprocess.Popen(
        [*WAVEGAN, "digits", "8675309", "-o", "-"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    process.stdout.close()
    error = process.stderr.read()
    assert process.wait() == 1 and b"Traceback" not in error and b"Exception" not in error


@pytest.mark.usefixtures("forks")
def test_bad_input_files(tmp_path):
    for name, expected in bad_files(tmp_path).items():
        if name not in ("", "cut.flac", "short.wav"):  # a folder is welcome here
            assert_refused(run("vocode", tmp_path / name, "-o", tmp_path / "out.wav"), expected, name)
    assert_refused(run_process("vocode", tmp_path / "nan.wav", "-o", tmp_path / "out.wav"), "not finite")
    assert not (tmp_path / "out.wav").exists() and not list(tmp_path.glob(".*"))
    (tmp_path / "empty").mkdir()
    assert_refused(run("vocode", tmp_path / "empty", "-o", tmp_path / "out"), "has no sound files")
    assert not (tmp_path / "out").exists()


def test_a_recording_is_never_overwritten_by_its_copy(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("a.wav", "a.flac"):
        audio.write(folder / name, speech_like(0.3), RATE)
    (folder / "b.wav").write_text("no sound")
    before = (folder / "a.wav").read_bytes()
    assert_refused(run("vocode", folder / "a.wav", "-o", folder / "a.wav"), "is the input itself")
    for output in (folder, folder / "out", folder / ".." / "in" / "a" / "b"):
        assert_refused(run("vocode", folder, "-o", output), "is inside the input")
    assert (folder / "a.wav").read_bytes() == before
    done = run("vocode", folder, "-o", tmp_path / "out")
    assert done.returncode == 2 and "b.wav is not a sound file" in done.stderr and "1 recording of" in done.stderr
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == ["a.wav", "a.wav.wav", "vocode.jsonl"]


def test_bad_targets_and_models(tmp_path):
    audio.write(tmp_path / "a.wav", speech_like(0.3), RATE)
    source = tmp_path / "a.wav"
    assert_refused(run("vocode", source, "-o", tmp_path / "no" / "b.wav"), "there is no folder")
    assert_refused(run("vocode", source, "-o", tmp_path / "b.xyz"), "unknown suffix '.xyz'")
    assert_refused(run("vocode", source, "-o", "/proc/b.wav"), "Cannot write /proc/b.wav")
    assert_refused(run("vocode", source, "-o", tmp_path / "b.wav", "-m", "no-model"), "No model", "vocoder-16k")
    assert_refused(run("info", tmp_path), "is not a checkpoint")
    assert_refused(run("mel", "none.wav", "-o", tmp_path / "m.txt"), "end in .npz")  # before anything is read
    assert_refused(run("vocode", source, "-o", tmp_path / "b.wav", "--device", "gpu"), "device should be", "'gpu'")
    assert_refused(run("vocode", source, "-o", tmp_path / "b.wav", "--backend", "x"), "backend should be one of torch")
    for option in (["--features", "nemo"], ["--convert"]):
        assert_refused(run("vocode", source, "-o", tmp_path / "b.wav", *option), "are for mels")
    assert run("vocode", source).returncode == 2  # usage
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.wav"]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_stopped_command_leaves_nothing_half_written(tmp_path, number, status):
    before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        with pytest.raises(SystemExit) as stop, errors.reported(), audio.writing(tmp_path / "a.wav", RATE) as append:
            append(speech_like(0.1))
            os.kill(os.getpid(), number)
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_IGN  # as it was
    finally:
        signal.signal(signal.SIGTERM, before)
    assert stop.value.code == status and not list(tmp_path.iterdir())


def test_info_lists_and_describes():
    assert "vocoder-16k" in run("info").stdout.splitlines()
    text = run("info", "vocoder-16k").stdout
    assert "spectral generator" in text and "hop_length: 128" in text and "parameters" in text


def test_train_and_its_mistakes(recipe_file, tmp_path):
    run_folder = tmp_path / "run"
    done = run_process("train", recipe_file, "trainer.max_steps=2", "--run", run_folder)
    assert done.returncode == 0, done.stderr
    assert f"--model {run_folder}" in done.stdout and "steps/s" in done.stderr
    assert "step 2" in run("info", run_folder).stdout
    assert_refused(run("train", recipe_file, "trainer.max_stepz=2"), "did you mean 'max_steps'?")
    assert_refused(run("train", recipe_file, "trainer.max_steps=two"), "trainer.max_steps")
    assert_refused(run("train"), "Give a recipe")
    assert_refused(run("train", "trainer.max_steps=2"), "Give a recipe")
    assert_refused(run("train", tmp_path / "none.yaml"), "No such file")
    assert_refused(run("train", "--resume", tmp_path / "none"), "No such checkpoint folder")


def test_evaluate_writes_scores_wavs_and_a_page(corpus, tmp_path):
    out = tmp_path / "eval"
    done = run("evaluate", "vocoder-16k", "--manifest", corpus / "valid.jsonl", "-o", out, "--num-workers", 1)
    assert done.returncode == 0, done.stderr
    scores = json.loads((out / "metrics.json").read_text())
    assert {"pesq", "estoi", "mcd", "mel_l1", "dnsmos"} <= scores["means"]["vocoder-16k"].keys()
    assert set(scores["means"]["original"]) == {"dnsmos"}
    assert len(scores["clips"]["vocoder-16k"]) == 2 and "pesq" in done.stdout
    done = run("evaluate", "vocoder-16k", "--manifest", corpus / "valid.jsonl", "-o", out, "--json")
    assert json.loads(done.stdout) == {"output": str(out), "page": str(out / "index.html")} | scores
    assert (out / "index.html").is_file() and len(list((out / "vocoder-16k").glob("*.wav"))) == 2
    command = ["evaluate", "vocoder-16k", "-o", out]
    assert_refused(run(*command, "--manifest", tmp_path / "no.jsonl"), "No such manifest")
    assert_refused(run(*command), "either as --manifest FILE.jsonl or as --reference FOLDER")
    assert_refused(run(*command, "--reference", corpus / "valid.jsonl"), "is not a folder. Give a manifest")
    assert_refused(run(*command, "--manifest", corpus), "is a folder. Give it as --reference")
    assert_refused(run(*command, "--reference", corpus, "--metrics", "pesk"), "Did you mean 'pesq'?")


@pytest.mark.usefixtures("forks")
def test_eight_channels_at_96_khz_need_no_eightfold_memory(tmp_path):
    """Two minutes: decoded at once, the eight channels would take 370 MB, and resampling them several times that."""
    block = (np.tile(speech_like(1.0, 96000).numpy()[:, None], (1, 8)) * 32767).astype(np.int16)
    with soundfile.SoundFile(tmp_path / "long.wav", "w", 96000, 8, subtype="PCM_16") as file:
        for _ in range(120):
            file.write(block)
    code = (
        "import resource, sys; from wavegan import Synthesizer;"
        "s = Synthesizer.from_pretrained('vocoder-16k'); base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss;"
        "w = s.vocode(sys.argv[1]); assert len(w) == 120 * 16000;"
        "print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) / 1024)"
    )
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    command = [sys.executable, "-c", code, str(tmp_path / "long.wav")]
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout) < 600  # MB


def test_digits_speaks_the_embedded_model(tmp_path):
    done = run("digits", "8675309", "-o", tmp_path / "number.wav")
    assert done.returncode == 0 and "number.wav" in done.stdout and "8000 Hz" in done.stdout, done.stderr
    waveform, rate = soundfile.read(tmp_path / "number.wav")
    assert rate == 8000 and 1.5 < len(waveform) / rate < 7 and np.abs(waveform).max() > 0.05
    run("digits", "867", "5309", "-o", tmp_path / "apart.wav")
    assert np.array_equal(soundfile.read(tmp_path / "apart.wav")[0], waveform)
    run("digits", "8675309", "-o", tmp_path / "other.wav", "--seed", 1)
    assert not np.array_equal(soundfile.read(tmp_path / "other.wav")[0][:1000], waveform[:1000])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["12x"], "'x' is not a digit"),
        ([""], "No digits given"),
        (["1", "--seed", "-1"], "seed should be a whole number from 0 up to"),
        (["1", "--truncation", "1.5"], "truncation should be between 0 and 1, got 1.5"),
        (["1", "--speaker", "nobody"], "No such speaker: 'nobody'. There are: george, jackson"),
        (["1", "--gap", "-1"], "gap should be between 0 and 10 seconds"),
        (["1", "--model", "vocoder-16k"], "can't speak out of noise"),
    ],
)
def test_digits_refusals(tmp_path, arguments, expected):
    assert_refused(run("digits", "-o", tmp_path / "n.wav", *arguments), expected)
    assert not list(tmp_path.iterdir())


def test_generate_takes_labels_and_says_which_there_are(tmp_path):
    done = run("generate", "7", "3", "-m", "digits-8k", "--speaker", "theo", "-o", tmp_path / "a.wav")
    assert done.returncode == 0, done.stderr
    done = run("generate", "seven", "-m", "digits-8k", "-o", tmp_path / "b.wav")
    assert_refused(done, "No such label: 'seven'. There are: 0, 1")
    assert_refused(run("vocode", tmp_path / "a.wav", "-m", "digits-8k", "-o", tmp_path / "b.wav"), "can't copy speech")
    assert [p.name for p in tmp_path.iterdir()] == ["a.wav"]
    assert "speaker: george" in run("info", "digits-8k").stdout


def test_the_demo_names_the_extra_it_needs():
    with mock.patch("importlib.util.find_spec", return_value=None):
        done = run("demo")
    assert done.returncode == 2 and "pip install 'wavegan[demo]'" in done.stderr
