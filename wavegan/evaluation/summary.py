"""Results of an evaluation: parts of files to values, overall and by speaker, with differences between systems.

Shapes: N files, P parts.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

from wavegan.core.text import counted
from wavegan.data.manifest import Utterance
from wavegan.evaluation.formatting import columns, estimate, listed, p_value
from wavegan.evaluation.systems import ORIGINAL
from wavegan.metrics import Difference, Interval, Metric, difference, holm, interval

SIGNIFICANT = 0.05
UNKNOWN_SPEAKER = "-"


class Comparison(NamedTuple):
    """Second minus first in one metric, over their common files; ``p`` is corrected for all pairs of systems."""

    metric: Metric
    first: str
    second: str
    files: int
    difference: Difference

    @property
    def significant(self) -> bool:
        return self.difference.p < SIGNIFICANT

    @property
    def better(self) -> str:
        """The better system if the difference is significant, else ""."""
        if not self.significant:
            return ""
        return self.second if (self.difference.value > 0) == (self.metric.better == "higher") else self.first


@dataclass
class Results:
    """``parts[system][metric]``: (N, P), NaN for files without; ``reasons[system][metric]``: why undefined, by id."""

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

    @property
    def compared(self) -> list[str]:
        """The systems without the recordings themselves."""
        return [system for system in self.systems if system != ORIGINAL]

    def take(self, system: str, metric: Metric, outcomes: dict[str, list[float] | str | None]) -> None:
        """Store the outcomes by utterance id: parts, the reason why undefined, or None without a file."""
        rows = self.parts.setdefault(system, {})[metric.name] = np.full((len(outcomes), metric.num_parts), np.nan)
        reasons = self.reasons.setdefault(system, {})[metric.name] = {}
        for row, (id, outcome) in zip(rows, outcomes.items(), strict=True):
            if isinstance(outcome, str):
                reasons[id] = outcome
            elif outcome is not None:
                row[:] = outcome

    def has(self, system: str, metric: Metric) -> bool:
        """Return False for the recordings themselves and a metric that needs a reference."""
        return metric.name in self.parts[system]

    def systems_of(self, metric: Metric) -> list[str]:
        return [system for system in self.systems if self.has(system, metric)]

    def metrics_of(self, system: str) -> list[Metric]:
        return [metric for metric in self.metrics if system in self.parts and self.has(system, metric)]

    def most_files(self, metric: Metric, speaker: str) -> int:
        return max(self.overall(system, metric, speaker)[1] for system in self.systems_of(metric))

    def overall(self, system: str, metric: Metric, speaker: str | None = None) -> tuple[Interval, int]:
        """The value of one speaker or all, with its interval and number of files; computed once."""
        key = (system, metric.name, speaker)
        if key not in self._overall:
            parts = self.parts[system][metric.name]
            counted = ~np.isnan(parts).any(1)
            if speaker is not None:
                counted &= np.array([(u.speaker or UNKNOWN_SPEAKER) == speaker for u in self.utterances])
            self._overall[key] = interval(metric.value, parts[counted]), int(counted.sum())
        return self._overall[key]

    def of_files(self, system: str, metric: Metric) -> np.ndarray:
        """The value of each file, (N,), NaN where undefined."""
        return metric.value(self.parts[system][metric.name])

    @property
    def speakers(self) -> list[str]:
        return sorted({u.speaker or UNKNOWN_SPEAKER for u in self.utterances})

    @cached_property
    def comparisons(self) -> list[Comparison]:
        """Comparisons of all pairs of systems in each metric, without the recordings themselves."""
        comparisons = []
        for metric in self.metrics:
            systems = [system for system in self.systems_of(metric) if system != ORIGINAL]
            pairs = [self._compare(metric, *pair) for pair in itertools.combinations(systems, 2)]
            for pair, p in zip(pairs, holm([pair.difference.p for pair in pairs]), strict=True):
                comparisons.append(pair._replace(difference=pair.difference._replace(p=p)))
        return comparisons

    def _compare(self, metric: Metric, first: str, second: str) -> Comparison:
        pair = [self.parts[system][metric.name] for system in (first, second)]
        both = ~np.isnan(np.concatenate(pair, 1)).any(1)
        result = difference(metric.value, *(parts[both] for parts in pair))
        return Comparison(metric, first, second, int(both.sum()), result)

    def undefined_notes(self) -> list[str]:
        """Notes on undefined files; metrics and systems with the same files and reason share one."""
        groups: dict[tuple[str, ...], tuple[dict, dict]] = {}
        for system, metric in itertools.product(self.systems, self.metrics):
            reasons = self.reasons[system].get(metric.name, {})
            for reason in dict.fromkeys(reasons.values()):
                ids = tuple(id for id, other in reasons.items() if other == reason)
                names, systems = groups.setdefault((reason, *ids), ({}, {}))
                names[metric.name] = systems[system] = None
        return [
            f"{', '.join(names)} of {', '.join(systems)}: {counted(len(ids), 'file')} left out, {reason} "
            f"({listed(ids)})"
            for (reason, *ids), (names, systems) in groups.items()
        ]

    def few_files_notes(self) -> list[str]:
        """A note if no difference can be significant: N files have 2^N permutations."""
        pairs = math.comb(len(self.compared), 2)
        if not pairs or 2 * pairs / 2 ** len(self.utterances) < SIGNIFICANT:
            return []
        files = "1 file is" if len(self.utterances) == 1 else f"{len(self.utterances)} files are"
        return [f"{files} too few for any difference to be significant."]

    def as_json(self) -> dict[str, Any]:
        """All results, including those of each file."""
        return {
            "reference": self.reference,
            "sample_rate": self.sample_rate,
            "metrics": {m.name: {"unit": m.unit, "better": m.better, "is": definition(m)} for m in self.metrics},
            "means": self._each(lambda result, _: result.value),
            "intervals": self._each(lambda result, _: [result.low, result.high]),
            "files": self._each(lambda _, count: count),
            "speakers": {
                speaker: self._each(lambda result, count: result._asdict() | {"files": count}, speaker)
                for speaker in self.speakers
            },
            "differences": [_as_json(comparison) for comparison in self.comparisons],
            "notes": self.notes + self.undefined_notes(),
            "clips": {system: self._clips(system) for system in self.systems},
        }

    def _each(self, function: Callable[[Interval, int], Any], speaker: str | None = None) -> dict[str, dict[str, Any]]:
        """Apply a function to the overall results, by system and metric."""
        return {
            system: {m.name: function(*self.overall(system, m, speaker)) for m in self.metrics_of(system)}
            for system in self.systems
        }

    def _clips(self, system: str) -> list[dict[str, Any]]:
        values = {m.name: self.of_files(system, m) for m in self.metrics_of(system)}
        rows = []
        for i, utterance in enumerate(self.utterances):
            row = {"id": utterance.id, "speaker": utterance.speaker or UNKNOWN_SPEAKER}
            row |= {name: float(column[i]) for name, column in values.items()}
            reasons = {name: ids[utterance.id] for name, ids in self.reasons[system].items() if utterance.id in ids}
            rows.append(row | ({"undefined": reasons} if reasons else {}))
        return rows

    def table(self) -> str:
        """Overall values, differences and notes as text."""
        rows = [["", "better", *self.systems]]
        for m in self.metrics:
            values = [estimate(self.overall(s, m)[0]) if self.has(s, m) else "" for s in self.systems]
            rows.append([m.name, m.better, *values])
        lines = [
            f"{counted(len(self.utterances), 'file')} of {self.reference}, at {self.sample_rate} Hz; [95 % intervals]",
            "",
        ]
        lines += columns(rows)
        if self.comparisons:
            lines += ["", "Differences on the same files; * where p < 0.05; p corrected for all pairs (Holm)", ""]
            lines += columns([["", "metric", "difference", "p", "files"], *map(_row, self.comparisons)])
        if notes := self.notes + self.undefined_notes():
            lines += ["", *notes]
        return "\n".join(lines)


def definition(metric: Metric) -> str:
    """The docstring of its class, in one line."""
    return " ".join(inspect.getdoc(type(metric)).split())


def _row(comparison: Comparison) -> list[str]:
    metric, first, second, files, result = comparison
    star = f"* {comparison.better} is better" if comparison.better else ""
    return [f"{second} - {first}", metric.name, estimate(result), p_value(result.p), f"{files} {star}".strip()]


def _as_json(comparison: Comparison) -> dict[str, Any]:
    metric, first, second, files, result = comparison
    names = {"metric": metric.name, "first": first, "second": second, "files": files}
    return names | result._asdict() | {"significant": comparison.significant, "better": comparison.better}
