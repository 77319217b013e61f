"""Registries: configuration classes by their name in recipes, extensible by other packages.

A field annotated ``Annotated[Base, REGISTRY]`` accepts any registered class, selected by its ``name``. Packages add
theirs with ``wavegan.register``, in a module that is an entry point of the group ``wavegan.plugins``: it is imported
when a recipe or a checkpoint first has an unknown name.
"""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, GetCoreSchemaHandler
from pydantic_core import CoreSchema, core_schema

from wavegan.core.errors import UserError

ENTRY_POINTS = "wavegan.plugins"
OURS = "wavegan"


class Registry:
    """Classes derived from ``base``, each with a unique ``name``; ``kind`` names them in messages."""

    def __init__(self, kind: str, base: type[BaseModel], classes: Iterable[type[BaseModel]]):
        self.kind, self.base = kind, base
        self.classes = {name_of(cls): cls for cls in classes}

    def add(self, cls: type[BaseModel]) -> None:
        """Register a class; a second registration replaces the first, as when a notebook cell runs twice.

        Raises:
            UserError: a class of another package has this name.
        """
        name = name_of(cls)
        other = self.classes.get(name)
        if other is not None and package_of(other) != package_of(cls):
            raise UserError(f"The {self.kind} '{name}' of {cls.__module__} has the name of {other.__module__}'s.")
        self.classes[name] = cls
        _rebuild(self)

    def plugin(self, config: BaseModel) -> dict[str, str]:
        """{"KIND NAME": package} for a configuration defined by another package; {} for ours."""
        package = package_of(type(config))
        return {} if package == OURS else {f"{self.kind} {name_of(type(config))}": package}

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        choices = {name: handler.generate_schema(cls) for name, cls in self.classes.items()}
        return core_schema.tagged_union_schema(choices, discriminator="name")


def name_of(cls: type[BaseModel]) -> str:
    """Name of a class in recipes; UserError if it has none."""
    field = cls.model_fields.get("name")
    if field is None or not isinstance(field.default, str):
        raise UserError(f'{cls.__qualname__} needs a name: name: Literal["mine"] = "mine".')
    return field.default


def package_of(part: Any) -> str:
    """The top-level package, or module, that defines a class or function."""
    return part.__module__.partition(".")[0]


@functools.cache
def load_entry_points() -> tuple[str, ...]:
    """Import the modules that installed packages name as ``wavegan.plugins``, once; returns their names.

    Raises:
        UserError: one can't be imported.
    """
    points = importlib.metadata.entry_points(group=ENTRY_POINTS)
    for point in points:
        try:
            point.load()
        except Exception as error:  # importing another package's module can raise anything
            raise UserError(f"The plugin '{point.name}' ({point.value}) can't be imported: {error}.") from error
    return tuple(point.name for point in points)


def _rebuild(registry: Registry) -> None:
    """Rebuild all configurations with a field of this registry, so that they accept its new members."""
    for model in _subclasses(BaseModel):
        if model.__module__.startswith(f"{OURS}.") and any(
            registry in _metadata_of(field) for field in model.model_fields.values()
        ):
            model.model_rebuild(force=True)


def _metadata_of(field: Any) -> list[Any]:
    inner = [part for argument in _arguments(field.annotation) for part in getattr(argument, "__metadata__", ())]
    return [*field.metadata, *inner]


def _arguments(annotation: Any) -> tuple[Any, ...]:
    return getattr(annotation, "__args__", ())


def _subclasses(cls: type) -> set[type]:
    return {inner for child in cls.__subclasses__() for inner in {child, *_subclasses(child)}}
