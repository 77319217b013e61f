"""One page that needs nothing beside it, and no network: the table, distributions, and the files to listen to.

Sounds are inside as FLAC, pictures as JPEG and SVG.
"""

from __future__ import annotations

import base64
import html
import io
import itertools
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from wavegan import audio
from wavegan.core.errors import UserError
from wavegan.core.sequences import limited
from wavegan.evaluation.summary import Results, definition, number, probability, shown
from wavegan.evaluation.systems import ORIGINAL
from wavegan.metrics import Metric

WORST, BEST = 3, 2  # files of each system that can be heard
SECONDS = 20.0  # of each, at most
SAMPLES = 2e7  # of all that can be heard: about 30 MB of the page
DOTS, ROWS = 400, 1000  # of a lane, of the table of every file
COLOURS = ("#2b6cb0", "#c05621", "#2f855a", "#6b46c1", "#b7791f", "#97266d", "#4a5568")
STYLE = """
body{font:15px/1.5 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#1a202c}
table{border-collapse:collapse;margin:1em 0;display:block;overflow-x:auto}
td,th{padding:.3em .8em;text-align:left;border-bottom:1px solid #e2e8f0}
td{font-variant-numeric:tabular-nums}audio{width:17em;display:block}
figure{margin:.5em 0;overflow-x:auto}img{display:block;width:17em;height:8em;margin:.3em 0}
.files small{display:block;width:17em}summary{cursor:pointer}svg text{font:12px system-ui,sans-serif}
.files{display:flex;flex-wrap:wrap;gap:1em}h3{margin-bottom:.2em}small{color:#4a5568}
"""


def page(results: Results, places: dict[str, dict[str, Path | None]]) -> str:
    """``places[system][id]``: where the sound is that a system made of an utterance, or None."""
    parts = [
        f"<h1>{html.escape(' and '.join(s for s in results.systems if s != ORIGINAL))}</h1>",
        f"<p>{len(results.utterances)} files of {html.escape(results.reference)}, at {results.sample_rate} Hz. ",
        "In brackets: 95 % intervals, by drawing files again.</p>",
        _figures(results),
        _differences(results),
        _list("What is not in these figures", results.notes + results.undefined_notes()),
        _speakers(results),
        "<h2>Distributions</h2>",
        *(_distribution(results, metric, i) for i, metric in enumerate(results.metrics)),
        "<h2>Worst and best</h2>",
        *_listening(results, places),
        _every_file(results),
        _definitions(results),
    ]
    title = html.escape(", ".join(results.systems))
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">'
    head += f"<title>{title}</title><style>{STYLE}</style>"
    return f"{head}{''.join(parts)}</html>\n"


def arrow(metric: Metric) -> str:
    return "↑" if metric.better == "higher" else "↓"


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of HTML cells, the first one of heads."""
    head, *body = rows
    lines = ["".join(f"<th>{cell}</th>" for cell in head)]
    lines += [f"<th>{row[0]}</th>" + "".join(f"<td>{cell}</td>" for cell in row[1:]) for row in body]
    return "<table>" + "".join(f"<tr>{line}</tr>" for line in lines) + "</table>"


def _figures(results: Results) -> str:
    rows = [["", *map(html.escape, results.systems)]]
    for metric in results.metrics:
        found = {s: results.overall(s, metric)[0] for s in results.systems if results.has(s, metric)}
        rivals = {s: one.value for s, one in found.items() if s != ORIGINAL and not np.isnan(one.value)}
        best = (max if metric.better == "higher" else min)(rivals, key=rivals.get) if len(rivals) > 1 else None
        cells = [shown(found[s]) if s in found else "" for s in results.systems]
        cells = [f"<b>{c}</b>" if s == best else c for s, c in zip(results.systems, cells, strict=True)]
        rows.append([f"{metric.name} {arrow(metric)} <small>{metric.unit}</small>", *cells])
    return _table(rows)


def _differences(results: Results) -> str:
    rows = [["second less first", "metric", "difference", "p", "files", "better, at p &lt; 0.05"]]
    for one in results.comparisons:
        pair = html.escape(f"{one.second} - {one.first}")
        cells = [
            pair,
            one.metric.name,
            shown(one.found),
            probability(one.found.p),
            str(one.files),
            html.escape(one.better),
        ]
        rows.append(cells)
    if len(rows) == 1:
        return ""
    said = "On the same files; p by permutation, two-sided, corrected for the number of pairs in a metric (Holm)."
    return f"<h2>Differences</h2><p>{said}</p>{_table(rows)}"


def _speakers(results: Results) -> str:
    if len(results.speakers) < 2:
        return ""
    tables = []
    for metric in results.metrics:
        systems = [s for s in results.systems if results.has(s, metric)]
        rows = [[f"{metric.name} {arrow(metric)}", *map(html.escape, systems), "files"]]
        for speaker in results.speakers:
            found = [results.overall(system, metric, speaker) for system in systems]
            rows.append([html.escape(speaker), *(shown(one) for one, _ in found), str(max(n for _, n in found))])
        tables.append(_table(rows))
    return f"<h2>By speaker</h2>{''.join(tables)}"


def _list(head: str, lines: Sequence[str]) -> str:
    items = "".join(f"<li>{html.escape(line)}</li>" for line in lines)
    return f"<h2>{head}</h2><ul>{items}</ul>" if lines else ""


def _distribution(results: Results, metric: Metric, index: int) -> str:
    """A lane of dots for each system, a dot a file, or of so many evenly spaced, with the mean and its interval."""
    lanes = {s: results.of_files(s, metric) for s in results.systems if results.has(s, metric)}
    lanes = {system: own[np.isfinite(own)] for system, own in lanes.items()}
    values = np.concatenate(list(lanes.values()))
    if not len(values):
        return ""
    low, high = float(values.min()), float(values.max())
    scale = 560 / ((high - low) or 1)

    def place(value: float) -> str:
        return f"{230 + scale * (min(max(value, low), high) - low):.1f}"

    jitter = np.random.default_rng(index)
    marks = []
    for lane, ((name, own), colour) in enumerate(zip(lanes.items(), itertools.cycle(COLOURS), strict=False)):
        dotted = limited(own, DOTS)
        y, heights = 24 + 40 * lane, jitter.uniform(-11, 11, len(dotted))
        marks.append(f'<text x="220" y="{y + 4}" text-anchor="end">{html.escape(name)}</text>')
        dots = zip(map(place, dotted), heights, strict=True)
        circles = "".join(f'<circle cx="{x}" cy="{y + h:.1f}" r="2.5"/>' for x, h in dots)
        marks.append(f'<g fill="{colour}" fill-opacity=".45">{circles}</g>')
        found, _ = results.overall(name, metric)
        if np.isfinite(found.low):
            line = f"M{place(found.low)} {y}H{place(found.high)}"
            marks.append(f'<path d="{line}" stroke="{colour}" stroke-width="5"/>')
        if np.isfinite(found.value):
            marks.append(f'<path d="M{place(found.value)} {y - 13}v26" stroke="#1a202c" stroke-width="2"/>')
    height = 40 * len(lanes) + 30
    marks.append(f'<text x="230" y="{height - 4}">{number(low)}</text>')
    marks.append(f'<text x="790" y="{height - 4}" text-anchor="end">{number(high)}</text>')
    caption = f"<figcaption>{metric.name} {arrow(metric)} <small>{metric.unit}</small></figcaption>"
    return f'<figure>{caption}<svg width="820" height="{height}" role="img">{"".join(marks)}</svg></figure>'


def _listening(results: Results, places: dict[str, dict[str, Path | None]]) -> list[str]:
    """The worst and the best files of each system by the first metric, each with all systems' sounds and spectra."""
    ranked = next((m for m in results.metrics if m.needs_reference), results.metrics[0])
    labels: dict[int, list[str]] = {}
    for system in results.systems:
        if system == ORIGINAL or not results.has(system, ranked):
            continue
        figures = results.of_files(system, ranked)
        order = [int(i) for i in np.argsort(figures) if np.isfinite(figures[i])]
        order = order if ranked.better == "higher" else order[::-1]
        chosen = [(i, "among the worst") for i in order[:WORST]]
        chosen += [(i, "among the best") for i in order[max(len(order) - BEST, WORST) :]]
        for i, what in chosen:
            labels.setdefault(i, []).append(f"{what} of {system}")
    seconds = min(SECONDS, SAMPLES / (len(labels) * len(places) or 1) / results.sample_rate)
    said = (
        f"By {ranked.name}; at most the first {seconds:.3g} s. Spectra reach to {results.sample_rate / 2000:g} kHz, "
        "and 80 dB below the recording's loudest. Below them, differences from -30 dB, blue, to 30 dB, red."
    )
    return [f"<p>{said}</p>", *(_file(results, places, i, notes, seconds) for i, notes in labels.items())]


def _file(results: Results, places: dict[str, dict[str, Path | None]], i: int, notes: list[str], seconds: float) -> str:
    utterance = results.utterances[i]
    sounds = {name: _sound(own.get(utterance.id), results.sample_rate, seconds) for name, own in places.items()}
    sounds = {name: sound for name, sound in sounds.items() if sound is not None}
    spectra = {name: _decibels(sound, results.sample_rate) for name, sound in sounds.items()}
    blocks = []
    for name, sound in sounds.items():
        own = [m for m in results.metrics if name in results.parts and results.has(name, m)]
        scores = ", ".join(f"{m.name} {number(results.of_files(name, m)[i])}" for m in own)
        flac = base64.b64encode(audio.encode(sound, results.sample_rate)).decode()
        player = f'<audio controls preload="none" src="data:audio/flac;base64,{flac}"></audio>'
        pictures = _pictures(spectra[name], spectra.get(ORIGINAL, spectra[name]), name != ORIGINAL)
        blocks.append(f"<div><b>{html.escape(name)}</b>{player}{pictures}<small>{scores}</small></div>")
    head = f"<h3>{html.escape(utterance.id)}</h3><small>{html.escape('; '.join(notes))}</small>"
    return f'{head}<div class="files">{"".join(blocks)}</div>'


def _sound(path: Path | None, sample_rate: int, seconds: float) -> Tensor | None:
    """The first seconds of a file at the rate of the comparison; None if there is none."""
    if path is None or not path.is_file():
        return None
    pieces, missing = [], int(seconds * sample_rate)
    try:
        for piece in audio.stream(path, sample_rate)[0]:
            pieces.append(piece[:missing])
            missing -= len(pieces[-1])
            if missing <= 0:
                break
    except UserError:  # said already, where it was to be scored
        return None
    return torch.cat(pieces)


def _pictures(spectrum: np.ndarray, real: np.ndarray, difference: bool) -> str:
    """A spectrum and, of a copy, its difference from the recording's, both in dB."""
    top, length = float(real.max()), min(real.shape[1], spectrum.shape[1])
    pictures = [_picture(spectrum, "magma", top - 80, top)]
    if difference:
        pictures.append(_picture(spectrum[:, :length] - real[:, :length], "RdBu_r", -30, 30))
    return "".join(pictures)


def _picture(values: np.ndarray, colours: str, low: float, high: float) -> str:
    from matplotlib import image  # without pyplot: no global state, no display

    data = io.BytesIO()
    settings = {"cmap": colours, "vmin": low, "vmax": high, "origin": "lower"}
    image.imsave(data, values, format="jpeg", pil_kwargs={"quality": 75}, **settings)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data.getvalue()).decode()}">'


def _decibels(waveform: Tensor, sample_rate: int) -> np.ndarray:
    """(T,) -> (bins, frames), a frame each 10 ms, not below -100 dB."""
    n_fft = 2 ** round(np.log2(sample_rate * 0.032))
    padded = torch.nn.functional.pad(waveform, (0, max(n_fft - len(waveform), 0)))
    window = torch.hann_window(n_fft)
    spectrum = torch.stft(padded, n_fft, sample_rate // 100, window=window, return_complex=True).abs()
    return (20 * (spectrum * 2 / window.sum()).clamp(min=1e-5).log10()).numpy()


def _every_file(results: Results) -> str:
    columns = [(s, m) for s in results.systems for m in results.metrics if results.has(s, m)]
    figures = [results.of_files(s, m) for s, m in columns]
    rows = [["", "speaker", *(f"{html.escape(s)}<br>{m.name}" for s, m in columns)]]
    for i, utterance in enumerate(results.utterances[:ROWS]):
        cells = [html.escape(utterance.id), html.escape(utterance.speaker or "-")]
        rows.append(cells + [number(float(values[i])) for values in figures])
    count = len(results.utterances)
    said = f"{count} files" if count <= ROWS else f"the first {ROWS} of {count} files; metrics.json has all"
    return f"<h2>Every file</h2><details><summary>{said}</summary>{_table(rows)}</details>"


def _definitions(results: Results) -> str:
    items = "".join(f"<dt><b>{m.name}</b></dt><dd>{html.escape(definition(m))}</dd>" for m in results.metrics)
    return f"<h2>Definitions</h2><dl>{items}</dl>"
