"""Typed configuration: YAML in, one frozen object out, all faults of a file reported at once."""

from __future__ import annotations

import difflib
import re
import typing
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ConfigDict, ValidationError

from wavegan.core.errors import UserError, did_you_mean, one_line
from wavegan.core.registry import Registry, load_entry_points


class Config(BaseModel):
    """Base of every configuration section: immutable, unknown keys are errors."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


ConfigT = TypeVar("ConfigT", bound=Config)
MOST_FAULTS = 20  # shown per file: a list of the wrong type has a fault in every item


class Loader(yaml.SafeLoader):
    """Safe YAML that parses ``2e-4`` as a number, as YAML 1.2 does (PyYAML makes it a string)."""

    def construct_yaml_int(self, node: yaml.Node) -> int:
        if len(node.value) > 100:  # Python refuses to print thousands of digits in an error message
            raise ValueError("an integer of more than 100 digits")
        return super().construct_yaml_int(node)


Loader.add_constructor("tag:yaml.org,2002:int", Loader.construct_yaml_int)
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^[-+]?(\d[\d_]*\.?\d*|\.\d+)[eE][-+]?\d+$"), list("-+0123456789.")
)
# Dates stay strings: no recipe has dates, and "2024-13-45" would raise inside PyYAML.
Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != "tag:yaml.org,2002:timestamp"]
    for first, resolvers in Loader.yaml_implicit_resolvers.items()
}


def load_yaml(text: str, loader: type[Loader] = Loader) -> Any:
    """Parse YAML into plain data; any error becomes ValueError (PyYAML raises KeyError on "!!bool x")."""
    try:
        return yaml.load(text, loader)
    except Exception as error:
        raise ValueError(one_line(error)) from None


def parse_scalar(text: str) -> Any:
    """Parse one value: ``"2e-4"`` -> 0.0002, ``"[1, 2]"`` -> list, ``"null"`` -> None."""
    try:
        return load_yaml(text)
    except ValueError as error:
        raise UserError(f"Cannot parse the value '{text}': {error}.") from None


def read_yaml(path: Path | str) -> dict[str, Any]:
    """Read a YAML mapping.

    Raises:
        UserError: the file is missing, is not valid YAML or is not a mapping.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"No such file: {path}. Give the path of a recipe (.yaml).")
    try:
        data = load_yaml(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is not valid YAML: {error}.") from None
    if not isinstance(data, dict):
        raise UserError(f"{path} should be a mapping of keys to values, got {type(data).__name__}.")
    return data


def override(data: dict[str, Any], assignments: typing.Iterable[str]) -> dict[str, Any]:
    """Apply dotted overrides such as ``trainer.max_steps=1000`` to a copy of ``data``."""
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals or not key:
            raise UserError(f"An override is written key=value, such as trainer.max_steps=100; got '{assignment}'.")
        data = _assign(data, key.split("."), parse_scalar(value), key)
    return data


def _assign(data: Any, keys: list[str], value: Any, whole: str) -> Any:
    if not keys:
        return value
    key, rest = keys[0], keys[1:]
    if isinstance(data, list) and key.isdigit() and int(key) < len(data):
        return [_assign(item, rest, value, whole) if i == int(key) else item for i, item in enumerate(data)]
    if data is None:
        data = {}
    if not isinstance(data, dict):
        raise UserError(f"Cannot override '{whole}': '{key}' is inside a value that has no keys.")
    return {**data, key: _assign(data.get(key), rest, value, whole)}


def parse(config: type[ConfigT], data: Any, source: str) -> ConfigT:
    """Validate ``data`` into ``config``; ``source`` names it in messages.

    Raises:
        UserError: one line per fault, up to ``MOST_FAULTS``, each with its dotted path and, for a misspelt key, the
            nearest valid one.
    """
    try:
        return _validate(config, data)
    except ValidationError as error:
        faults = [_describe(config, fault) for fault in error.errors()]
    heading = f"{source} has a fault:" if len(faults) == 1 else f"{source} has {len(faults)} faults:"
    rest = [f"and {len(faults) - MOST_FAULTS} more"] if len(faults) > MOST_FAULTS else []
    raise UserError("\n  ".join([heading, *faults[:MOST_FAULTS], *rest])) from None


def _validate(config: type[ConfigT], data: Any) -> ConfigT:
    """Validate; where a name is unknown, once more after installed plugins have registered theirs."""
    try:
        return config.model_validate(data)
    except ValidationError as error:
        if any(fault["type"] == "union_tag_invalid" for fault in error.errors()) and load_entry_points():
            return config.model_validate(data)
        raise


def _describe(config: type[Config], fault: Any) -> str:
    models, shown = [config], []
    location = list(fault["loc"])
    for part in location[:-1]:
        tagged = [model for model in models if _tag(model) == part]
        if tagged:  # pydantic adds the chosen member of a union; the file has no such key
            models = tagged
            continue
        shown.append(str(part))
        if not isinstance(part, int):
            fields = [model.model_fields[part] for model in models if part in model.model_fields]
            models = [model for f in fields for model in _models_in(f.annotation, f.metadata)] or models
    if location and _tag_matches(models, location[-1]):
        location.pop()
    elif location:
        shown.append(str(location[-1]))
    path = ".".join(shown)
    if fault["type"] == "extra_forbidden":
        names = sorted({name for model in models for name in model.model_fields})
        close = difflib.get_close_matches(shown[-1], names, n=1)
        hint = f"did you mean '{close[0]}'?" if close else f"known here: {', '.join(names)}."
        return f"{path}: unknown key; {hint}"
    if fault["type"] == "union_tag_invalid":
        return _describe_name(path, fault["ctx"])
    if fault["type"] == "union_tag_not_found":
        return f"{path}.name: required, but missing.".lstrip(".")
    message = fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "missing":
        return f"{path}: required, but missing."
    given = fault.get("input")
    got = f" (got {given!r:.200})" if isinstance(given, (str, int, float, bool, type(None))) else ""
    return f"{path}: {message}{got}" if path else f"{message}"


def _describe_name(path: str, context: dict[str, str]) -> str:
    """A sentence on a name that no registered class has."""
    names, name = re.findall("'([^']+)'", context["expected_tags"]), context["tag"]
    hint = did_you_mean(name, names) or f" Known here: {', '.join(names)}."
    return f"{path}.name: no such one: '{name}'.{hint}".lstrip(".")


def _models_in(annotation: Any, metadata: Sequence[Any] = ()) -> list[type[Config]]:
    """The models that a field takes; ``metadata`` is that of its ``Annotated``."""
    for registry in (part for part in (*metadata, *typing.get_args(annotation)) if isinstance(part, Registry)):
        return list(registry.classes.values())
    if isinstance(annotation, type) and issubclass(annotation, Config):
        return [annotation]
    return [model for inner in typing.get_args(annotation) for model in _models_in(inner)]


def _tag(model: type[Config]) -> Any:
    field = model.model_fields.get("name")
    return field.default if field else None


def _tag_matches(models: list[type[Config]], part: Any) -> bool:
    return len(models) > 1 and any(_tag(model) == part for model in models)
