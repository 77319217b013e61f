"""Tasks: what a generator reads, what it makes, and how it is validated. A new task is one file and one line here."""

from __future__ import annotations

from typing import Annotated

from wavegan.core.registry import Registry
from wavegan.tasks.base import BaseTaskConfig
from wavegan.tasks.generation import GenerationConfig
from wavegan.tasks.mel_generation import MelGenerationConfig
from wavegan.tasks.vocoder import VocoderConfig

TASKS = Registry("task", BaseTaskConfig, (VocoderConfig, GenerationConfig, MelGenerationConfig))
TaskConfig = Annotated[BaseTaskConfig, TASKS]
