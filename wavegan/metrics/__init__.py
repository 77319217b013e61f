"""Metrics of speech; the docstring of each class is its definition, with the source.

``METRICS`` is the registry, by the names of ``wavegan evaluate --metrics``. A new metric is a class and one line here.
"""

from __future__ import annotations

from collections.abc import Sequence

from wavegan.core.errors import UserError, did_you_mean
from wavegan.metrics.base import Metric, Options, Sound, Undefined, aligned, installed, require
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
from wavegan.metrics.no_reference import DNSMOS, PLCMOS, DNSMOSBackground, DNSMOSSignal, WordErrorRate
from wavegan.metrics.perceptual import ESTOI, PESQ, PESQ_RATE, STOI, NarrowbandPESQ, SpeakerSimilarity
from wavegan.metrics.pitch import PeriodicityError, PitchError, VoicingF1
from wavegan.metrics.recognizer import words
from wavegan.metrics.spectral import (
    SISDR,
    LogSpectralDistance,
    LogSpectralDistanceAbove,
    MelCepstralDistortion,
    MelL1,
    MultiResolutionSTFT,
    WarpedMelCepstralDistortion,
)

_BUILT_IN: list[type[Metric]] = [PESQ, NarrowbandPESQ, STOI, ESTOI, MelCepstralDistortion, WarpedMelCepstralDistortion]
_BUILT_IN += [PitchError, VoicingF1, PeriodicityError]
_BUILT_IN += [MultiResolutionSTFT, MelL1, LogSpectralDistance, LogSpectralDistanceAbove, SISDR]
_BUILT_IN += [DNSMOS, DNSMOSSignal, DNSMOSBackground, PLCMOS, WordErrorRate, SpeakerSimilarity]
METRICS = {metric.name: metric for metric in _BUILT_IN}
# Without the metrics by CREPE, which take longer than all of these together.
DEFAULT = ("pesq", "estoi", "mcd", "multi_resolution_stft", "mel_l1", "lsd", "dnsmos")

__all__ = ["COPY_SECONDS", "DEFAULT", "METRICS", "PESQ_RATE", "Difference", "Interval", "Metric", "Options", "Sound"]
__all__ += ["Undefined", "aligned", "am_score", "build", "copy_quality", "describe", "difference"]
__all__ += ["different_bins", "dnsmos", "estoi", "frechet_distance", "frechet_interval", "holm", "inception_score"]
__all__ += ["installed", "interval", "intra_class_diversity", "mel_l1", "modified_inception_score"]
__all__ += ["multi_resolution_stft", "named", "nearest_distance", "pesq", "require", "words"]
__all__ += [metric.__name__ for metric in _BUILT_IN]


def named(names: Sequence[str]) -> list[str]:
    """Resolve names of metrics, without duplicates; "default" is ``DEFAULT``, "all" the metrics of the main extra.

    Raises:
        UserError: an unknown name; suggests the nearest.
    """
    groups = {"default": DEFAULT, "all": [name for name, metric in METRICS.items() if metric.extra == "metrics"]}
    resolved: dict[str, None] = {}
    for name in map(str.lower, names):
        if name not in METRICS and name not in groups:
            near = did_you_mean(name, [*METRICS, *groups])
            raise UserError(f"No such metric: '{name}'.{near} There are: {', '.join(METRICS)}; default; all.")
        resolved |= dict.fromkeys(groups.get(name, (name,)))
    if not resolved:
        raise UserError(f"--metrics names no metric. There are: {', '.join(METRICS)}; default; all.")
    return list(resolved)


def build(names: Sequence[str], options: Options = Options()) -> list[Metric]:  # noqa: B008
    """Build metrics by name.

    Raises:
        UserError: a package that a metric needs is missing; names the extra that installs it.
    """
    missing = [name for name in names if (package := METRICS[name].package) and not installed(package)]
    if missing:
        rest = [name for name in names if name not in missing]
        without = f" Or do without: --metrics {','.join(rest)}." if rest else ""
        extras = ",".join(sorted({METRICS[name].extra for name in missing}))
        raise UserError(f"{', '.join(missing)} need packages: pip install 'wavegan[{extras}]'.{without}")
    return [METRICS[name].of(options) for name in names]
