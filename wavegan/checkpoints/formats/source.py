"""The files of a foreign checkpoint: its settings and its tensors.

The files are untrusted: no code in them is run, and no memory is allocated for more than they hold.
"""

from __future__ import annotations

import json
import math
import os
import re
import reprlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml
from pydantic import ConfigDict, Field
from torch import Tensor

from wavegan.checkpoints.formats import tar, weights
from wavegan.core import config
from wavegan.core.config import Config, ConfigT
from wavegan.core.errors import UserError, one_line
from wavegan.models.generators import GeneratorConfig
from wavegan.tasks.vocoder import VocoderConfig

# SpeechBrain's hyperparams.yaml comes first: some of its models also have a config.json without sizes.
SETTINGS = ("hyperparams.yaml", "config.json", "config.yaml", "config.yml", "model_config.yaml")
SUFFIXES = (".pt", ".pth", ".tar", ".bin", ".ckpt", ".pkl", ".safetensors")  # of weights
MOST_SETTINGS = 2**20  # bytes

Size = Annotated[int, Field(ge=1, le=65536)]
Bands = Annotated[int, Field(ge=1, le=1024)]
FFTSize = Annotated[int, Field(ge=16, le=8192)]  # no vocoder has more, and tables of these sizes take memory


class Imported(NamedTuple):
    """A foreign generator, converted: ``tensors`` has our names, float32, weight norm multiplied out.

    ``note``: differences from the original, for the user.
    """

    name: str
    task: VocoderConfig
    generator: GeneratorConfig
    tensors: dict[str, Tensor]
    note: str = ""


class Settings(Config):
    """Base of a format's settings, in the format's own names; unknown keys are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Source:
    """A folder; a weights file beside its settings, or a folder below; or an archive (.nemo, .tar.gz) of both.

    ``name`` defaults to the name of the folder or file. ``note``: which of several weights were chosen.
    """

    def __init__(self, path: Path | str, name: str = ""):
        self.path = path = Path(path)
        if not os.path.exists(path):  # Path.exists raises where the name is too long
            raise UserError(f"No such file or folder: {path}.")
        if path.name in SETTINGS:
            path = path.parent
        self.name = name or (path.resolve().name if path.is_dir() else path.name.split(".")[0])
        self.note = ""
        if path.is_dir():
            self.files: dict[str, Path | bytes] = {p.name: p for p in sorted(path.iterdir()) if p.is_file()}
            self.weights_name = self._choose_weights()
            path = path / self.weights_name
        else:
            above = [path.parent.parent / name for name in SETTINGS]
            self.files = {p.name: p for p in (*above, *path.parent.iterdir()) if p.is_file()}
            self.weights_name = path.name
        if tar.is_archive(path):
            self.files = tar.read(path)
            self.weights_name = self._choose_weights()

    def _choose_weights(self) -> str:
        """The file of a generator's weights; of several steps, the last."""

        def named(name: str) -> bool:
            return name.startswith(("g_", "generator"))

        names = [n for n in self.files if n.endswith((*SUFFIXES, *tar.SUFFIXES)) or named(n)]
        names = [n for n in names if not n.startswith("do_") and "discriminator" not in n and "optim" not in n]
        for preferred in ([n for n in names if named(n)], [n for n in names if n.endswith(".safetensors")]):
            names = preferred or names
        if len(names) > 1 and (last := _last(names)):
            self.note = f"Of {', '.join(names[:5])}, this is {last}. "
            return last
        if len(names) != 1:
            listed = ", ".join(names[:5]) or "none: it is not a checkpoint"
            raise UserError(f"{self.path} should hold one file of weights, found {listed}. Give the path of one.")
        return names[0]

    @cached_property
    def settings_name(self) -> str:
        """The file of the settings: one with a usual name, or the only .json or .yaml."""
        usual = [name for name in SETTINGS if name in self.files]
        others = [name for name in self.files if name.endswith((".json", ".yaml", ".yml"))]
        if not usual and len(others) != 1:
            raise UserError(f"{self.path} has no config.json or config.yaml beside the weights. Put it there.")
        return (usual or others)[0]

    @cached_property
    def settings(self) -> dict[str, Any]:
        """The settings as plain data.

        Raises:
            UserError: none, or not JSON or safe YAML.
        """
        name, data = self.settings_name, self.read(self.settings_name, MOST_SETTINGS)
        try:
            text = data.decode("utf-8-sig")
            loaded = json.loads(_without_comments(text)) if name.endswith(".json") else config.load_yaml(text, _Loader)
        except (ValueError, RecursionError) as error:
            kind = "JSON" if name.endswith(".json") else "safe YAML"
            raise UserError(f"{self.label(name)} is not {kind} ({one_line(error)}).") from None
        if not isinstance(loaded, dict):
            raise UserError(f"{self.label(name)} should hold a mapping, found {type(loaded).__name__}.")
        return loaded

    def parse(self, kind: type[ConfigT], data: Any = None) -> ConfigT:
        """The settings, or a part of them, as a ``Settings`` class.

        Raises:
            UserError: each key that is missing or wrong, in the format's own names.
        """
        return config.parse(kind, self.settings if data is None else data, self.label(self.settings_name))

    @cached_property
    def state(self) -> Any:
        """The whole contents of the weights file."""
        return weights.load(self.files[self.weights_name], self.label(self.weights_name))

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors without wrappers, weight norm as stored."""
        tensors, averaged = weights.unwrap(self.state, self.label(self.weights_name))
        self.note += f"Its weights are the averaged ones, {averaged}. " if averaged else ""
        return tensors

    @cached_property
    def folded(self) -> dict[str, Tensor]:
        """The tensors as float32, weight norm multiplied out."""
        return self.part("")

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under ``prefix``, without it, folded."""
        inner = {name[len(prefix) :]: tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}
        return weights.fold(inner, self.label(self.weights_name))

    def read(self, name: str, most: int) -> bytes:
        """A file beside the weights, such as stats.h5, of at most ``most`` bytes."""
        file = self.files[name]
        size = len(file) if isinstance(file, bytes) else file.stat().st_size
        if size > most:
            raise UserError(f"{self.label(name)} has {size} bytes; expected at most {most}.")
        return file if isinstance(file, bytes) else file.read_bytes()

    def label(self, name: str) -> str:
        """The name of a file in messages."""
        file = self.files.get(name)
        return str(file) if isinstance(file, Path) else f"{self.path}: {name}"

    def refuse(self, reason: str) -> UserError:
        """The error of an inconsistent or unsupported checkpoint; ``reason`` is a clause or two."""
        return UserError(f"{self.label(self.weights_name)}: {reason}.")

    def require(self, section: str, settings: dict[str, Any], only: dict[str, Any]) -> None:
        """Check settings for which one value is supported; ``section`` is a prefix such as "preprocessor."."""
        for key, value in only.items():
            if (given := settings.get(key, value)) != value:
                raise self.refuse(f"its {section}{key} is {reprlib.repr(given)}; only {value!r} is supported")

    def agree(self, quantity: str, setting: Any, size: Any) -> None:
        """Check that a setting, unless it is None, equals the size of the tensors."""
        if setting is not None and setting != size:
            raise UserError(
                f"{self.label(self.settings_name)} says {quantity} {reprlib.repr(setting)}, but the weights in "
                f"{self.label(self.weights_name)} have {reprlib.repr(size)}. They don't belong together."
            )

    def shape(self, tensors: dict[str, Tensor], name: str, dimensions: int) -> Sequence[int]:
        """The shape of a tensor that must exist."""
        if name not in tensors or tensors[name].dim() != dimensions:
            actual = f"it is {tuple(tensors[name].shape)}" if name in tensors else "it is missing"
            raise self.refuse(f"expected {name} with {dimensions} dimensions, {actual}")
        return tensors[name].shape

    def same_table(self, name: str, expected: Tensor) -> None:
        """Check a constant that the checkpoint also holds, such as its filterbank, against our own."""
        table, difference = self.tensors.get(name, expected).float(), math.inf
        if table.numel() == expected.numel():
            difference = float((table.reshape(expected.shape) - expected).abs().max())
        if not difference < 1e-4 * float(expected.abs().max()):
            raise self.refuse(f"its {name} differs from that of its settings by {difference:.2g}: another convention")


def _last(names: list[str]) -> str | None:
    """The file without a number of steps, such as BigVGAN's, or else with the highest; None for several generators."""
    final, *others = {re.sub(r"_\d+\w*steps", "", name) for name in names}
    if final in names and not others:
        return final
    matches = [re.fullmatch(r"(g_|generator_|checkpoint-)(\d{1,12})(\D*)", name) for name in names]
    if not all(matches) or len({(match[1], match[3]) for match in matches}) > 1:
        return None
    return max(matches, key=lambda match: int(match[2]))[0]


def _without_comments(text: str) -> str:
    """Remove the // comments of Coqui's configurations from JSON, except inside strings."""
    return re.sub(r'("(?:\\.|[^"\\])*"?)|//[^\n]*', lambda match: match[1] or "", text)


class _Loader(config.Loader):
    """Tuples become lists, local tags such as HyperPyYAML's ``!new:`` are dropped, ``<<`` is an error.

    ``!!python/...`` names code; nested merges grow exponentially.
    """

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        pass


def _inert(loader: _Loader, suffix: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.ScalarNode):
        return loader.construct_scalar(node)
    sequence = isinstance(node, yaml.SequenceNode)
    return loader.construct_sequence(node, deep=True) if sequence else loader.construct_mapping(node, deep=True)


_Loader.add_constructor("tag:yaml.org,2002:python/tuple", lambda loader, node: _inert(loader, "", node))
_Loader.add_multi_constructor("!", _inert)
