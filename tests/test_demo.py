"""The demo as a process of its own, called by gradio_client as a visitor's program would."""

from __future__ import annotations

import os
import re
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile
import torch

from tests.conftest import free_port, speech_like
from wavegan import Synthesizer, audio
from wavegan.audio.log_mel import LogMelConfig
from wavegan.audio.resample import resample
from wavegan.checkpoints import native
from wavegan.core.text import DIGITS
from wavegan.models.generators import WaveGANConfig
from wavegan.tasks.generation import GenerationConfig
from wavegan.training.tracker import Tracker

pytest.importorskip("gradio", reason="the extra 'demo' isn't installed")
from gradio_client import Client, handle_file  # noqa: E402
from gradio_client.exceptions import AppError  # noqa: E402

ROOT = Path(__file__).parent.parent
HOOK = """
import socket
def record(name):
    original = getattr(socket, name)
    def recorded(host, *arguments, **options):
        with open({log!r}, "a") as file:
            print(host, file=file)
        return original(host, *arguments, **options)
    setattr(socket, name, recorded)
record("getaddrinfo")
record("gethostbyname")
connect = socket.socket.connect
def connected(self, address):
    if self.family != socket.AF_UNIX:
        with open({log!r}, "a") as file:
            print(address[0], file=file)
    return connect(self, address)
socket.socket.connect = connected
"""  # what Python reads at its start: every name that the process looks up, and every address it calls


class Server:
    """A demo that runs: ``address``, and ``looked_up``, the file of names that it asked for."""

    def __init__(self, folder: Path, *options: str, command: tuple[str, ...] = ("demo/app.py",)):
        port = free_port()
        self.address = f"http://127.0.0.1:{port}"
        self.looked_up, self.temporary = folder / "hosts", folder / "temporary"
        self.temporary.mkdir(parents=True)
        (folder / "sitecustomize.py").write_text(HOOK.format(log=str(self.looked_up)))
        path = f"{folder}{os.pathsep}{ROOT}"  # the package beside this file, wherever another is installed
        environment = {**os.environ, "PYTHONPATH": path, "TMPDIR": str(self.temporary)}
        environment.pop("GRADIO_TEMP_DIR", None)
        self.log = (folder / "log").open("w+")
        call = [sys.executable, *command, "--port", str(port), *options]
        self.process = subprocess.Popen(call, cwd=ROOT, env=environment, stdout=self.log, stderr=self.log)
        end = time.monotonic() + 120
        while not self._answers(port):
            if self.process.poll() is not None or time.monotonic() > end:
                raise RuntimeError((folder / "log").read_text())
            time.sleep(0.2)

    @staticmethod
    def _answers(port: int) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    def memory(self) -> float:
        """Resident megabytes."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status)[1]) / 1000

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)


@pytest.fixture(scope="module")
def runs(tmp_path_factory) -> Path:
    """A folder with one run, written by the package's own tracker."""
    folder = tmp_path_factory.mktemp("runs")
    tracker = Tracker(folder / "first")
    for step in (100, 200):
        tracker.log(step, {"train/loss": 1 / step})
        tracker.sample(step, "hello", speech_like(0.5), 0.5 * speech_like(0.5, seed=step), 16000)
        tracker.log(step, {"valid/mel_l1": 10 / step})
    tracker.close()
    (folder / "empty").mkdir()
    (folder / "empty" / "metrics.jsonl").write_text("1\nnot json\n")
    settled = time.time() - 60
    for path in (folder / "first" / "samples").iterdir():
        os.utime(path, (settled, settled))
    return folder


@pytest.fixture(scope="module")
def other_models(tmp_path_factory) -> list[Path]:
    """Untrained models: one whose labels are words, one without labels."""
    folders = []
    for name, conditions in (("words", {"label": sorted([*DIGITS, "go left"])}), ("plain", {})):
        features = LogMelConfig(sample_rate=8000, n_fft=256, hop_length=64, n_mels=20)
        task = GenerationConfig(features=features, length=4096, conditions=conditions)
        config = WaveGANConfig(dim=1)
        contents = native.CheckpointConfig.of_today(step=0, name=name, task=task, generator=config)
        folders.append(tmp_path_factory.mktemp("models") / name)
        native.save_generator(folders[-1], config.build(task), contents)
    return folders


@pytest.fixture(scope="module")
def server(tmp_path_factory, runs, other_models) -> Iterator[Server]:
    options = [part for folder in other_models for part in ("--checkpoint", str(folder))]
    options += ["--runs", str(runs), "--max-requests", "1000000"]
    running = Server(tmp_path_factory.mktemp("server"), *options)
    yield running
    running.stop()


@pytest.fixture(scope="module")
def client(server) -> Client:
    return Client(server.address, verbose=False)


@pytest.fixture(scope="module")
def speaker() -> Synthesizer:
    return Synthesizer.from_pretrained("digits-8k")


def pcm(path: str) -> tuple[np.ndarray, int]:
    return soundfile.read(path, dtype="int16")


def same(path: str, waveform: np.ndarray) -> bool:
    """The file holds this waveform, at the level that the model gave it."""
    heard = pcm(path)[0]
    return len(heard) == len(waveform) and np.abs(heard / 32767 - np.clip(waveform, -1, 1)).max() < 1e-3


def is_picture(path: str) -> bool:
    return Path(path).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"


def test_every_function_is_a_documented_endpoint(client):
    endpoints = client.view_api(return_format="dict")["named_endpoints"]
    wanted = {"digits", "another_voice", "walk", "takes", "vocode", "example", "run", "curves", "sample"}
    assert set(endpoints) == {f"/{name}" for name in wanted}
    assert not client.view_api(return_format="dict")["unnamed_endpoints"]
    for name, endpoint in endpoints.items():
        assert len(endpoint.get("description") or "") > 20, name


def test_digits_are_those_of_the_package(client, speaker):
    path, picture = client.predict("digits-8k", "42", "theo", 5, 0.7, api_name="/digits")
    assert same(path, speaker.digits("42", speaker="theo", seed=5, truncation=0.7)) and is_picture(picture)
    assert pcm(path)[1] == 8000


def test_another_voice_says_which_seed_it_took(client, speaker):
    for _ in range(4):
        seed, voice, path, _ = client.predict("digits-8k", "42", "theo", 0, 1, api_name="/another_voice")
        assert voice == "any voice" and same(path, speaker.digits("42", seed=seed)) and speaker.speaker(seed) != "theo"


def test_a_walk_begins_and_ends_at_its_seeds(client, speaker):
    for position, seed in ((0, 1), (1, 2)):
        path, _ = client.predict("digits-8k", "7", "any voice", 1, 2, position, api_name="/walk")
        assert same(path, speaker.generate(["7"], speaker=speaker.speaker(1), z=speaker.latent(1, seed))[0])
    between, _ = client.predict("digits-8k", "7", "theo", 1, 2, 0.5, api_name="/walk")
    assert not same(between, speaker.generate(["7"], speaker="theo", z=speaker.latent(1, 2))[0])


def test_eight_takes_differ(client, speaker):
    shown = client.predict("digits-8k", "3", "theo", 0, 1, api_name="/takes")
    expected = speaker.generate(["3"] * 8, speaker="theo", seed=0)
    assert all(same(path, clip) for path, clip in zip(shown[:8], expected, strict=True))
    assert all(is_picture(path) for path in shown[8:]) and len({pcm(path)[0].tobytes() for path in shown[:8]}) == 8


@pytest.fixture
def sentence(tmp_path) -> Path:
    audio.write(tmp_path / "sentence.wav", speech_like(1.0), 16000)
    return tmp_path / "sentence.wav"


def test_a_copy_is_the_vocoders_and_measured(client, sentence):
    original, copy, picture, table = client.predict("vocoder-16k", handle_file(sentence), 0, 1, api_name="/vocode")
    assert same(copy, Synthesizer.from_pretrained("vocoder-16k").vocode(sentence)) and is_picture(picture)
    assert same(original, audio.read(sentence)[0].numpy())
    assert "**ESTOI**" in table and "**Mel distance**" in table and "times real time" in table


def test_examples_can_be_taken(client):
    path = client.predict("english", api_name="/example")
    assert same(path, audio.read(ROOT / "demo" / "examples" / "english.flac")[0].numpy())


def test_speed_and_pitch_are_changed(client, sentence):
    slow = client.predict("vocoder-16k", handle_file(sentence), 0, 0.5, api_name="/vocode")
    assert abs(len(pcm(slow[1])[0]) - 32000) < 400 and "ESTOI" not in slow[3]
    high = client.predict("vocoder-16k", handle_file(sentence), 12, 1, api_name="/vocode")
    centroids = [_centroid(pcm(path)[0]) for path in (high[0], high[1])]
    assert centroids[1] > 1.5 * centroids[0]


def _centroid(samples: np.ndarray) -> float:
    power = np.abs(np.fft.rfft(samples.astype(float))) ** 2
    return float((power * np.arange(len(power))).sum() / power.sum())


def test_models_of_other_labels(client, other_models):
    words, plain = (Synthesizer.from_pretrained(folder) for folder in other_models)
    for number, labels in (("12", ["one", "two"]), ("two one", ["two", "one"]), ("go left, one", ["go left", "one"])):
        path, _ = client.predict("words", number, "any voice", 3, 1, api_name="/digits")
        heard = words.digits(number, seed=3) if number == "12" else words.generate(labels, seed=3).reshape(-1)
        assert same(path, heard)
    with pytest.raises(AppError, match="No such label: 'three hundred'. There are: eight, five"):
        client.predict("words", "one, three hundred", "any voice", 3, 1, api_name="/digits")
    path, _ = client.predict("plain", "a b c", "any voice", 3, 1, api_name="/digits")
    assert same(path, plain.generate(3, seed=3).reshape(-1))
    assert len(client.predict("plain", "a clip", "any voice", 3, 1, api_name="/takes")) == 16


def test_a_run_shows_its_curves_and_samples(server, client):
    picture, standing = client.predict("first", api_name="/curves")
    assert is_picture(picture) and "**200**" in standing and "mel_l1 0.05" in standing
    run, _, _, step, names, _, _, shown = client.predict("first", api_name="/run")
    assert sorted(run["choices"]) == [["empty", "empty"], ["first", "first"]] and run["value"] == "first"
    assert (step["maximum"], step["value"]) == (200, 200) and names["choices"] == [["hello", "hello"]]
    assert "**200**" in shown
    heard, seen, shown = Client(server.address, verbose=False).predict("first", 110, "hello", api_name="/sample")
    assert "**100**" in shown and seen and same(heard, 0.5 * speech_like(0.5, seed=100).numpy())


def test_a_run_that_has_not_begun_and_one_that_is_gone(client):
    picture, standing = client.predict("empty", api_name="/curves")
    assert is_picture(picture) and standing == "Nothing logged yet."
    assert "No samples yet" in client.predict("empty", 1, None, api_name="/sample")[2]
    assert client.predict("gone", api_name="/run")[0]["value"] in ("empty", "first")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (("digits-8k", "12a", "theo", 0, 1, "/digits"), "'a' is not a digit"),
        (("digits-8k", "  ", "theo", 0, 1, "/digits"), "No digits given"),
        (("digits-8k", "1" * 33, "theo", 0, 1, "/digits"), "at most 32"),
        (("digits-8k", "1", "theo", None, 1, "/digits"), "seed should be"),
        (("digits-8k", "1", "theo", -1, 1, "/digits"), "less than minimum"),
        (("digits-8k", "1", "theo", 0, 1.5, "/digits"), "greater than maximum"),
        (("digits-8k", "1", "nobody", 0, 1, "/digits"), "No such speaker: 'nobody'. There are: george"),
        (("digits-8k", None, "theo", 0, 1, "/digits"), "did not work with these values"),
        (("vocoder-16k", None, 0, 1, "/vocode"), "No recording yet"),
        (("../../etc", "/curves"), "No run '../../etc'"),
        (("first", 0, "../../metrics", "/sample"), "No sample '../../metrics'"),
    ],
)
def test_bad_input_gets_the_sentence(client, call, message):
    *arguments, name = call
    with pytest.raises(AppError, match=re.escape(message)):
        client.predict(*arguments, api_name=name)


def malformed(kind: str, folder: Path) -> Path:
    path = folder / "upload.wav"
    good = (0.3 * np.random.default_rng(0).standard_normal(16000)).astype(np.float32)
    if kind == "text":
        path.write_text("this is not a sound\n" * 50)
    elif kind == "truncated":
        soundfile.write(path, good, 16000)
        path.write_bytes(path.read_bytes()[:9000])
    elif kind == "empty":
        path.write_bytes(b"")
    elif kind == "nan":
        good[100] = np.nan
        soundfile.write(path, good, 16000, subtype="FLOAT")
    elif kind == "too long":
        soundfile.write(path, np.zeros(121 * 16000, np.int16), 16000)
    elif kind == "eight channels, too big":
        soundfile.write(path, np.zeros((192000 * 8, 8), np.int16), 192000)
    elif kind == "far too loud":
        soundfile.write(path, 1e30 * good, 16000, subtype="FLOAT")
    elif kind == "no samples":
        soundfile.write(path, good[:0], 16000)
    return path


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("text", "upload.wav is not a sound file"),
        ("truncated", "upload.wav is cut short"),
        ("empty", "upload.wav is an empty file"),
        ("nan", "upload.wav has samples that are not finite"),
        ("too long", "upload.wav lasts 121 s; at most 60 s"),
        ("no samples", "upload.wav has no samples"),
        ("far too loud", "upload.wav reaches .*e.30, expected samples between -1 and 1"),
        ("eight channels, too big", "exceeds the maximum file size of 20000000 bytes"),  # not even sent
    ],
)
def test_malformed_uploads_get_the_sentence_and_the_server_lives(client, speaker, tmp_path, kind, message):
    path = malformed(kind, tmp_path)
    with pytest.raises(Exception, match=message) as caught:  # noqa: B017
        client.predict("vocoder-16k", handle_file(path), 0, 1, api_name="/vocode")
    assert "/temporary/" not in str(caught.value)  # where the upload lies at the server
    assert same(
        client.predict("digits-8k", "1", "theo", 0, 1, api_name="/digits")[0], speaker.digits("1", speaker="theo")
    )


def test_many_channels_at_a_high_rate_are_mixed(client, tmp_path):
    path = tmp_path / "eight.wav"
    soundfile.write(path, np.repeat(resample(speech_like(0.5), 16000, 192000).numpy()[:, None], 8, 1), 192000)
    original = client.predict("vocoder-16k", handle_file(path), 0, 1, api_name="/vocode")[0]
    heard, rate = pcm(original)
    assert rate == 16000 and np.corrcoef(heard, speech_like(0.5).numpy())[0, 1] > 0.99


def test_eight_clients_at_once(server, client, speaker, sentence):
    """Six requests each, over all endpoints: no error, every client gets its own answer, memory stays flat."""
    numbers = [str(1234 + 1111 * i) for i in range(8)]
    expected = [speaker.digits(number, seed=i) for i, number in enumerate(numbers)]
    copied = Synthesizer.from_pretrained("vocoder-16k").vocode(sentence)
    requests, faults, answers, memory = 6, [], [0] * 8, []

    def ask(own: Client, i: int) -> bool:
        """Call the endpoints in turn; return True if the answer is this visitor's."""
        turn = answers[i] % 6
        if turn == 1:
            path = own.predict("vocoder-16k", handle_file(sentence), 0, 1, api_name="/vocode")[1]
            return same(path, copied)
        if turn == 2:
            path, _ = own.predict("digits-8k", str(i), "theo", i, 9, 0, api_name="/walk")
            return same(path, speaker.generate([str(i)], speaker="theo", z=speaker.latent(1, i))[0])
        if turn == 3:
            return own.predict("first", api_name="/run")[0]["value"] == "first"
        if turn == 4:
            seed, _, path, _ = own.predict("digits-8k", str(i), "theo", i, 1, api_name="/another_voice")
            return same(path, speaker.digits(str(i), seed=seed))
        path, _ = own.predict("digits-8k", numbers[i], "any voice", i, 1, api_name="/digits")
        return same(path, expected[i])

    def visit(i: int) -> None:
        own = Client(server.address, verbose=False)
        for _ in range(requests):
            try:
                if not ask(own, i):
                    faults.append(f"{i}: another answer")
                answers[i] += 1
            except Exception as error:  # noqa: BLE001
                faults.append(f"{i}: {error}")

    threads = [threading.Thread(target=visit, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        time.sleep(0.5)
        memory.append(server.memory())
    for thread in threads:
        thread.join()
    assert not faults, faults[:3]
    assert min(answers) == requests, answers
    warm = memory[len(memory) // 2]  # the allocator's pools fill for some time before
    assert memory[-1] < warm + 60, f"{warm:.0f} MB grew to {memory[-1]:.0f} MB in {sum(answers)} answers"


def test_nothing_outside_was_looked_up(server, client):
    """Not even when a program names a file by an address."""
    client.predict("digits-8k", "1", "theo", 0, 1, api_name="/digits")
    file = {"path": "https://example.org/x.wav", "meta": {"_type": "gradio.FileData"}}
    answer = httpx.post(f"{server.address}/gradio_api/call/vocode", json={"data": ["vocoder-16k", file, 0, 1]})
    assert answer.status_code == 400 and "upload the file" in answer.json()["detail"]
    hosts = set(server.looked_up.read_text().split())
    assert hosts <= {"127.0.0.1", "localhost", "::1", "0.0.0.0", "None"}, hosts


def test_uploads_are_bounded_before_they_are_read(server):
    address = f"{server.address}/gradio_api/upload"
    answer = httpx.post(address, files={"files": ("x.wav", bytes(25_000_000))})
    assert answer.status_code == 413 and "At most 20 MB" in answer.json()["detail"]
    answer = httpx.post(f"{server.address}/gradio_api/call/digits", content=b"x" * 2_000_000)
    assert answer.status_code == 413
    answer = httpx.post(f"{server.address}/gradio_api/call/digits", content=b"[" * 200_000)
    assert answer.status_code == 400 and "nested too deeply" in answer.json()["detail"]


def test_limits_are_options_and_nothing_is_left(tmp_path, sentence):
    """By the command line, which starts the same file: a visitor who asks too often waits, files go at the end."""
    options = ["--max-requests", "3", "--max-seconds", "0.5", "--runs", str(tmp_path / "none")]
    running = Server(tmp_path / "s", *options, command=("-m", "wavegan", "demo"))
    try:
        client = Client(running.address, verbose=False)
        assert client.predict(None, api_name="/run")[0]["value"] is None  # no runs is no error
        with pytest.raises(AppError, match="lasts 1 s; at most 0.5 s"):
            client.predict("vocoder-16k", handle_file(sentence), 0, 1, api_name="/vocode")
        client.predict("digits-8k", "1", "theo", 0, 1, api_name="/digits")
        with pytest.raises(AppError, match="At most 3 requests a minute"):  # another session is the same visitor
            Client(running.address, verbose=False).predict("digits-8k", "1", "theo", 0, 1, api_name="/digits")
        assert [*running.temporary.glob("wavegan-demo-*/*")]
    finally:
        running.stop()
    assert not [*running.temporary.glob("wavegan-demo-*")]


def test_the_same_question_is_answered_in_files_of_its_own(server, client):
    """A file that one visitor reads is never written again for the next."""
    before = {*server.temporary.rglob("*.wav")}
    for _ in range(2):
        client.predict("digits-8k", "90210", "theo", 7, 1, api_name="/digits")
    made = {*server.temporary.rglob("*.wav")} - before
    assert len(made) == 2 and len({path.read_bytes() for path in made}) == 1


def test_old_files_go_and_what_the_page_shows_stays(monkeypatch, tmp_path):
    monkeypatch.syspath_prepend(ROOT / "demo")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    import cache

    heard, shown = cache.fresh("audio.wav"), cache.fresh("image.png")
    for path in (heard, shown):
        path.write_bytes(b"x")
    cache.sweep(60)
    assert heard.exists()
    cache.sweep(-1, {str(shown)})
    assert not heard.parent.exists() and shown.exists()


def test_starting_wrongly_is_one_sentence(server, tmp_path, monkeypatch, capsys):
    """In this process, which has imported Gradio already."""
    monkeypatch.syspath_prepend(ROOT / "demo")
    monkeypatch.setenv("GRADIO_TEMP_DIR", str(tmp_path))
    import cache

    monkeypatch.setattr(cache, "keep_clean", lambda blocks: None)  # a thread for as long as the process lives
    for name in ("GRADIO_ANALYTICS_ENABLED", "HF_HUB_OFFLINE"):  # which the demo sets
        monkeypatch.setenv(name, os.environ.get(name, "1"))
    port = server.address.rsplit(":", 1)[1]
    for options, message in (
        (["--checkpoint", str(tmp_path / "none")], "No model or checkpoint folder"),
        (["--port", port], f"Port {port} is taken"),
        (["--port", "99999"], "should be a number from 1 to 65535"),
        (["--max-requests", "0"], "should be a number from 1"),
    ):
        monkeypatch.setattr(sys, "argv", ["demo/app.py", *options])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(ROOT / "demo/app.py"), run_name="__main__")
        error = capsys.readouterr().err
        assert stop.value.code == 2 and message in error and "Traceback" not in error


# In a browser.

CONTROLS = {"button", "checkbox", "combobox", "radio", "searchbox", "slider", "spinbutton", "switch", "tab", "textbox"}


@pytest.fixture(scope="module")
def browser():  # noqa: ANN201
    chromium = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
    if chromium is None:
        pytest.skip("no Chromium: apt-get install chromium")
    playwright = pytest.importorskip("playwright.sync_api", reason="no playwright: pip install -e '.[dev]'")
    with playwright.sync_playwright() as started:
        running = started.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture
def page(browser, server):  # noqa: ANN201
    """The demo opened; whatever it asks of other hosts fails the test."""
    fresh = browser.new_page()
    asked = []
    fresh.on("request", lambda request: asked.append(request.url))
    fresh.goto(server.address)
    yield fresh
    fresh.close()
    outside = [url for url in asked if not url.startswith((server.address, "data:", "blob:"))]
    assert not outside, outside


def played(page, element: str, tmp_path: Path) -> tuple[np.ndarray, int]:  # noqa: ANN001
    """What an audio player of the page holds, downloaded by the browser."""
    link = page.locator(f"#{element} a[download]")
    link.wait_for(timeout=60_000)
    body = page.request.get(link.get_attribute("href")).body()
    (tmp_path / "played.wav").write_bytes(body)
    return soundfile.read(tmp_path / "played.wav", dtype="int16")


def spoken(samples: np.ndarray, rate: int, gap: float = 0.1) -> list[np.ndarray]:
    """The digits of a number: what lies between stretches of digital silence."""
    loud = np.flatnonzero(samples)
    cuts = np.flatnonzero(np.diff(loud) > 0.9 * gap * rate)
    return [samples[part[0] : part[-1] + 1] for part in np.split(loud, cuts + 1)]


def test_a_visitor_types_a_number_and_hears_it(page, tmp_path):
    from wavegan.evaluation import classifiers

    page.locator("#number textarea").fill("3141592")
    page.get_by_label("Truncation").first.fill("0.5")
    page.get_by_role("button", name="Speak").click()
    samples, rate = played(page, "number-sound", tmp_path)
    assert rate == 8000 and 1.5 < len(samples) / rate < 7 and np.abs(samples).max() > 3000
    classifier = classifiers.load(ROOT / "tests" / "data" / "label-image")
    clips = [torch.from_numpy(clip / 32768).float()[None, None] for clip in spoken(samples, rate)]
    digits = "".join(str(int(classifier.predict(clip)[0].argmax())) for clip in clips)
    assert digits == "3141592"


def test_a_visitor_uploads_a_sentence_and_gets_the_copy(page, sentence, tmp_path):
    page.get_by_role("tab", name="Vocoder").click()
    page.locator("#recording input[type=file]").first.set_input_files(sentence)
    page.locator("#recording audio").first.wait_for(state="attached")
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_text("Mel distance").wait_for(timeout=60_000)
    samples, rate = played(page, "copy-sound", tmp_path)
    real = audio.read(sentence)[0].numpy()
    assert rate == 16000 and len(samples) == len(real)
    assert np.abs(samples / 32767 - Synthesizer.from_pretrained("vocoder-16k").vocode(real)).max() < 1e-3


def test_a_visitor_with_nothing_to_copy_sees_the_sentence(page):
    page.get_by_role("tab", name="Vocoder").click()
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_text("No recording yet: upload or record a sentence, or take an example.").wait_for(timeout=30_000)


def test_two_minutes_are_refused(page, tmp_path):
    soundfile.write(tmp_path / "long.wav", np.zeros(120 * 16000, np.int16), 16000)
    page.get_by_role("tab", name="Vocoder").click()
    page.locator("#recording input[type=file]").first.set_input_files(tmp_path / "long.wav")
    page.locator("#recording audio").first.wait_for(state="attached")
    page.get_by_role("button", name="Copy", exact=True).click()
    page.get_by_text("long.wav lasts 120 s; at most 60 s are accepted.").wait_for(timeout=30_000)


def test_a_live_run_updates(page, runs):
    """Curves and, when they come, samples of a run that had nothing yet."""
    page.get_by_role("tab", name="Training").click()
    page.get_by_role("combobox", name="Run").click()
    page.get_by_role("option", name="empty").click()
    page.get_by_text("Nothing logged yet.").wait_for(timeout=30_000)
    tracker = Tracker(runs / "empty", 0)
    tracker.log(300, {"train/loss": 0.1})
    tracker.sample(300, "spoken", speech_like(0.5), speech_like(0.5), 16000)
    tracker.close()
    page.locator("#standing").get_by_text("300").wait_for(timeout=30_000)
    page.locator("#sample-step").get_by_text("300").wait_for(timeout=30_000)
    assert page.locator(".toast-body").count() == 0


def test_a_walk_by_keyboard(page, tmp_path):
    page.get_by_role("slider", name="Position").focus()
    page.keyboard.press("ArrowRight")
    samples, rate = played(page, "walk-sound", tmp_path)
    assert rate == 8000 and np.abs(samples).max() > 1000


def test_dark_pages_are_readable(browser, server):
    page = browser.new_page(color_scheme="dark")
    page.goto(f"{server.address}?__theme=dark")
    page.get_by_role("button", name="Speak").wait_for()
    text = page.evaluate("getComputedStyle(document.querySelector('.prose p, .md p')).color")
    back = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert sum(map(int, re.findall(r"\d+", text)[:3])) - sum(map(int, re.findall(r"\d+", back)[:3])) > 380
    page.close()


def test_a_phone_shows_all_of_it_and_a_keyboard_reaches_it(browser, server):
    page = browser.new_page(viewport={"width": 390, "height": 844})
    page.goto(server.address)
    page.get_by_role("button", name="Speak").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.locator("#number textarea").focus()
    reached = set()
    for _ in range(25):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.innerText || document.activeElement.ariaLabel || ''").strip())
    assert {"Speak", "Another voice"} <= reached
    tree = page.context.new_cdp_session(page).send("Accessibility.getFullAXTree")["nodes"]
    controls = [node for node in tree if not node["ignored"] and node["role"]["value"] in CONTROLS]
    unnamed = [node for node in controls if not node.get("name", {}).get("value", "").strip()]
    assert len(controls) > 15 and not unnamed, unnamed
    page.close()
