"""wavegan: train and serve GANs that generate speech waveforms.

Importing the package is instant: torch is loaded when something of it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from wavegan.core.errors import UserError
from wavegan.core.version import __version__

__all__ = ["Synthesizer", "Trainer", "UserError", "__version__", "list_pretrained", "load_recipe", "register", "term"]

if TYPE_CHECKING:
    from wavegan.checkpoints.hub import list_pretrained
    from wavegan.inference.synthesizer import Synthesizer
    from wavegan.plugins import register, term
    from wavegan.training.recipe import load_recipe
    from wavegan.training.trainer import Trainer

_HOMES = {
    "Synthesizer": "wavegan.inference.synthesizer",
    "list_pretrained": "wavegan.checkpoints.hub",
    "load_recipe": "wavegan.training.recipe",
    "Trainer": "wavegan.training.trainer",
    "register": "wavegan.plugins",
    "term": "wavegan.plugins",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wavegan' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
