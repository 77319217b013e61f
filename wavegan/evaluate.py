"""Models over a manifest. Here the copy-synthesis of vocoders: metrics.json, the copies, and a page to listen."""

from __future__ import annotations

import html
import os
import time
import urllib.parse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from wavegan import audio, manifest, metrics
from wavegan.errors import UserError
from wavegan.evaluate_sets import evaluate_sets
from wavegan.files import write_atomically, write_json
from wavegan.manifest import Utterance
from wavegan.progress import Bar
from wavegan.synthesizer import Synthesizer

ORIGINAL = "original"
RATE = metrics.PESQ_RATE  # every system is scored at the same rate


def evaluate(
    models: Sequence[str],
    manifest_path: Path,
    output: Path,
    limit: int | None = None,
    count: int = 2048,
    train: Path | None = None,
) -> str:
    """Score models by what their task asks for; returns a table. ``count`` and ``train``: of models that generate.

    Raises:
        UserError: a model or recording that can't be read, models of different tasks, a missing ``metrics`` extra.
    """
    synthesizers = {_name(model): Synthesizer.from_pretrained(model) for model in models}
    if len(synthesizers) < len(models):
        raise UserError("Two of the models have the same name; rename one of the folders.")
    tasks = {synthesizer.config.task.name for synthesizer in synthesizers.values()}
    if len(tasks) > 1:
        raise UserError(f"These models do different things ({', '.join(sorted(tasks))}); evaluate them apart.")
    if tasks == {"generation"}:
        return evaluate_sets(synthesizers, manifest_path, output, count, train)
    return evaluate_copies(synthesizers, manifest_path, output, limit)


def evaluate_copies(
    synthesizers: dict[str, Synthesizer], manifest_path: Path, output: Path, limit: int | None = None
) -> str:
    """Score each model on each recording of the manifest; returns a table.

    Recordings are read at each model's own rate and all copies are compared with them at 16 kHz. Undefined
    scores (silence, very short clips) are left out of the means and counted in ``metrics.json``. ``limit``: that
    many recordings, evenly spaced over the manifest.

    Raises:
        UserError: a recording that can't be read, or a missing ``metrics`` extra.
    """
    for package in ("pesq", "speechmos"):
        metrics.require(package)
    utterances = manifest.read(manifest_path)
    if limit is not None and limit < len(utterances):
        utterances = [utterances[i * len(utterances) // limit] for i in range(limit)]
    output.mkdir(parents=True, exist_ok=True)
    scores: dict[str, list[dict[str, float]]] = {name: [] for name in [ORIGINAL, *synthesizers]}
    with Bar("Evaluating", len(utterances)) as bar:
        for i, utterance in enumerate(utterances, start=1):
            for name, row in _score(utterance, synthesizers, output).items():
                scores[name].append({"id": utterance.id, "speaker": utterance.speaker or "-", **row})
            bar.update(i)
    means = {name: _means(rows) for name, rows in scores.items()}
    result = {"manifest": str(manifest_path), "means": means, "clips": scores}
    write_json(output / "metrics.json", result)
    write_atomically(output / "index.html", _page(utterances, scores, means).encode())
    return f"{_table(means)}\n\nListen: {output / 'index.html'}"


def _name(model: str) -> str:
    return Path(model).resolve().name if os.sep in model or Path(model).is_dir() else model


def _score(utterance: Utterance, synthesizers: dict[str, Synthesizer], output: Path) -> dict[str, dict[str, float]]:
    """Copy one recording with each model, write the copies, and score them."""
    waveform, rate = audio.read(utterance.path)
    real = audio.resample(waveform, rate, RATE)
    file = _file(utterance)
    rows = {ORIGINAL: {"dnsmos": metrics.dnsmos(real, RATE)}}
    _write(output / ORIGINAL / file, real, RATE)
    for name, synthesizer in synthesizers.items():
        source = audio.resample(waveform, rate, synthesizer.sample_rate)
        start = time.perf_counter()
        fake = torch.from_numpy(synthesizer.vocode(source))
        elapsed = time.perf_counter() - start
        _write(output / name / file, fake, synthesizer.sample_rate)
        fake = audio.resample(fake, synthesizer.sample_rate, RATE)
        row = metrics.copy_quality(real, fake, RATE) | {"dnsmos": metrics.dnsmos(fake, RATE)}
        rows[name] = row | {"times_real_time": utterance.seconds / elapsed}
    return rows


def _file(utterance: Utterance) -> Path:
    """Nested as the ids are, so that no two share a file."""
    return Path(*(part for part in Path(f"{utterance.id}.wav").parts if part not in ("/", "..")))


def _write(path: Path, waveform: torch.Tensor, sample_rate: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    audio.write(path, waveform, sample_rate)


def _means(rows: list[dict]) -> dict[str, float]:
    """Mean of each metric over the clips where it is defined, and over those of each speaker (``pesq/carlo``)."""
    names = [key for key in rows[0] if key not in ("id", "speaker")]
    means = {name: float(np.nanmean([row[name] for row in rows])) for name in names}
    means["undefined"] = sum(bool(np.isnan(row[name])) for row in rows for name in names)
    speakers = sorted({row["speaker"] for row in rows})
    if "pesq" in names and len(speakers) > 1:
        for speaker in speakers:
            own = [row["pesq"] for row in rows if row["speaker"] == speaker]
            means[f"pesq/{speaker}"] = float(np.nanmean(own))
    return means


def _table(means: dict[str, dict[str, float]]) -> str:
    columns = sorted({key for row in means.values() for key in row if key != "undefined"}, key=_column_order)
    width = max(len(name) for name in means)
    lines = [" | ".join(["model".ljust(width), *columns])]
    for name, row in means.items():
        cells = [(f"{row[c]:.3f}" if c in row else "-").rjust(len(c)) for c in columns]
        lines.append(" | ".join([name.ljust(width), *cells]))
    return "\n".join(lines)


def _column_order(name: str) -> tuple[int, str]:
    order = ["pesq", "dnsmos", "estoi", "mel_l1", "times_real_time"]
    return (order.index(name) if name in order else len(order), name)


def _page(utterances: Sequence[Utterance], scores: dict[str, list[dict]], means: dict[str, dict[str, float]]) -> str:
    """A plain page beside the wavs: the table of means, then each recording and its copies with players."""
    heads = "".join(f"<th>{html.escape(name)}</th>" for name in scores)
    rows = []
    for i, utterance in enumerate(utterances):
        cells = []
        for name in scores:
            file = urllib.parse.quote(f"{name}/{_file(utterance)}")
            shown = ", ".join(f"{k} {v:.2f}" for k, v in scores[name][i].items() if k in ("pesq", "dnsmos"))
            cells.append(f'<td><audio controls preload="none" src="{html.escape(file)}"></audio><br>{shown}</td>')
        rows.append(f"<tr><th>{html.escape(utterance.id)}</th>{''.join(cells)}</tr>")
    return (
        '<!doctype html><meta charset="utf-8"><title>Copy-synthesis</title>'
        "<style>body{font:15px sans-serif;margin:2em}td,th{padding:.4em;text-align:left}</style>"
        f"<h1>Copy-synthesis</h1><pre>{html.escape(_table(means))}</pre>"
        f"<table><tr><th></th>{heads}</tr>{''.join(rows)}</table>\n"
    )
