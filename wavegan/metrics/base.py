"""The contract of a metric: a value of a set of files that are added one by one."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from wavegan import audio
from wavegan.audio.resample import resample
from wavegan.core.errors import UserError

Derived = TypeVar("Derived")


class Undefined(Exception):
    """A metric is undefined for a file; the message is the reason, such as "the reference is silent"."""


class Options(NamedTuple):
    """Options of an evaluation, of which each metric takes what it needs in ``Metric.of``.

    ``cutoff``: in Hz. ``transcripts``: of all files of the evaluation.
    """

    cutoff: float = 4000.0
    transcripts: Sequence[str] = ()


class Sound:
    """A waveform (T,) in [-1, 1], its sample rate and transcript; caches what several metrics derive from it.

    >>> metric = metrics.PESQ()
    >>> metric.update(Sound(real, 22050), Sound(fake, 22050))
    >>> metric.compute()
    """

    def __init__(self, waveform: Tensor | np.ndarray, sample_rate: int, text: str | None = None):
        self.waveform = torch.as_tensor(waveform).float()
        self.sample_rate, self.text = sample_rate, text
        self._resampled = {sample_rate: self.waveform}
        self._derived: dict[Callable, Any] = {}

    def at(self, sample_rate: int) -> Tensor:
        """The waveform at another rate."""
        if sample_rate not in self._resampled:
            self._resampled[sample_rate] = resample(self.waveform, self.sample_rate, sample_rate)
        return self._resampled[sample_rate]

    @property
    def silent(self) -> bool:
        return len(self.waveform) == 0 or float(self.waveform.abs().max()) < audio.SILENCE

    def once(self, function: Callable[[Sound], Derived]) -> Derived:
        """The result of ``function(self)``, computed once."""
        if function not in self._derived:
            self._derived[function] = function(self)
        return self._derived[function]


def aligned(real: Sound, fake: Sound) -> tuple[Sound, Sound]:
    """Both sounds at the reference's rate, cut to the shorter length: a vocoder's output ends on a whole frame.

    Both begin at the same instant; nothing is shifted, so that a delay is an error like any other.
    """
    rate, length = real.sample_rate, min(len(real.waveform), len(fake.at(real.sample_rate)))
    pair = []
    for sound in (real, fake):
        unchanged = sound.sample_rate == rate and len(sound.waveform) == length
        pair.append(sound if unchanged else Sound(sound.at(rate)[:length], rate, sound.text))
    return pair[0], pair[1]


class Metric:
    """A metric aggregated over files: ``update`` adds a file, ``compute`` returns the value.

    A file contributes its ``parts``, a few numbers that are summed over files; ``value`` maps the sums to the metric.
    A mean over files has the parts (score, 1); a rate over all frames or words has its counts. Stored parts allow to
    continue later, in another process, or to resample files for a confidence interval.

    ``version`` increases when the definition changes, which invalidates stored parts. ``package``: of the extra
    ``extra``, without which the metric can't be computed.
    """

    name: ClassVar[str]
    better: ClassVar[Literal["higher", "lower"]]
    unit: ClassVar[str] = ""
    package: ClassVar[str | None] = None
    extra: ClassVar[str] = "metrics"
    needs_reference: ClassVar[bool] = True
    num_parts: ClassVar[int] = 2
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        if self.package is not None:
            require(self.package, self.extra)
        self.sums = np.zeros(self.num_parts)

    @classmethod
    def of(cls, options: Options) -> Metric:
        """The metric with its options of an evaluation; most metrics have none."""
        return cls()

    def update(self, real: Sound | None, fake: Sound) -> tuple[float, ...]:
        """Add a file and, if the metric needs one, its reference; returns the parts of the file.

        ``fake`` is resampled to the reference's rate, and both are cut to the same length.

        Raises:
            Undefined: the metric is undefined for this file, which then doesn't count.
        """
        if self.needs_reference:
            if real is None or real.silent:
                raise Undefined("the reference is silent" if real else "there is no reference")
            real, fake = aligned(real, fake)
            if not len(fake.waveform):
                raise Undefined("the output is empty")
        with torch.no_grad():  # not inference_mode: it would taint networks that are loaded here
            parts = self.parts(real, fake)
        if not all(map(math.isfinite, parts)):
            raise Undefined("it is not finite")
        self.sums = self.sums + parts
        return parts

    def compute(self) -> float:
        """The value over all files so far; NaN if there are none."""
        return float(self.value(self.sums))

    def parts(self, real: Sound | None, fake: Sound) -> tuple[float, ...]:
        return self.score(real, fake), 1.0

    def score(self, real: Sound | None, fake: Sound) -> float:
        """The value of one file, for metrics that are means over files."""
        raise NotImplementedError

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Sums of parts (..., P) -> values (...)."""
        return ratio(sums[..., 0], sums[..., 1])

    @property
    def settings(self) -> str:
        """Options that change the value."""
        return ""

    @property
    def identity(self) -> str:
        """The key of stored parts."""
        return " ".join(filter(None, [self.name, f"v{self.version}", self.settings]))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """The quotient, NaN for 0 / 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(numerator, np.float64) / denominator


def at_least(waveform: Tensor, samples: int, sample_rate: int) -> None:
    """Raise Undefined for a shorter waveform."""
    if len(waveform) < samples:
        raise Undefined(f"it is shorter than {samples / sample_rate:.3g} s")


@contextmanager
def seeded() -> Iterator[None]:
    """Seed NumPy's global random state, which torchcrepe, speechmos and pystoi use; restores it at the end."""
    state = np.random.get_state()
    np.random.seed(0)
    try:
        yield
    finally:
        np.random.set_state(state)


def installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def require(package: str, extra: str = "metrics") -> None:
    if not installed(package):
        raise UserError(f"This metric needs the package '{package}': pip install 'wavegan[{extra}]'.")
