"""A foreign checkpoint as it lies on the disk: its settings and its tensors.

Its files come from strangers: no code in them is run, and nothing is allocated that they don't hold.
"""

from __future__ import annotations

import json
import os
import re
import reprlib
from collections.abc import Iterable, Sequence
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

# SpeechBrain's hyperparams.yaml comes first: some of its models have a config.json too, which says little.
SETTINGS = ("hyperparams.yaml", "config.json", "config.yaml", "config.yml", "model_config.yaml")
SUFFIXES = (".pt", ".pth", ".tar", ".bin", ".ckpt", ".pkl", ".safetensors")  # of weights
MOST_SETTINGS = 2**20  # bytes

Size = Annotated[int, Field(ge=1, le=65536)]
Bands = Annotated[int, Field(ge=1, le=1024)]
FFTSize = Annotated[int, Field(ge=16, le=8192)]  # no vocoder has more, and tables of these sizes take memory


class Imported(NamedTuple):
    """A foreign generator in our terms: ``tensors`` has our names, float32, weight norm multiplied out.

    ``note``: what is not quite as it was there, for the user to know.
    """

    name: str
    task: VocoderConfig
    generator: GeneratorConfig
    tensors: dict[str, Tensor]
    note: str = ""


class Settings(Config):
    """Base of a format's settings, in the format's own names: keys that we don't need are ignored."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False)


class Source:
    """A folder; a weights file beside its settings, or a folder below; or an archive (.nemo, .tar.gz) of both.

    ``path`` is what was given, ``name`` what to call the model: by default as its folder or file. ``note``: which of
    several weights were taken.
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
        """The file of a generator's weights; of the same at several steps the last."""

        def named(name: str) -> bool:
            return name.startswith(("g_", "generator"))

        found = [n for n in self.files if n.endswith((*SUFFIXES, *tar.SUFFIXES)) or named(n)]
        found = [n for n in found if not n.startswith("do_") and "discriminator" not in n and "optim" not in n]
        for best in ([n for n in found if named(n)], [n for n in found if n.endswith(".safetensors")]):
            found = best or found
        if len(found) > 1 and (last := _last(found)):
            self.note = f"Of {', '.join(found[:5])}, this is {last}. "
            return last
        if len(found) != 1:
            names = ", ".join(found[:5]) or "none: it is not a checkpoint"
            raise UserError(
                f"{self.path} should hold one file of weights, found {names}. Give the path of the one you mean."
            )
        return found[0]

    @cached_property
    def settings_name(self) -> str:
        """Which file holds the settings: one with a usual name, or the only .json or .yaml."""
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
            found = json.loads(_without_comments(text)) if name.endswith(".json") else config.load_yaml(text, _Loader)
        except (ValueError, RecursionError) as error:
            kind = "JSON" if name.endswith(".json") else "safe YAML"
            raise UserError(f"{self.label(name)} is not {kind} ({one_line(error)}).") from None
        if not isinstance(found, dict):
            raise UserError(f"{self.label(name)} should hold a mapping, found {type(found).__name__}.")
        return found

    def parse(self, kind: type[ConfigT], data: Any = None) -> ConfigT:
        """The settings, or a part of them, as a ``Settings`` class.

        Raises:
            UserError: each key that is missing or wrong, in the format's own names.
        """
        return config.parse(kind, self.settings if data is None else data, self.label(self.settings_name))

    @cached_property
    def state(self) -> Any:
        """What the weights file holds, wrappers, optimizers and all."""
        return weights.load(self.files[self.weights_name], self.label(self.weights_name))

    @cached_property
    def tensors(self) -> dict[str, Tensor]:
        """The tensors inside the wrappers, weight norm as it is."""
        tensors, averaged = weights.unwrap(self.state, self.label(self.weights_name))
        self.note += f"Its weights are the averaged ones, {averaged}. " if averaged else ""
        return tensors

    @cached_property
    def folded(self) -> dict[str, Tensor]:
        """The tensors as float32, weight norm multiplied out: what most formats want."""
        return self.part("")

    def part(self, prefix: str) -> dict[str, Tensor]:
        """The tensors under ``prefix``, without it, folded."""
        inside = {name[len(prefix) :]: tensor for name, tensor in self.tensors.items() if name.startswith(prefix)}
        return weights.fold(inside, self.label(self.weights_name))

    def read(self, name: str, most: int) -> bytes:
        """A file beside the weights, such as stats.h5, of at most ``most`` bytes."""
        file = self.files[name]
        size = len(file) if isinstance(file, bytes) else file.stat().st_size
        if size > most:
            raise UserError(f"{self.label(name)} has {size} bytes; expected at most {most}.")
        return file if isinstance(file, bytes) else file.read_bytes()

    def label(self, name: str) -> str:
        """How messages name a file of this source."""
        file = self.files.get(name)
        return str(file) if isinstance(file, Path) else f"{self.path}: {name}"

    def refuse(self, reason: str) -> UserError:
        """The error of a checkpoint that contradicts itself or isn't supported; ``reason`` is a clause or two."""
        return UserError(f"{self.label(self.weights_name)}: {reason}.")

    def agree(self, what: str, setting: Any, found: Any) -> None:
        """Raise where the settings say one thing of a size and the tensors another; None says nothing."""
        if setting is not None and setting != found:
            raise UserError(
                f"{self.label(self.settings_name)} says {what} {reprlib.repr(setting)}, but the weights in "
                f"{self.label(self.weights_name)} have {reprlib.repr(found)}. They don't belong together."
            )

    def same_table(self, name: str, expected: Tensor) -> None:
        """Raise where a constant that the checkpoint holds too, such as its filterbank, is not what we compute."""
        found = self.tensors.get(name)
        if found is None:
            return
        found = found.float().reshape(expected.shape) if found.numel() == expected.numel() else None
        difference = float("inf") if found is None else float((found - expected).abs().max())
        if not difference < 1e-4 * float(expected.abs().max()):
            raise self.refuse(f"its {name} is not what its settings make it, by {difference:.2g}: another convention")


def shape(source: Source, tensors: dict[str, Tensor], name: str, dimensions: int) -> Sequence[int]:
    """The shape of a tensor that must be there."""
    if name not in tensors or tensors[name].dim() != dimensions:
        found = f"it is {tuple(tensors[name].shape)}" if name in tensors else "it is missing"
        raise source.refuse(f"expected {name} with {dimensions} dimensions, {found}")
    return tensors[name].shape


def numbered(names: Iterable[str], prefix: str) -> int:
    """How many entries of a list there are under ``prefix``: the numbers 0, 1, ... that follow it, without a gap."""
    found = {name[len(prefix) :].split(".")[0] for name in names if name.startswith(prefix)}
    return next(i for i in range(len(found) + 1) if str(i) not in found)


def _last(names: list[str]) -> str | None:
    """Of one generator's files the one without a number of steps, such as BigVGAN's, or else with the highest."""
    final, *others = {re.sub(r"_\d+\w*steps", "", name) for name in names}
    if final in names and not others:
        return final
    matches = [re.fullmatch(r"(g_|generator_|checkpoint-)(\d{1,12})(\D*)", name) for name in names]
    if not all(matches) or len({(match[1], match[3]) for match in matches}) > 1:
        return None
    return max(matches, key=lambda match: int(match[2]))[0]


def _without_comments(text: str) -> str:
    """JSON without the // comments that Coqui's configurations have; what stands in quotes stays."""
    return re.sub(r'("(?:\\.|[^"\\])*"?)|//[^\n]*', lambda match: match[1] or "", text)


class _Loader(config.Loader):
    """Tuples become lists, local tags such as HyperPyYAML's ``!new:`` are dropped, ``<<`` is an error.

    ``!!python/...`` names code; merges of merges grow without bound.
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
