"""Speed: times real time, the wait for the first sound, memory; by model, backend, threads, batch and length.

Each model with its backend lives in a process of its own, so that its memory is its own. They take turns, one call
each, so that a busy moment of the machine meets all; medians of the turns are told.
"""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
import platform
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.checkpoints import hub
from wavegan.checkpoints.formats import load_foreign
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core.errors import UserError, did_you_mean
from wavegan.core.processes import ignore_interrupts
from wavegan.core.version import __version__
from wavegan.evaluation import baselines
from wavegan.evaluation.baselines import ANCHORS, MEL_22K, MEL_24K, MEL_24K_SAME
from wavegan.inference.generation import refuse_first_stage
from wavegan.inference.synthesizer import BACKENDS, Synthesizer
from wavegan.models.generators import GeneratorConfig, bigvgan, hifigan, spectral
from wavegan.models.layers import fold_weight_norm
from wavegan.tasks.vocoder import VocoderConfig
from wavegan.training.profiling import peak_memory

PUBLISHED: dict[str, tuple[GeneratorConfig, LogMelConfig]] = {  # sizes that papers give, with random weights
    "hifigan-v1": (hifigan.V1, MEL_22K),
    "hifigan-v2": (hifigan.V2, MEL_22K),
    "hifigan-v3": (hifigan.V3, MEL_22K),
    "vocos": (spectral.VOCOS, MEL_24K),
    "bigvgan-base": (bigvgan.BASE_V1, MEL_24K_SAME),
}
PAUSE = 0.2  # seconds: the threads of the process that had the last turn spin on for a while, in the way of this one
MOST = {"seconds": 3600, "threads": 1024, "batch": 1024, "repeats": 1000}


class Case(NamedTuple):
    threads: int
    batch: int
    seconds: float


class Turn(NamedTuple):
    """One call: seconds of sound made, seconds it took, seconds to the first of them, and the process's peak so far."""

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
    """Measure models, by name in the package, by folder, or by a published size, and ``ANCHORS``; all without any.

    Returns:
        What ``wavegan bench -o`` writes: the machine, its rate of matrix products, facts and results of each model.

    Raises:
        UserError: an unknown model or backend, a number out of range, or a package that is missing.
    """
    for name, values in {"seconds": seconds, "threads": threads, "batch": batches, "repeats": [repeats]}.items():
        if not values or not all(0 < value <= MOST[name] for value in values):  # NaN is neither
            given = ", ".join(map(str, values)) or "nothing"
            raise UserError(f"--{name} should be above 0 and at most {MOST[name]}, got {given}.")
    if strange := [backend for backend in backends if backend not in BACKENDS]:
        raise UserError(f"No such backend: '{strange[0]}'. There are: {', '.join(BACKENDS)}.")
    for model in models:
        _check_name(model)
    pairs = list(itertools.product(models or known(), backends))
    pairs = [(model, backend) for model, backend in pairs if model not in ANCHORS or backend == "torch"]
    if not pairs:
        raise UserError(f"{', '.join(models)} can be measured by the backend torch only.")
    # The smallest first: a process's peak of memory after its first turn of a case is then that of the case.
    cases = sorted(itertools.starmap(Case, itertools.product(threads, batches, seconds)), key=lambda c: c[1] * c[2])
    rates: dict[int, list[float]] = {count: [] for count in threads}
    workers: list[Worker] = []
    try:
        for model, backend in pairs:
            workers.append(Worker(model, backend))
        for _ in range(repeats + 1):
            for count, found in rates.items():
                found.append(matrix_rate(count))
            for case, worker in itertools.product(cases, workers):
                worker.take(case)
    finally:
        for worker in workers:
            worker.process.terminate()
    return {
        "machine": _machine() | {"matrix_gflops": {count: statistics.median(found) for count, found in rates.items()}},
        "repeats": repeats,
        "models": {worker.model: worker.facts for worker in workers},
        "results": [result for worker in workers for result in worker.results()],
    }


def known() -> list[str]:
    """Every model that can be measured by name."""
    return hub.list_pretrained() + list(PUBLISHED) + list(filter(baselines.is_there, ANCHORS))


def _check_name(model: str) -> None:
    """Raises UserError: neither a name nor, by its look, a place; says which was meant."""
    names = list(dict.fromkeys([*known(), *ANCHORS]))
    if model in names or "/" in model or Path(model).exists():
        return
    raise UserError(
        f"No such model: '{model}'.{did_you_mean(model, names)} There are: {', '.join(names)}; or give a folder."
    )


class Worker:
    """A process with one model behind one backend."""

    def __init__(self, model: str, backend: str):
        self.model, self.backend = model, backend
        self.turns: dict[Case, list[Turn]] = {}
        exported = None
        if backend == "onnxruntime":  # here: the memory that exporting takes isn't that of playing
            from wavegan.inference import onnx_export

            exported = onnx_export.generator_model(*find(model))
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=_serve, args=(theirs, model, exported), daemon=True)
        with ignore_interrupts():
            self.process.start()
        theirs.close()
        self.facts: dict[str, Any] = self._receive()

    def take(self, case: Case) -> None:
        """One call. The first of a case warms up: it counts for the memory only."""
        case = case._replace(seconds=self.facts["clip_seconds"] or case.seconds)
        with self._alive():
            self.connection.send(case)
        self.turns.setdefault(case, []).append(self._receive())

    def results(self) -> list[dict[str, Any]]:
        """Medians, a dictionary a case."""
        results = []
        for case, (first, *turns) in sorted(self.turns.items()):
            waits = [turn.first for turn in turns if turn.first is not None]
            results.append(
                {"model": self.model, "backend": self.backend, **case._asdict()}
                | {"times_real_time": statistics.median(turn.sound / turn.elapsed for turn in turns)}
                | {"first_sound_seconds": statistics.median(waits) if waits else None, "peak_mb": first.peak_mb}
            )
        return results

    def _receive(self) -> Any:
        with self._alive():
            answer = self.connection.recv()
        if isinstance(answer, UserError):
            raise answer
        return answer

    @contextlib.contextmanager
    def _alive(self) -> Iterator[None]:
        try:
            yield
        except (EOFError, BrokenPipeError, ConnectionResetError):
            raise UserError(
                f"The process of {self.model} ended: perhaps memory ran out. Try a smaller --batch."
            ) from None


def _serve(connection: Connection, model: str, exported: bytes | None) -> None:
    torch.set_flush_denormal(True)  # random weights make activations so small that denormals would stall the CPU
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
        reason = (str(error).splitlines() or [""])[0]
        connection.send(UserError(f"{model} can't be measured: {type(error).__name__}: {reason}"))


class Subject:
    """A model in the process that measures it, run by PyTorch or, ``exported``, by onnxruntime."""

    def __init__(self, model: str, exported: bytes | None = None):
        self.model, self.exported = model, exported
        self.generator, self.contents = find(model)
        task = self.contents.task
        self.synthesizers: dict[int, Synthesizer] = {}  # a session of onnxruntime has its threads from the start
        self.inputs: dict[tuple[int, float], torch.Tensor] = {}
        self.facts = {
            "parameters": sum(p.numel() for p in self.generator.parameters()),
            "gmac_per_second_of_sound": self._gmac(),
            "clip_seconds": task.length / task.features.sample_rate if task.name == "generation" else None,
        }
        if task.name == "vocoder" and model not in ANCHORS:
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
        wait = None if first is None else time.perf_counter() - start
        sound = waveform.size / self.contents.task.features.sample_rate
        return Turn(sound, elapsed, wait, peak_memory(torch.device("cpu")) / 1e6)

    def _calls(self, case: Case) -> tuple[Callable, Callable | None]:
        """What is measured: all of the sound, and the first of it."""
        task = self.contents.task
        if self.model in ANCHORS:
            mel = self._mel(LogMel(task.features), case)
            return torch.inference_mode()(lambda: self.generator(mel)[:, 0].numpy()), None
        synthesizer = self._synthesizer(case.threads)
        if task.name == "generation":
            words = task.conditions.get("label")
            labels = [words[i % len(words)] for i in range(case.batch)] if words else case.batch
            return lambda: synthesizer.generate(labels), None
        mel = self._mel(synthesizer.mel, case)
        enough = mel[0, :, : self.generator.context_frames[1] + 1]  # a frame and its look-ahead
        first = (lambda: next(synthesizer.stream([enough], features=task.features))) if case.batch == 1 else None
        return lambda: synthesizer.vocode(mel), first

    def _mel(self, make: Callable[[torch.Tensor], torch.Tensor], case: Case) -> torch.Tensor:
        """That of noise, the same each time."""
        key, features = (case.batch, case.seconds), self.contents.task.features
        if key not in self.inputs:
            samples = max(round(case.seconds * features.sample_rate), features.n_fft)
            self.inputs[key] = make(0.1 * torch.randn(case.batch, samples))
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
        """Multiplications of matrix products and convolutions, in 10^9 a second of sound; FFTs aren't counted."""
        if self.model == "griffin-lim":  # which is little else
            return None
        task = self.contents.task
        if task.name == "generation":
            inputs = [task.draw(1), torch.zeros(1, len(task.label_sizes), dtype=torch.int64)]
            inputs = inputs if task.label_sizes else inputs[:1]
        else:
            inputs = [torch.zeros(1, task.features.n_mels, 32)]  # few frames: what this takes counts as memory, too
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            samples = self.generator(*inputs).shape[-1]
        return counter.get_total_flops() / 2e9 * task.features.sample_rate / samples


def find(model: str) -> tuple[nn.Module, CheckpointConfig]:
    """A generator, ready to play, and its contents."""
    if model in ANCHORS:  # of the contents, the mels count
        return baselines.build(model), _contents(model, hifigan.V1, ANCHORS[model].features)
    if model not in PUBLISHED or Path(model).is_dir():
        generator, contents = hub.load(model)
        refuse_first_stage(contents)
        return generator, contents
    if model == "hifigan-v1" and (data := baselines.published_hifigan()) is not None:
        return load_foreign(data / "generator_universal.pth.tar")
    contents = _contents(model, *PUBLISHED[model])
    return fold_weight_norm(contents.generator.build(contents.task)).eval().requires_grad_(False), contents


def matrix_rate(threads: int, size: int = 2048) -> float:
    """What this machine reaches in a large float32 matrix product: 10^9 additions and multiplications a second."""
    matrix, before = torch.randn(size, size), torch.get_num_threads()
    torch.set_num_threads(threads)
    start = time.perf_counter()
    matrix @ matrix
    elapsed = time.perf_counter() - start
    torch.set_num_threads(before)
    return 2e-9 * size**3 / elapsed


def table(found: dict[str, Any]) -> str:
    """A row a model, backend, thread count and batch; a column a length."""
    lengths = sorted({result["seconds"] for result in found["results"]})
    rates = found["machine"]["matrix_gflops"]
    heads = ["model", "parameters", "backend", "threads", "batch", *(f"{length:g} s" for length in lengths)]
    rows = [heads + ["first sound", "look-ahead", "memory", "GMAC/s", "bound"]]
    for _, group in itertools.groupby(found["results"], lambda r: [r["model"], r["backend"], r["threads"], r["batch"]]):
        cells = {result["seconds"]: result for result in group}
        one = cells[max(cells)]
        facts = found["models"][one["model"]]
        waits, gmac = (one["first_sound_seconds"], facts.get("look_ahead_seconds")), facts["gmac_per_second_of_sound"]
        row = [one["model"], f"{facts['parameters']:,}", one["backend"], str(one["threads"]), str(one["batch"])]
        row += [f"{cells[length]['times_real_time']:.1f}" if length in cells else "" for length in lengths]
        row += ["" if wait is None else f"{1000 * wait:.0f} ms" for wait in waits]
        row += [f"{one['peak_mb']:.0f} MB"]
        rows.append(row + (["", ""] if gmac is None else [f"{gmac:.2f}", f"{rates[one['threads']] / (2 * gmac):.1f}"]))
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(c.ljust(w) if i == 0 else c.rjust(w) for i, (c, w) in enumerate(zip(r, widths, strict=True)))
        for r in rows
    ]
    shown = ", ".join(f"{rate:.0f} with {count} threads" for count, rate in rates.items())
    return "\n".join(
        [
            f"times real time, medians of {found['repeats']} turns; {found['machine']['cpu']}",
            *lines,
            f"GFLOP/s of a large matrix product: {shown}. bound: times real time if all of GMAC/s ran at that rate.",
            "first sound: the work for it alone, once all frames of the look-ahead have come.",
        ]
    )


def _contents(name: str, generator: GeneratorConfig, features: LogMelConfig) -> CheckpointConfig:
    return CheckpointConfig.of_today(step=0, name=name, task=VocoderConfig(features=features), generator=generator)


def _machine() -> dict[str, Any]:
    cpu = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").is_file():
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), cpu)
    return {"cpu": cpu, "torch": torch.__version__, "wavegan": __version__}
