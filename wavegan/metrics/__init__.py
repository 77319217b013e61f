"""What the field compares speech by, defined once: each metric's class says exactly what it computes and whence.

``METRICS`` is the registry, by the name that ``wavegan evaluate --metrics`` takes; a new metric is a class and a line
here. Functions of one pair and of sets of clips are beside it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from wavegan.core.errors import UserError, did_you_mean
from wavegan.metrics.base import Metric, Sound, Undefined, align, aligned, installed, require
from wavegan.metrics.bootstrap import Difference, Interval, difference, holm, interval
from wavegan.metrics.distributions import (
    am_score,
    different_bins,
    frechet_distance,
    frechet_interval,
    inception_score,
    intra_class_diversity,
    modified_inception_score,
    nearest_distance,
)
from wavegan.metrics.functional import (
    COPY_SECONDS,
    copy_quality,
    describe,
    dnsmos,
    estoi,
    mel_l1,
    multi_resolution_stft,
    pesq,
)
from wavegan.metrics.listener import words
from wavegan.metrics.no_reference import DNSMOS, PLCMOS, DNSMOSBackground, DNSMOSSignal, WordErrorRate
from wavegan.metrics.perceptual import ESTOI, PESQ, PESQ_RATE, STOI, NarrowbandPESQ, SpeakerSimilarity
from wavegan.metrics.pitch import PeriodicityError, PitchError, VoicingF1
from wavegan.metrics.spectral import (
    SISDR,
    LogSpectralDistance,
    LogSpectralDistanceAbove,
    MelCepstralDistortion,
    MelL1,
    MultiResolutionSTFT,
    WarpedMelCepstralDistortion,
)

_PAIRED = (
    *(PESQ, NarrowbandPESQ, STOI, ESTOI, MelCepstralDistortion, WarpedMelCepstralDistortion, PitchError, VoicingF1),
    *(PeriodicityError, MultiResolutionSTFT, MelL1, LogSpectralDistance, LogSpectralDistanceAbove, SISDR),
)
_UNREFERENCED = (DNSMOS, DNSMOSSignal, DNSMOSBackground, PLCMOS, WordErrorRate)
METRICS: dict[str, type[Metric]] = {one.name: one for one in (*_PAIRED, *_UNREFERENCED, SpeakerSimilarity)}
# Those by CREPE take longer than all of these together.
DEFAULT = ("pesq", "estoi", "mcd", "multi_resolution_stft", "mel_l1", "lsd", "dnsmos")


def named(names: Sequence[str]) -> list[str]:
    """Names of metrics, each once; "all" is every one that an extra needn't be added for, "default" the default ones.

    Raises:
        UserError: an unknown name; says which one was meant.
    """
    groups = {"default": DEFAULT, "all": [name for name, one in METRICS.items() if one.extra == "metrics"]}
    found: dict[str, None] = {}
    for name in map(str.lower, names):
        if name not in METRICS and name not in groups:
            near = did_you_mean(name, [*METRICS, *groups])
            raise UserError(f"No such metric: '{name}'.{near} There are: {', '.join(METRICS)}; default; all.")
        found |= dict.fromkeys(groups.get(name, (name,)))
    if not found:
        raise UserError(f"--metrics names no metric. There are: {', '.join(METRICS)}; default; all.")
    return list(found)


class Options(NamedTuple):
    """``cutoff`` of lsd_high, in Hz; for wer, the words of all transcripts, and whether each is one word."""

    cutoff: float = 4000.0
    vocabulary: tuple[str, ...] = ()
    one_word: bool = False


def build(names: Sequence[str], options: Options = Options()) -> list[Metric]:  # noqa: B008
    """Metrics by name.

    Raises:
        UserError: a package that a metric needs is missing; names the extra that installs it.
    """
    missing = {one.extra for one in map(METRICS.__getitem__, names) if one.package and not installed(one.package)}
    if missing:
        need = [name for name in names if (package := METRICS[name].package) and not installed(package)]
        rest = [name for name in names if name not in need]
        without = f" Or do without: --metrics {','.join(rest)}." if rest else ""
        extras = ",".join(sorted(missing))
        raise UserError(f"{', '.join(need)} need packages: pip install 'wavegan[{extras}]'.{without}")
    arguments = {"lsd_high": options[:1], "wer": options[1:]}
    return [METRICS[name](*arguments.get(name, ())) for name in names]


__all__ = [
    "COPY_SECONDS",
    "DEFAULT",
    "DNSMOS",
    "ESTOI",
    "METRICS",
    "PESQ",
    "PESQ_RATE",
    "PLCMOS",
    "SISDR",
    "STOI",
    "DNSMOSBackground",
    "DNSMOSSignal",
    "Difference",
    "Interval",
    "LogSpectralDistance",
    "LogSpectralDistanceAbove",
    "MelCepstralDistortion",
    "MelL1",
    "Metric",
    "MultiResolutionSTFT",
    "NarrowbandPESQ",
    "Options",
    "PeriodicityError",
    "PitchError",
    "Sound",
    "SpeakerSimilarity",
    "Undefined",
    "VoicingF1",
    "WarpedMelCepstralDistortion",
    "WordErrorRate",
    "align",
    "aligned",
    "am_score",
    "build",
    "copy_quality",
    "describe",
    "different_bins",
    "difference",
    "dnsmos",
    "estoi",
    "frechet_distance",
    "frechet_interval",
    "holm",
    "inception_score",
    "installed",
    "interval",
    "intra_class_diversity",
    "mel_l1",
    "modified_inception_score",
    "multi_resolution_stft",
    "named",
    "nearest_distance",
    "pesq",
    "require",
    "words",
]
