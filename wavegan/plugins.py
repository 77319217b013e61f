"""Public: add generators, discriminators, tasks, players and loss terms of other packages.

    # toy/__init__.py, named in toy's pyproject.toml: [project.entry-points."wavegan.plugins"] toy = "toy"
    import wavegan

    wavegan.register(ToyGeneratorConfig)

Recipes then name them as they name ours, and checkpoints record which package they need.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from wavegan.core.errors import UserError
from wavegan.core.registry import Registry
from wavegan.inference import add_player
from wavegan.losses.reconstruction import term
from wavegan.models.discriminators import DISCRIMINATORS
from wavegan.models.generators import GENERATORS
from wavegan.tasks import TASKS

REGISTRIES: tuple[Registry, ...] = (GENERATORS, DISCRIMINATORS, TASKS)

__all__ = ["REGISTRIES", "add_player", "register", "term"]


def register(*parts: type | ModuleType) -> None:
    """Add configuration classes of generators, discriminators and tasks, or all that modules define.

    Loss terms register themselves: ``@wavegan.term``. ``add_player`` says how to play the models of a task.

    Raises:
        UserError: a part that is none of these, or whose name is taken.
    """
    for part in parts:
        for cls in _classes(part):
            _registry_of(cls).add(cls)


def _classes(part: Any) -> list[type]:
    if not isinstance(part, ModuleType):
        return [part]
    bases = tuple(registry.base for registry in REGISTRIES)
    defined = [v for v in vars(part).values() if isinstance(v, type) and v.__module__ == part.__name__]
    return [cls for cls in defined if issubclass(cls, bases)]


def _registry_of(cls: Any) -> Registry:
    for registry in REGISTRIES:
        if isinstance(cls, type) and issubclass(cls, registry.base):
            return registry
    bases = ", ".join(registry.base.__name__ for registry in REGISTRIES)
    raise UserError(f"{cls!r} can't be registered: it should derive from one of {bases}.")
