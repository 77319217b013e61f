"""From the parts of files to figures: overall, by speaker, side by side, and what they don't cover.

Shapes: N files, P parts.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from wavegan.data.manifest import Utterance
from wavegan.evaluation.systems import ORIGINAL
from wavegan.metrics import Difference, Interval, Metric, difference, holm, interval

SIGNIFICANT = 0.05
NOBODY = "-"


class Comparison(NamedTuple):
    """Second minus first in one metric, over the files that both have; ``p`` is corrected for all pairs of systems."""

    metric: Metric
    first: str
    second: str
    files: int
    found: Difference

    @property
    def significant(self) -> bool:
        return self.found.p < SIGNIFICANT

    @property
    def better(self) -> str:
        """Which of the two is better, if they differ significantly."""
        if not self.significant:
            return ""
        return self.second if (self.found.value > 0) == (self.metric.better == "higher") else self.first


@dataclass
class Results:
    """``parts[system][metric]``: (N, P), NaN where a file has none; ``reasons[system][metric]``: why not, by id."""

    reference: str
    sample_rate: int
    utterances: Sequence[Utterance]
    metrics: list[Metric]
    parts: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    reasons: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    _overall: dict[tuple[str, str, str | None], tuple[Interval, int]] = field(default_factory=dict)

    @property
    def systems(self) -> list[str]:
        return list(self.parts)

    def take(self, system: str, metric: Metric, outcomes: dict[str, list[float] | str | None]) -> None:
        """Of each utterance, by its id: the file's parts, why there are none, or None where there is no file."""
        rows = self.parts.setdefault(system, {})[metric.name] = np.full((len(outcomes), metric.num_parts), np.nan)
        reasons = self.reasons.setdefault(system, {})[metric.name] = {}
        for row, (id, outcome) in zip(rows, outcomes.items(), strict=True):
            if isinstance(outcome, str):
                reasons[id] = outcome
            elif outcome is not None:
                row[:] = outcome

    def has(self, system: str, metric: Metric) -> bool:
        """Recordings themselves have only what needs no reference."""
        return metric.name in self.parts[system]

    def overall(self, system: str, metric: Metric, speaker: str | None = None) -> tuple[Interval, int]:
        """The figure with its interval, of one speaker or all, and of how many files; worked out once."""
        key = (system, metric.name, speaker)
        if key not in self._overall:
            self._overall[key] = self._interval(system, metric, speaker)
        return self._overall[key]

    def _interval(self, system: str, metric: Metric, speaker: str | None) -> tuple[Interval, int]:
        parts = self.parts[system][metric.name]
        defined = ~np.isnan(parts).any(1)
        if speaker is not None:
            defined &= np.array([(u.speaker or NOBODY) == speaker for u in self.utterances])
        return interval(metric.value, parts[defined]), int(defined.sum())

    def of_files(self, system: str, metric: Metric) -> np.ndarray:
        """The figure of each file alone, (N,), NaN where it has none."""
        return metric.value(self.parts[system][metric.name])

    @property
    def speakers(self) -> list[str]:
        return sorted({u.speaker or NOBODY for u in self.utterances})

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Every two systems in every metric; the recordings themselves aren't compared."""
        found = []
        for metric in self.metrics:
            names = [name for name in self.systems if metric.name in self.parts[name] and name != ORIGINAL]
            of_metric = [self._compare(metric, *pair) for pair in itertools.combinations(names, 2)]
            corrected = holm([one.found.p for one in of_metric])
            found += [one._replace(found=one.found._replace(p=p)) for one, p in zip(of_metric, corrected, strict=True)]
        return found

    def _compare(self, metric: Metric, first: str, second: str) -> Comparison:
        one, other = self.parts[first][metric.name], self.parts[second][metric.name]
        both = ~(np.isnan(one).any(1) | np.isnan(other).any(1))
        return Comparison(metric, first, second, int(both.sum()), difference(metric.value, one[both], other[both]))

    def undefined_notes(self) -> list[str]:
        """What was left out and why: files, of the metrics and systems that leave out the same for the same reason."""
        gathered: dict[tuple[str, ...], tuple[dict, dict]] = {}
        for system, metric in itertools.product(self.systems, self.metrics):
            reasons = self.reasons[system].get(metric.name, {})
            for reason in dict.fromkeys(reasons.values()):
                ids = tuple(id for id, own in reasons.items() if own == reason)
                names, systems = gathered.setdefault((reason, *ids), ({}, {}))
                names[metric.name] = systems[system] = None
        return [
            f"{', '.join(names)} of {', '.join(systems)}: {len(ids)} files left out, {reason} ({listed(ids)})"
            for (reason, *ids), (names, systems) in gathered.items()
        ]

    def few_files_notes(self) -> list[str]:
        """Where no difference, however large, could be significant: of N files signs can be drawn in 2^N ways."""
        pairs = math.comb(len([name for name in self.systems if name != ORIGINAL]), 2)
        if not pairs or 2 * pairs / 2 ** len(self.utterances) < SIGNIFICANT:
            return []
        return [f"{len(self.utterances)} files are too few for any difference to be significant."]

    def as_json(self) -> dict[str, Any]:
        """Everything, of the files too."""
        means, intervals, counts = (defaultdict(dict) for _ in range(3))
        speakers: dict[str, dict] = {speaker: defaultdict(dict) for speaker in self.speakers}
        for system, metric in itertools.product(self.systems, self.metrics):
            if not self.has(system, metric):
                continue
            found, count = self.overall(system, metric)
            means[system][metric.name], counts[system][metric.name] = found.value, count
            intervals[system][metric.name] = [found.low, found.high]
        for speaker, system, metric in itertools.product(self.speakers, self.systems, self.metrics):
            if self.has(system, metric):
                own, count = self.overall(system, metric, speaker)
                speakers[speaker][system][metric.name] = own._asdict() | {"files": count}
        return {
            "reference": self.reference,
            "sample_rate": self.sample_rate,
            "metrics": {m.name: {"unit": m.unit, "better": m.better, "is": definition(m)} for m in self.metrics},
            "means": means,
            "intervals": intervals,
            "files": counts,
            "speakers": speakers,
            "differences": [_as_json(one) for one in self.comparisons],
            "notes": self.notes + self.undefined_notes(),
            "clips": {system: self._clips(system) for system in self.systems},
        }

    def _clips(self, system: str) -> list[dict[str, Any]]:
        figures = {m.name: self.of_files(system, m) for m in self.metrics if self.has(system, m)}
        rows = []
        for i, utterance in enumerate(self.utterances):
            row = {"id": utterance.id, "speaker": utterance.speaker or NOBODY}
            row |= {name: float(values[i]) for name, values in figures.items()}
            reasons = {m: own[utterance.id] for m, own in self.reasons[system].items() if utterance.id in own}
            rows.append(row | ({"undefined": reasons} if reasons else {}))
        return rows

    def table(self) -> str:
        """Figures of all files, the notes, and what differs."""
        heads = ["", "better", *self.systems]
        rows = [
            [m.name, m.better, *(shown(self.overall(s, m)[0]) if self.has(s, m) else "" for s in self.systems)]
            for m in self.metrics
        ]
        lines = [f"{len(self.utterances)} files of {self.reference}, at {self.sample_rate} Hz; [95 % intervals]", ""]
        lines += _columns([heads, *rows])
        if self.comparisons:
            lines += ["", "Differences on the same files; * where p < 0.05; p corrected for all pairs (Holm)", ""]
            lines += _columns([["", "metric", "difference", "p", "files"], *map(_row, self.comparisons)])
        if notes := self.notes + self.undefined_notes():
            lines += ["", *notes]
        return "\n".join(lines)


def definition(metric: Metric) -> str:
    """What its class says."""
    return " ".join(inspect.getdoc(type(metric)).split())


def number(value: float) -> str:
    if np.isnan(value):
        return "-"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


def probability(p: float) -> str:
    return "-" if np.isnan(p) else f"{p:.4f}"


def shown(found: Interval | Difference) -> str:
    """3.404 [3.355, 3.451]"""
    plus = "+" if isinstance(found, Difference) and found.value > 0 else ""
    if np.isnan(found.low):
        return plus + number(found.value)
    return f"{plus}{number(found.value)} [{number(found.low)}, {number(found.high)}]"


def listed(names: Sequence[str], most: int = 4) -> str:
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def _row(one: Comparison) -> list[str]:
    star = f"* {one.better} is better" if one.better else ""
    pair = f"{one.second} - {one.first}"
    return [pair, one.metric.name, shown(one.found), probability(one.found.p), f"{one.files} {star}".strip()]


def _as_json(one: Comparison) -> dict[str, Any]:
    names = {"metric": one.metric.name, "first": one.first, "second": one.second, "files": one.files}
    return names | one.found._asdict() | {"significant": one.significant, "better": one.better}


def _columns(rows: list[list[str]]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [" | ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]
