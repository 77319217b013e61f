"""A self-contained HTML page of an evaluation, without scripts: tables, distributions, and files to listen to.

Sounds are embedded as FLAC, pictures as JPEG and SVG.
"""

from __future__ import annotations

import base64
import io
import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jinja2 import Environment, StrictUndefined
from torch import Tensor

from wavegan import audio
from wavegan.audio.pictures import decibels
from wavegan.core.errors import UserError
from wavegan.core.sequences import limited
from wavegan.evaluation.formatting import estimate, number, p_value
from wavegan.evaluation.summary import Results, definition
from wavegan.evaluation.systems import ORIGINAL
from wavegan.metrics import Metric

TEMPLATE = Path(__file__).with_name("page.html.jinja")
WORST, BEST = 3, 2  # files of each system to listen to
SECONDS = 20.0  # of each, at most
SAMPLES = 2e7  # of all files to listen to: about 30 MB of the page
DOTS, ROWS = 400, 1000  # of a lane, of the table of all files
COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b7791f", "#97266d", "#4a5568")
Places = dict[str, dict[str, Path | None]]


class Lane(NamedTuple):
    """A dot for each file of a system, with the overall value and its interval, in pixels."""

    system: str
    y: int
    colour: str
    dots: list[tuple[str, str]]
    interval: tuple[str, str] | None
    value: str | None


def page(results: Results, places: Places) -> str:
    """Render the page. ``places[system][id]``: the path of a system's copy of an utterance, or None."""
    environment = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined)
    environment.filters |= {"number": number, "estimate": estimate, "p_value": p_value, "definition": definition}
    ranked = next((metric for metric in results.metrics if metric.needs_reference), results.metrics[0])
    ranks = _ranks(results, ranked)
    seconds = min(SECONDS, SAMPLES / (len(ranks) * len(places) or 1) / results.sample_rate)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(
        results=results,
        best={metric.name: _best(results, metric) for metric in results.metrics},
        distributions=_distributions(results),
        ranked=ranked,
        ranks=ranks,
        seconds=seconds,
        sounds=lambda i: _sounds(results, places, i, seconds),
        rows=ROWS,
        columns=[results.of_files(s, metric) for s in results.systems for metric in results.metrics_of(s)],
    )


def _best(results: Results, metric: Metric) -> str | None:
    """The best of several systems."""
    values = {s: results.overall(s, metric)[0].value for s in results.systems_of(metric) if s != ORIGINAL}
    values = {system: value for system, value in values.items() if not np.isnan(value)}
    return (max if metric.better == "higher" else min)(values, key=values.get) if len(values) > 1 else None


def _distributions(results: Results) -> Iterator[tuple[Metric, float, float, list[Lane]]]:
    """Each metric with its range and a lane of dots for each system, at most ``DOTS``."""
    for seed, metric in enumerate(results.metrics):
        lanes = {system: results.of_files(system, metric) for system in results.systems_of(metric)}
        lanes = {system: values[np.isfinite(values)] for system, values in lanes.items()}
        values = np.concatenate(list(lanes.values()))
        if len(values):
            low, high = float(values.min()), float(values.max())
            yield metric, low, high, _lanes(results, metric, lanes, low, high, seed)


def _lanes(
    results: Results, metric: Metric, values: dict[str, np.ndarray], low: float, high: float, seed: int
) -> list[Lane]:
    def x(value: float) -> str:
        return f"{230 + 560 / ((high - low) or 1) * (min(max(value, low), high) - low):.1f}"

    jitter, lanes = np.random.default_rng(seed), []
    for i, ((system, of_files), colour) in enumerate(zip(values.items(), itertools.cycle(COLOURS), strict=False)):
        y, dots = 24 + 40 * i, limited(of_files, DOTS)
        heights = jitter.uniform(-11, 11, len(dots))
        overall, _ = results.overall(system, metric)
        interval = (x(overall.low), x(overall.high)) if np.isfinite(overall.low) else None
        value = x(overall.value) if np.isfinite(overall.value) else None
        circles = [(x(dot), f"{y + height:.1f}") for dot, height in zip(dots, heights, strict=True)]
        lanes.append(Lane(system, y, colour, circles, interval, value))
    return lanes


def _ranks(results: Results, metric: Metric) -> dict[int, list[str]]:
    """Descriptions of the worst and best files of each system, by index."""
    ranks: dict[int, list[str]] = {}
    for system in results.compared:
        if not results.has(system, metric):
            continue
        values = results.of_files(system, metric)
        order = [int(i) for i in np.argsort(values) if np.isfinite(values[i])]
        order = order if metric.better == "higher" else order[::-1]
        chosen = [(i, "among the worst") for i in order[:WORST]]
        chosen += [(i, "among the best") for i in order[max(len(order) - BEST, WORST) :]]
        for i, rank in chosen:
            ranks.setdefault(i, []).append(f"{rank} of {system}")
    return ranks


def _sounds(results: Results, places: Places, i: int, seconds: float) -> Iterator[tuple[str, str, list[str]]]:
    """The sound of an utterance by each system, as FLAC, with its pictures."""
    id, rate = results.utterances[i].id, results.sample_rate
    sounds = {system: _read(paths.get(id), rate, seconds) for system, paths in places.items()}
    spectra = {system: decibels(sound, rate) for system, sound in sounds.items() if sound is not None}
    for system, spectrum in spectra.items():
        pictures = _pictures(spectrum, spectra.get(ORIGINAL, spectrum), system != ORIGINAL)
        yield system, base64.b64encode(audio.encode(sounds[system], rate)).decode(), pictures


def _read(path: Path | None, sample_rate: int, seconds: float) -> Tensor | None:
    """The first seconds of a file at the rate of the comparison; None without a readable file."""
    if path is None or not path.is_file():
        return None
    blocks, missing = [], int(seconds * sample_rate)
    try:
        for block in audio.stream(path, sample_rate)[0]:
            blocks.append(block[:missing])
            missing -= len(blocks[-1])
            if missing <= 0:
                break
    except UserError:  # scoring has reported it
        return None
    return torch.cat(blocks)


def _pictures(spectrum: np.ndarray, real: np.ndarray, is_copy: bool) -> list[str]:
    """A spectrum and, for a copy, its difference from the recording's, in dB, as JPEG in base64."""
    top, length = float(real.max()), min(real.shape[1], spectrum.shape[1])
    pictures = [_jpeg(spectrum, "magma", top - 80, top)]
    return [*pictures, _jpeg(spectrum[:, :length] - real[:, :length], "RdBu_r", -30, 30)] if is_copy else pictures


def _jpeg(values: np.ndarray, colours: str, low: float, high: float) -> str:
    from matplotlib import image  # without pyplot: no global state, no display

    data, style = io.BytesIO(), {"cmap": colours, "vmin": low, "vmax": high, "origin": "lower"}
    image.imsave(data, values, format="jpeg", pil_kwargs={"quality": 75}, **style)
    return base64.b64encode(data.getvalue()).decode()
