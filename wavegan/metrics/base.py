"""What a metric is: a figure of files that are heard one by one."""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, ClassVar, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from wavegan import audio
from wavegan.audio.resample import resample
from wavegan.core.errors import UserError

Made = TypeVar("Made")


class Undefined(Exception):
    """A metric says nothing of this file; the message is the reason, such as "the reference is silent"."""


class Sound:
    """A waveform (T,) in [-1, 1] at its rate, and what several metrics make of it, made once. ``text``: what is said.

    >>> metric = metrics.PESQ()
    >>> metric.update(Sound(real, 22050), Sound(fake, 22050))
    >>> metric.compute()
    """

    def __init__(self, waveform: Tensor | np.ndarray, sample_rate: int, text: str | None = None):
        self.waveform = torch.as_tensor(waveform).float()
        self.sample_rate, self.text = sample_rate, text
        self._resampled = {sample_rate: self.waveform}
        self._made: dict[Callable, Any] = {}

    def at(self, sample_rate: int) -> Tensor:
        """The waveform at another rate."""
        if sample_rate not in self._resampled:
            self._resampled[sample_rate] = resample(self.waveform, self.sample_rate, sample_rate)
        return self._resampled[sample_rate]

    @property
    def silent(self) -> bool:
        return len(self.waveform) == 0 or float(self.waveform.abs().max()) < audio.SILENCE

    def once(self, make: Callable[[Sound], Made]) -> Made:
        """What a function makes of it, kept for the next metric that asks."""
        if make not in self._made:
            self._made[make] = make(self)
        return self._made[make]


def align(real: Tensor, fake: Tensor) -> tuple[Tensor, Tensor]:
    """Cut both to the shorter length: a vocoder's output ends on a whole frame, a recording anywhere.

    Both begin at the same instant; nothing is shifted, so that a delay is an error like any other.
    """
    length = min(len(real), len(fake))
    return real[:length], fake[:length]


def aligned(real: Sound, fake: Sound) -> tuple[Sound, Sound]:
    """Two sounds at the reference's rate and of the shorter's length; themselves where they are so already."""
    if fake.sample_rate != real.sample_rate:
        fake = Sound(fake.at(real.sample_rate), real.sample_rate, fake.text)
    if len(real.waveform) != len(fake.waveform):
        pair = align(real.waveform, fake.waveform)
        return Sound(pair[0], real.sample_rate, real.text), Sound(pair[1], real.sample_rate, fake.text)
    return real, fake


class Metric:
    """One figure of a set of files: ``update`` hears a file, ``compute`` gives the figure of all heard so far.

    What a file contributes is a few numbers, its ``parts``, that add up over files; ``value`` makes the figure of the
    sums. A mean over files has the parts (score, 1); a rate over all frames or words has what it counts. Whoever keeps
    the parts can therefore go on later, in another process, or draw files again for a confidence interval.

    ``version`` goes up when the definition changes: what was scored by another isn't taken for this one's.
    """

    name: ClassVar[str]
    better: ClassVar[Literal["higher", "lower"]]
    unit: ClassVar[str] = ""
    package: ClassVar[str | None] = None  # that an extra of ours installs
    extra: ClassVar[str] = "metrics"
    needs_reference: ClassVar[bool] = True
    num_parts: ClassVar[int] = 2
    version: ClassVar[int] = 1

    def __init__(self) -> None:
        if self.package is not None:
            require(self.package, self.extra)
        self.sums = np.zeros(self.num_parts)

    def update(self, real: Sound | None, fake: Sound) -> tuple[float, ...]:
        """Hear a file beside its reference, which metrics without one don't need; returns the file's parts.

        The two are cut to the same length, and ``fake`` is brought to the reference's rate.

        Raises:
            Undefined: the metric says nothing of this file, which then doesn't count.
        """
        if self.needs_reference:
            if real is None or real.silent:
                raise Undefined("the reference is silent" if real else "there is no reference")
            real, fake = aligned(real, fake)
            if not len(fake.waveform):
                raise Undefined("the output is empty")
        with torch.no_grad():  # not inference_mode, which networks that are loaded here would be caught in
            parts = self.parts(real, fake)
        if not all(map(math.isfinite, parts)):
            raise Undefined("it is not finite")
        self.sums = self.sums + parts
        return parts

    def compute(self) -> float:
        """The figure of all files heard so far; NaN if there are none."""
        return float(self.value(self.sums))

    def parts(self, real: Sound | None, fake: Sound) -> tuple[float, ...]:
        return self.score(real, fake), 1.0

    def score(self, real: Sound | None, fake: Sound) -> float:
        """The figure of one file, of metrics that are means over files."""
        raise NotImplementedError

    def value(self, sums: np.ndarray) -> np.ndarray:
        """Sums of parts (..., parts) -> figures (...)."""
        return ratio(sums[..., 0], sums[..., 1])

    @property
    def settings(self) -> str:
        """What else its figures depend on."""
        return ""

    @property
    def identity(self) -> str:
        """Under which a file's parts are kept."""
        return " ".join(filter(None, [self.name, f"v{self.version}", self.settings]))


def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    """Their quotient; NaN for nothing of nothing."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(numerator, np.float64) / denominator


def at_least(waveform: Tensor, samples: int, sample_rate: int) -> None:
    """Raises Undefined for shorter ones."""
    if len(waveform) < samples:
        raise Undefined(f"it is shorter than {samples / sample_rate:.3g} s")


@contextmanager
def seeded() -> Iterator[None]:
    """NumPy's global random state, which torchcrepe, speechmos and pystoi draw from, at one place, then as it was."""
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
