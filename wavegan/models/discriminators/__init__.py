"""Discriminators; a new one is one file and one line here. ``base.py`` has the contract."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

import torch
from torch import Tensor, nn

from wavegan.core.registry import Registry
from wavegan.models.discriminators.base import BaseDiscriminatorConfig, DiscriminatorOutput
from wavegan.models.discriminators.frames import FramesConfig
from wavegan.models.discriminators.period import PeriodConfig
from wavegan.models.discriminators.resolution import ResolutionConfig
from wavegan.models.discriminators.scale import ScaleConfig
from wavegan.models.discriminators.wavegan import WaveGANDiscriminatorConfig
from wavegan.tasks.base import BaseTaskConfig

BUILT_IN = (FramesConfig, PeriodConfig, ResolutionConfig, ScaleConfig, WaveGANDiscriminatorConfig)
DISCRIMINATORS = Registry("discriminator", BaseDiscriminatorConfig, BUILT_IN)
DiscriminatorConfig = Annotated[BaseDiscriminatorConfig, DISCRIMINATORS]


class Discriminators(nn.Module):
    """An ensemble of discriminators. ``separate``: outputs have a ``direction``, as SAN needs."""

    def __init__(self, configs: Iterable[BaseDiscriminatorConfig], task: BaseTaskConfig, separate: bool = False):
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

        ``learning``: the discriminators are updated, from one forward pass on both: half the kernel launches, one
        spectral-norm update. Otherwise the generator is: real clips need no gradient and no backward pass.
        """
        if not learning:
            with torch.no_grad():
                real_out = self(real, label)
            return real_out, self(fake, label)
        labels = None if label is None else torch.cat([label, label])
        outputs = self(torch.cat([real, fake]), labels)
        halves = slice(len(real)), slice(len(real), None)
        return tuple([output.part(half) for output in outputs] for half in halves)
