"""Discriminators. The union below is the registry: a new one is one file and one line here.

The contract: ``config.build(task)`` gives a list of ``Discriminator`` (base.py). Where the task has labels, each judges
whether they fit.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Annotated

import torch
from pydantic import Field
from torch import Tensor, nn

from wavegan.models.discriminators.base import Discriminator, DiscriminatorOutput
from wavegan.models.discriminators.frames import FramesConfig
from wavegan.models.discriminators.period import PeriodConfig
from wavegan.models.discriminators.resolution import ResolutionConfig
from wavegan.models.discriminators.scale import ScaleConfig
from wavegan.models.discriminators.wavegan import WaveGANDiscriminatorConfig

if TYPE_CHECKING:
    from wavegan.tasks import TaskConfig

DiscriminatorConfig = Annotated[
    FramesConfig | PeriodConfig | ResolutionConfig | ScaleConfig | WaveGANDiscriminatorConfig,
    Field(discriminator="name"),
]

__all__ = [
    "Discriminator",
    "DiscriminatorConfig",
    "DiscriminatorOutput",
    "Discriminators",
    "FramesConfig",
    "PeriodConfig",
    "ResolutionConfig",
    "ScaleConfig",
    "WaveGANDiscriminatorConfig",
]


class Discriminators(nn.Module):
    """The ensemble that judges a waveform. ``separate``: outputs have a ``direction``, as SAN needs."""

    def __init__(self, configs: Iterable[DiscriminatorConfig], task: TaskConfig, separate: bool = False):
        super().__init__()
        self.members = nn.ModuleList(member for config in configs for member in config.build(task))
        for member in self.members:
            member.separate = separate

    def forward(self, waveform: Tensor, label: Tensor | None = None) -> list[DiscriminatorOutput]:
        return [member(waveform, label) for member in self.members]

    def compare(
        self, real: Tensor, fake: Tensor, label: Tensor | None = None, learning: bool = True
    ) -> tuple[list[DiscriminatorOutput], list[DiscriminatorOutput]]:
        """Outputs for real and fake.

        ``learning``: in the discriminators' own turn, from one forward on both: half the kernel launches, one
        spectral-norm update. In the generator's, real clips get no gradient and no backward pass.
        """
        if not learning:
            with torch.no_grad():
                real_out = self(real, label)
            return real_out, self(fake, label)
        labels = None if label is None else torch.cat([label, label])
        outputs = self(torch.cat([real, fake]), labels)
        halves = slice(len(real)), slice(len(real), None)
        return tuple([output.part(half) for output in outputs] for half in halves)
