"""Benchmark: speed, latency and memory by model, backend, threads, batch and length.

Each pair of model and backend has its own process, for its peak memory. The processes take turns, one call each, so
that a busy moment of the machine affects all of them; results are medians of the turns.
"""

from __future__ import annotations

import itertools
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch.utils.flop_counter import FlopCounterMode

from wavegan.audio.log_mel import LogMel
from wavegan.core.errors import UserError, one_line
from wavegan.core.processes import ignore_interrupts
from wavegan.core.progress import Bar
from wavegan.core.text import counted
from wavegan.core.version import __version__
from wavegan.evaluation.baselines import ANCHORS, check_name, find, known
from wavegan.evaluation.formatting import columns
from wavegan.inference.synthesizer import BACKENDS, Synthesizer
from wavegan.training.profiling import peak_memory

PAUSE = 0.2  # seconds, in which the threads of the process before stop spinning
MAXIMA = {"seconds": 3600, "threads": 1024, "batch": 1024, "repeats": 1000}


class Case(NamedTuple):
    threads: int
    batch: int
    seconds: float


class Turn(NamedTuple):
    """One call: seconds of sound, seconds of computation, seconds to the first sample, peak memory of the process."""

    sound: float
    elapsed: float
    first: float | None
    peak_mb: float


def bench(
    models: Sequence[str] = (),
    seconds: Sequence[float] = (1, 4, 16),
    threads: Sequence[int] = (2,),
    batches: Sequence[int] = (1,),
    backends: Sequence[str] = ("torch",),
    repeats: int = 5,
) -> dict[str, Any]:
    """Measure models, given by name, folder, published size or anchor; all names by default.

    Returns:
        The contents of ``wavegan bench -o``: the machine, its rate of matrix products, facts and results by model.

    Raises:
        UserError: an unknown model or backend, a number out of range, or a missing package.
    """
    _check(models, backends, {"seconds": seconds, "threads": threads, "batch": batches, "repeats": [repeats]})
    pairs = list(itertools.product(models or known(), backends))
    pairs = [(model, backend) for model, backend in pairs if model not in ANCHORS or backend == "torch"]
    if not pairs:
        raise UserError(f"{', '.join(models)} can be measured by the backend torch only.")
    # In order of size, so that the peak memory after the first turn of a case is of this case.
    cases = sorted(itertools.starmap(Case, itertools.product(threads, batches, seconds)), key=lambda c: c[1] * c[2])
    rates: dict[int, list[float]] = {count: [] for count in threads}
    workers: list[Worker] = []
    done = 0
    try:
        for model, backend in pairs:
            workers.append(Worker(model, backend))
        with Bar("Measuring", (repeats + 1) * len(cases) * len(workers)) as bar:
            for _ in range(repeats + 1):
                for count in rates:
                    rates[count].append(matrix_rate(count))
                for case, worker in itertools.product(cases, workers):
                    worker.take(case)
                    done += 1
                    bar.update(done, f"{worker.model} by {worker.backend}")
    finally:
        for worker in workers:
            worker.process.terminate()
    return {
        "machine": _machine()
        | {"matrix_gflops": {count: statistics.median(values) for count, values in rates.items()}},
        "repeats": repeats,
        "models": {worker.model: worker.facts for worker in workers},
        "results": [result for worker in workers for result in worker.results()],
    }


def _check(models: Sequence[str], backends: Sequence[str], numbers: dict[str, Sequence[float]]) -> None:
    for name, values in numbers.items():
        if not values or not all(0 < value <= MAXIMA[name] for value in values):  # false for NaN
            given = ", ".join(map(str, values)) or "nothing"
            raise UserError(f"--{name} should be above 0 and at most {MAXIMA[name]}, got {given}.")
    if unknown := [backend for backend in backends if backend not in BACKENDS]:
        raise UserError(f"No such backend: '{unknown[0]}'. There are: {', '.join(BACKENDS)}.")
    for model in models:
        check_name(model)


class Worker:
    """A process with one model and one backend."""

    def __init__(self, model: str, backend: str):
        self.model, self.backend = model, backend
        self.turns: dict[Case, list[Turn]] = {}
        exported = None
        if backend == "onnxruntime":  # exported here, as its memory isn't that of inference
            from wavegan.inference import onnx_export

            exported = onnx_export.generator_model(*find(model))
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, model, exported), daemon=True)
        with ignore_interrupts():
            self.process.start()
        theirs.close()
        self.facts: dict[str, Any] = self._exchange()

    def take(self, case: Case) -> None:
        """Make one call. The first of a case is a warm-up: only its memory counts."""
        case = case._replace(seconds=self.facts["clip_seconds"] or case.seconds)
        self.turns.setdefault(case, []).append(self._exchange(case))

    def results(self) -> list[dict[str, Any]]:
        """The medians of each case."""
        results = []
        for case, (first, *turns) in sorted(self.turns.items()):
            latencies = [turn.first for turn in turns if turn.first is not None]
            results.append(
                {"model": self.model, "backend": self.backend, **case._asdict()}
                | {"times_real_time": statistics.median(turn.sound / turn.elapsed for turn in turns)}
                | {"first_sound_seconds": statistics.median(latencies) if latencies else None}
                | {"peak_mb": first.peak_mb}
            )
        return results

    def _exchange(self, case: Case | None = None) -> Any:
        """Send a case, if any, and receive the answer."""
        try:
            if case is not None:
                self.connection.send(case)
            answer = self.connection.recv()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            problem = f"The process of {self.model} ended, perhaps out of memory. Try a smaller --batch."
            raise UserError(problem) from None
        if isinstance(answer, UserError):
            raise answer
        return answer


def _serve(connection: Connection, model: str, exported: bytes | None) -> None:
    torch.set_flush_denormal(True)  # random weights cause denormals, which are slow
    try:
        subject = Subject(model, exported)
        connection.send(subject.facts)
        while True:
            connection.send(subject.measure(connection.recv()))
    except UserError as error:
        connection.send(error)
    except EOFError:  # the parent has ended
        pass
    except Exception as error:
        connection.send(UserError(f"{model} can't be measured: {type(error).__name__}: {one_line(error)}."))


class Subject:
    """A model in its process, run by PyTorch or, if ``exported``, by onnxruntime."""

    def __init__(self, model: str, exported: bytes | None = None):
        self.model, self.exported = model, exported
        self.generator, self.contents = find(model)
        self.task, self.rate = self.contents.task, self.contents.task.features.sample_rate
        self.synthesizers: dict[int, Synthesizer] = {}  # a session of onnxruntime has a fixed number of threads
        self.inputs: dict[tuple[int, float], torch.Tensor] = {}
        clip_length = self.task.clip_length
        self.facts = {
            "parameters": sum(p.numel() for p in self.generator.parameters()),
            "gmac_per_second_of_sound": self._gmac(),
            "clip_seconds": clip_length and clip_length / self.rate,
        }
        if self.task.reads == "mel" and model not in ANCHORS:
            vocoder = Synthesizer(self.generator, self.contents)
            self.facts["look_ahead_seconds"] = vocoder.look_ahead_seconds
            self.facts["delay_seconds"] = vocoder.delay_seconds

    def measure(self, case: Case) -> Turn:
        torch.set_num_threads(case.threads)
        call, first = self._calls(case)
        time.sleep(PAUSE)
        start = time.perf_counter()
        waveform = call()
        elapsed, start = time.perf_counter() - start, time.perf_counter()
        if first is not None:
            first()
        latency = None if first is None else time.perf_counter() - start
        return Turn(waveform.size / self.rate, elapsed, latency, peak_memory(torch.device("cpu")) / 1e6)

    def _calls(self, case: Case) -> tuple[Callable, Callable | None]:
        """The calls to measure: for the whole sound, and for its first samples."""
        if self.model in ANCHORS:
            mel = self._input(case)
            return torch.inference_mode()(lambda: self.generator(mel)[:, 0].numpy()), None
        synthesizer = self._synthesizer(case.threads)
        if self.task.reads == "latent":
            words = self.task.vocabularies.get("label")
            labels = [words[i % len(words)] for i in range(case.batch)] if words else case.batch
            return lambda: synthesizer.generate(labels), None
        x = self._input(case)
        if case.batch > 1 or self.task.reads != "mel":
            return lambda: synthesizer.vocode(x), None
        beginning = x[0, :, : self.generator.context_frames[1] + 1]  # a frame and its look-ahead
        return lambda: synthesizer.vocode(x), lambda: next(synthesizer.stream([beginning], features=self.task.features))

    def _input(self, case: Case) -> torch.Tensor:
        """The input of noise, the same at each turn."""
        key = (case.batch, case.seconds)
        if key not in self.inputs:
            samples = max(round(case.seconds * self.rate), self.task.features.n_fft)
            noise = 0.1 * torch.randn(case.batch, samples)
            self.inputs[key] = LogMel(self.task.features)(noise) if self.task.reads == "mel" else noise[:, None]
        return self.inputs[key]

    def _synthesizer(self, threads: int) -> Synthesizer:
        if threads not in self.synthesizers:
            generator = self.generator
            if self.exported is not None:
                from wavegan.inference import onnx_runtime

                generator = onnx_runtime.OnnxGenerator(generator, onnx_runtime.load(self.exported, threads))
            self.synthesizers[threads] = Synthesizer(generator, self.contents)
        return self.synthesizers[threads]

    def _gmac(self) -> float | None:
        """Multiplications of matrix products and convolutions, in 10^9 per second of sound; without FFTs."""
        if self.model == "griffin-lim":  # only FFTs
            return None
        features, label = self.task.features, torch.zeros(1, len(self.task.label_sizes), dtype=torch.int64)
        waveform = torch.zeros(1, 1, features.n_fft + 32 * features.hop_length)  # short, to need little memory
        x = self.task.build().sample_input(waveform, label)
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            samples = self.generator(*([x, label] if self.task.label_sizes else [x])).shape[-1]
        return counter.get_total_flops() / 2e9 * self.rate / samples


def matrix_rate(threads: int, size: int = 2048) -> float:
    """Rate of a large float32 matrix product on this machine, in 10^9 additions and multiplications per second."""
    matrix, before = torch.randn(size, size), torch.get_num_threads()
    torch.set_num_threads(threads)
    start = time.perf_counter()
    matrix @ matrix
    elapsed = time.perf_counter() - start
    torch.set_num_threads(before)
    return 2e-9 * size**3 / elapsed


def table(report: dict[str, Any]) -> str:
    """A row for each model, backend, thread count and batch; a column for each length."""
    lengths = sorted({result["seconds"] for result in report["results"]})
    rates = report["machine"]["matrix_gflops"]
    heads = ["model", "parameters", "backend", "threads", "batch", *(f"{length:g} s" for length in lengths)]
    rows = [heads + ["first sound", "look-ahead", "memory", "GMAC/s", "bound"]]
    key = lambda result: [result[name] for name in ("model", "backend", "threads", "batch")]  # noqa: E731
    for (model, backend, threads, batch), group in itertools.groupby(report["results"], key):
        results, facts = {result["seconds"]: result for result in group}, report["models"][model]
        longest, gmac = results[max(results)], facts["gmac_per_second_of_sound"]
        row = [model, f"{facts['parameters']:,}", backend, str(threads), str(batch)]
        row += [f"{results[length]['times_real_time']:.1f}" if length in results else "" for length in lengths]
        latencies = longest["first_sound_seconds"], facts.get("look_ahead_seconds")
        row += ["" if latency is None else f"{1000 * latency:.0f} ms" for latency in latencies]
        row += [f"{longest['peak_mb']:.0f} MB"]
        rows.append(row + (["", ""] if gmac is None else [f"{gmac:.2f}", f"{rates[threads] / (2 * gmac):.1f}"]))
    shown = ", ".join(f"{rate:.0f} with {counted(count, 'thread')}" for count, rate in rates.items())
    return "\n".join(
        [
            f"times real time, medians of {report['repeats']} turns; {report['machine']['cpu']}",
            *columns(rows, separator="  ", right=True),
            f"GFLOP/s of a large matrix product: {shown}. bound: times real time if all of GMAC/s ran at that rate.",
            "first sound: compute time to the first sample, without the wait for look-ahead frames.",
        ]
    )


def _machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    return {"cpu": cpu, "torch": torch.__version__, "wavegan": __version__}
