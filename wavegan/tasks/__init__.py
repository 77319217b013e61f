"""Tasks: what the generator reads, what it makes, and how it is validated."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from wavegan.tasks.generation import GenerationConfig
from wavegan.tasks.vocoder import VocoderConfig

TaskConfig = Annotated[VocoderConfig | GenerationConfig, Field(discriminator="name")]
