"""The contract of a generator: a configuration, which recipes and checkpoints name, and a module.

Shapes: B batch, Z latent, V conditions, M mel bands, F frames, K frequency bins, T samples.
"""

from __future__ import annotations

from typing import ClassVar

from torch import Tensor, nn

from wavegan.audio.log_mel import LogMelConfig
from wavegan.core.config import Config
from wavegan.tasks.base import BaseTaskConfig

INPUTS = {"mel": "mels", "latent": "noise", "waveform": "waveforms"}


class BaseGeneratorConfig(Config):
    """Configuration of a generator.

    ``accepts``: the inputs it reads, of "mel", "latent", "waveform". ``makes``: its outputs, of "waveform", "mel".
    ``weightless``: fields that can change while the weights stay, such as the number of refinements.
    """

    accepts: ClassVar[frozenset[str]] = frozenset({"mel"})
    makes: ClassVar[frozenset[str]] = frozenset({"waveform"})
    weightless: ClassVar[frozenset[str]] = frozenset()

    name: str

    def check(self, task: BaseTaskConfig) -> str | None:
        """Return the reason why this generator can't do the task, or None."""
        if task.reads not in self.accepts:
            accepted = " or ".join(INPUTS[kind] for kind in sorted(self.accepts))
            return f"generator '{self.name}' reads {accepted}; the task '{task.name}' gives {INPUTS[task.reads]}"
        if task.makes not in self.makes:
            made = " or ".join(f"{kind}s" for kind in sorted(self.makes))
            return f"generator '{self.name}' makes {made}; the task '{task.name}' asks for {task.makes}s"
        return self.check_task(task)

    def check_task(self, task: BaseTaskConfig) -> str | None:
        """Return a fault of an accepted task's sizes, or None; ``check_features`` unless a subclass needs more."""
        return self.check_features(task.features)

    def check_features(self, features: LogMelConfig) -> str | None:
        """Return the reason why these features can't be read, or None."""
        return None

    def stages(self, max_steps: int) -> dict[str, int]:
        """First steps of the stages in which the generator itself changes during training: {description: step}."""
        return {}

    def build(self, task: BaseTaskConfig) -> Generator:
        raise NotImplementedError


class Generator(nn.Module):
    """``forward(x, label=None)`` maps a latent (B, Z) and labels (B, V) to (B, 1, T), T = task.clip_length.

    A vocoder has ``forward(x, label=None, first_frame=0)``, from a log-mel (B, M, F) of any F >= 1 to
    T = F * hop_length exactly. ``first_frame``, an integer or a tensor (B,), is the position of x in the whole mel: a
    generator that reads noise draws it by the sample's index in the whole, so that windows of a long mel fit together.
    In training mode it draws from torch's global random state. Such a generator also has ``noise(first_frame,
    num_frames) -> (1, T)``, and its ``forward`` takes other noise (B, 1, T) as ``noise``.

    ``context_frames``, (left, right): the hop_length samples of frame f depend on frames f - left to f + right of x
    only, whatever pads the ends; None for latents. Streams and long mels are split into windows with that context: it
    should be as tight as ``receptive_field.py`` computes it. Causal: right is what the inverse STFT overlaps.
    """

    context_frames: tuple[int, int] | None = None

    def generate(self, x: Tensor, label: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The waveform, and the complex spectrum (B, K, F) it was made from, on the grid of the features.

        The spectrum lets losses act before the inverse STFT; None for generators in the time domain.
        """
        return self(x, label), None

    def at(self, step: int, max_steps: int) -> None:
        """Prepare for a training step; for generators that change during training."""
