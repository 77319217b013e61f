"""wavegan: train and serve GANs that generate speech waveforms.

Importing the package is instant: torch is loaded when something of it is first used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"
__all__ = ["Synthesizer", "UserError", "__version__", "list_pretrained", "load_recipe"]

if TYPE_CHECKING:
    from wavegan.errors import UserError
    from wavegan.recipe import load_recipe
    from wavegan.synthesizer import Synthesizer, list_pretrained

_HOMES = {
    "Synthesizer": "wavegan.synthesizer",
    "UserError": "wavegan.errors",
    "list_pretrained": "wavegan.synthesizer",
    "load_recipe": "wavegan.recipe",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'wavegan' has no attribute '{name}'")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
