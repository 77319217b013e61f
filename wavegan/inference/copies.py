"""Copy-synthesis of files: recordings or mels in, sound files out. An interrupted folder continues where it stopped."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from wavegan import audio, metrics
from wavegan.checkpoints import hub
from wavegan.checkpoints.native import CheckpointConfig
from wavegan.core import files
from wavegan.core.errors import UserError
from wavegan.core.jsonlines import JSONLines
from wavegan.core.text import counted
from wavegan.inference.inputs import MEL_SUFFIXES
from wavegan.inference.synthesizer import Synthesizer

LOG = "vocode.jsonl"


class Clip(NamedTuple):
    """A written sound file.

    ``speed``: times real time on ``device``; ``threads``: of the CPU, None elsewhere; ``metrics``: of a copy, against
    ``source``.
    """

    output: str
    seconds: float
    sample_rate: int
    speed: float
    device: str
    threads: int | None = None
    source: str = ""
    metrics: dict[str, float] = {}

    @classmethod
    def of(cls, synthesizer: Synthesizer, output: Path, length: int, elapsed: float) -> Clip:
        """A clip of ``length`` samples, made in ``elapsed`` seconds."""
        rate, device = synthesizer.sample_rate, str(synthesizer.device)
        threads = torch.get_num_threads() if device == "cpu" else None
        return cls(str(output), length / rate, rate, length / rate / elapsed, device, threads)

    def describe(self) -> str:
        place = self.device if self.threads is None else counted(self.threads, "thread")
        text = f"{self.output}: {self.seconds:.2f} s at {self.sample_rate} Hz, {self.speed:.0f} times real time"
        text = f"{text} on {place}"
        if not self.metrics:
            return text
        limited = f" (first {metrics.COPY_SECONDS} s)" if self.seconds > metrics.COPY_SECONDS else ""
        return f"{text}\n  compared with {self.source}: {metrics.describe(self.metrics)}{limited}"


def copy_file(synthesizer: Synthesizer, source: Path, output: Path, **options: Any) -> Clip:
    """Vocode a mel file, with ``options`` of ``Synthesizer.vocode``, or a recording of any length in constant memory.

    Raises:
        UserError: unreadable source, or a target that can't be written or is the source.
    """
    audio.check_target(output, synthesizer.sample_rate)
    if output.exists() and source.exists() and output.samefile(source):
        raise UserError(f"{output} is the input itself and would be overwritten. Give another name.")
    is_mel, rate = source.suffix.lower() in MEL_SUFFIXES, synthesizer.sample_rate
    start, length, beginning = time.perf_counter(), 0, []
    limit = metrics.COPY_SECONDS * rate
    pieces = [synthesizer.vocode(source, **options)] if is_mel else synthesizer.stream_copy(source)
    with audio.writing(output, rate) as append:
        for piece in pieces:
            append(piece)
            if length < limit:  # an empty view would keep the whole piece in memory
                beginning.append(piece[: limit - length])
            length += len(piece)
    clip = Clip.of(synthesizer, output, length, time.perf_counter() - start)
    if is_mel:
        return clip
    real = torch.cat(list(_head(audio.stream(source, rate)[0], limit)))
    fake = torch.from_numpy(np.concatenate(beginning))
    return clip._replace(source=source.name, metrics=metrics.copy_quality(real, fake, rate))


def _head(pieces: Iterable[Tensor], limit: int) -> Iterator[Tensor]:
    for piece in pieces:
        yield piece[:limit]
        if (limit := limit - len(piece)) <= 0:
            return


def copy_folder(
    synthesizer: Synthesizer, source: Path, output: Path, model: str, force: bool = False
) -> Iterator[tuple[Path, Clip | UserError | None]]:
    """Copy the recordings below a folder as .wav files of the same relative paths.

    Args:
        model: what ``identify`` returns; copies of another model are made again.
        force: make all again.

    Yields:
        Each recording and its copy; None if an earlier call made it, the error if it can't be copied.

    Raises:
        UserError: no recordings, or ``output`` is a file or inside ``source``.
    """
    if output.resolve().is_relative_to(source.resolve()):
        raise UserError(f"{output} is inside the input, which would mix recordings and copies. Give another folder.")
    recordings = audio.find(source)
    files.make_folder(output)
    log, targets = CopyLog(output / LOG, model), set()
    for recording in recordings:
        name = recording.relative_to(source)
        target = (output / name).with_suffix(".wav")
        target = target.with_name(f"{name.name}.wav") if target in targets else target  # a.flac beside a.wav
        targets.add(target)
        result = None
        if force or not log.has(name, recording, target):
            target.parent.mkdir(parents=True, exist_ok=True)
            before = log.begin(name, recording)
            try:
                result = copy_file(synthesizer, recording, target)
                log.finish(before, target)
            except UserError as error:
                result = error
        yield recording, result


class CopyLog:
    """Finished copies of a folder, one JSON line each: path, size and time of the source, the model, path of the copy.

    A copy counts if the latest line of its source is as a new one would be. Files appear whole, and a line follows its
    file, so that an interruption costs at most one copy.
    """

    def __init__(self, path: Path, model: str):
        self.lines, self.model = JSONLines(path), model
        self.latest = {
            line["source"]: line for line in self.lines.records if isinstance(line, dict) and "source" in line
        }

    def has(self, name: Path, recording: Path, target: Path) -> bool:
        line = self.latest.get(name.as_posix())
        return bool(line) and target.is_file() and line == self._finished(self._source(name, recording), target)

    def begin(self, name: Path, recording: Path) -> dict[str, Any]:
        """Invalidate the earlier copy of a source; returns its state, to be passed to ``finish``."""
        if name.as_posix() in self.latest:
            self.lines.add({"source": name.as_posix()})
        return self._source(name, recording)

    def finish(self, source: dict[str, Any], target: Path) -> None:
        self.lines.add(self._finished(source, target))

    def _source(self, name: Path, recording: Path) -> dict[str, Any]:
        state = recording.stat()
        return {"source": name.as_posix(), "size": state.st_size, "modified": state.st_mtime_ns, "model": self.model}

    def _finished(self, source: dict[str, Any], target: Path) -> dict[str, Any]:
        return source | {"copy": target.relative_to(self.lines.path.parent).as_posix(), "bytes": target.stat().st_size}


def identify(model: str, backend: str = "torch") -> str:
    """An identifier of a model and backend that changes with its settings or weights."""
    exported = files.digest(Path(backend)) if backend.lower().endswith(".onnx") else backend
    return f"{fingerprint(*hub.load(model))} {exported}"


def fingerprint(generator: nn.Module, contents: CheckpointConfig) -> str:
    """SHA-256 of the settings and weights of a model, in hexadecimal."""
    sha = hashlib.sha256(contents.model_dump_json().encode())
    for name, tensor in sorted(generator.state_dict().items()):
        sha.update(name.encode() + tensor.float().cpu().numpy().tobytes())
    return sha.hexdigest()
