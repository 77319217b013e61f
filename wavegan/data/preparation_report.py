"""Summary of a preparation: hours, speakers, sample rates, rejected recordings and the reasons."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from wavegan.core.text import counted
from wavegan.data.manifest import Utterance

MOST_REASONS = 12  # in the summary; report.txt lists all files


@dataclass(frozen=True)
class Report:
    """Outcome of a preparation: ``kept`` utterances, ``rejected`` sources as (path, reason), and the number of kept
    recordings by original sample rate, ``rates``.
    """

    kept: list[Utterance]
    rejected: list[tuple[Path, str]]
    rates: Counter[int]

    def __str__(self) -> str:
        hours = sum(u.seconds for u in self.kept) / 3600
        speakers = len({u.speaker for u in self.kept} - {None})
        who = f" of {counted(speakers, 'speaker')}" if speakers else ""
        lines = [f"Kept {counted(len(self.kept), 'recording')}{who}, {hours:.2f} h; left out {len(self.rejected)}."]
        if self.rates:
            lines.append("  recorded at " + ", ".join(f"{rate} Hz ({n})" for rate, n in self.rates.most_common()))
        reasons: dict[str, list[Path]] = {}
        for path, reason in self.rejected:
            reasons.setdefault(reason.replace(str(path), "it") if path.name else reason, []).append(path)
        most = sorted(reasons.items(), key=lambda item: (-len(item[1]), item[0]))[:MOST_REASONS]
        for reason, paths in most:
            shown = ", ".join(p.name for p in paths[:4]) + (", ..." if len(paths) > 4 else "")
            lines.append(f"  left out {len(paths)}: {reason} ({shown})")
        if rest := len(self.rejected) - sum(len(paths) for _, paths in most):
            lines.append(f"  left out {rest} for other reasons: see report.txt")
        return printable("\n".join(lines))


def printable(text: str) -> str:
    """Escape the bytes of file names that aren't valid UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
