"""What can be compared: vocoders, folders of sounds that others made, and the anchor "griffin-lim".

Each gives its copy of an utterance, and a key that changes when the copy may.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from wavegan import audio
from wavegan.audio import griffin_lim
from wavegan.audio.log_mel import LogMel, LogMelConfig
from wavegan.audio.resample import resample
from wavegan.checkpoints import hub
from wavegan.core import files as archive
from wavegan.core.errors import UserError
from wavegan.core.version import __version__
from wavegan.data.manifest import Utterance
from wavegan.inference.synthesizer import Synthesizer

GRIFFIN_LIM = "griffin-lim"
ORIGINAL = "original"


class System(ABC):
    """``name``: in tables, and of its folder. Small and picklable: networks are loaded where they work."""

    name: str
    makes_files = True  # the copies are made here and kept; a folder has its own

    @abstractmethod
    def key(self, utterance: Utterance) -> str | None:
        """What the copy depends on besides the recording; None if there can be no copy."""

    @abstractmethod
    def rates(self, utterances: Sequence[Utterance]) -> set[int]:
        """The sample rates of the copies."""

    def copy(self, waveform: Tensor, sample_rate: int) -> tuple[Tensor, int]:
        """The copy of a recording (T,) and its rate."""
        raise NotImplementedError


@dataclass(frozen=True)
class Model(System):
    """A vocoder: a model in the package, a checkpoint folder, another project's file."""

    name: str
    source: str
    sample_rate: int
    digest: str

    @staticmethod
    def of(source: str) -> Model:
        """Raises UserError: no such model, or it is none that copies speech."""
        synthesizer = load(source)
        sha = hashlib.sha256(synthesizer.config.model_dump_json().encode())
        for name, tensor in sorted(synthesizer.generator.state_dict().items()):
            sha.update(name.encode() + tensor.float().cpu().numpy().tobytes())
        return Model(short_name(source), source, synthesizer.sample_rate, sha.hexdigest())

    def key(self, utterance: Utterance) -> str:
        return f"{self.digest} {__version__}"

    def rates(self, utterances: Sequence[Utterance]) -> set[int]:
        return {self.sample_rate}

    def copy(self, waveform: Tensor, sample_rate: int) -> tuple[Tensor, int]:
        synthesizer = load(self.source)
        return torch.from_numpy(synthesizer.vocode(waveform, sample_rate=sample_rate)), synthesizer.sample_rate


@functools.cache
def load(source: str) -> Synthesizer:
    """A model, once a process."""
    return Synthesizer.from_pretrained(source)


@dataclass(frozen=True)
class GriffinLim(System):
    """The anchor without learning."""

    features: LogMelConfig
    name: str = GRIFFIN_LIM

    @staticmethod
    def of(features: LogMelConfig | None, sample_rate: int) -> GriffinLim:
        """Of the bands and windows of the mels that a vocoder reads; of 80 bands, windows of 32 ms, else."""
        if features is None:
            hop = 2 ** round(torch.tensor(sample_rate * 0.008).log2().item())
            return GriffinLim(LogMelConfig(sample_rate=sample_rate, n_fft=4 * hop, hop_length=hop, n_mels=80))
        same = ("sample_rate", "n_fft", "hop_length", "win_length", "n_mels", "fmin", "fmax", "mel_scale", "mel_norm")
        return GriffinLim(LogMelConfig(**features.model_dump(include=set(same))))

    def key(self, utterance: Utterance) -> str:
        return f"{GRIFFIN_LIM} {__version__} {griffin_lim.ITERATIONS} {self.features.model_dump_json()}"

    def rates(self, utterances: Sequence[Utterance]) -> set[int]:
        return {self.features.sample_rate}

    def copy(self, waveform: Tensor, sample_rate: int) -> tuple[Tensor, int]:
        c = self.features
        waveform = resample(waveform, sample_rate, c.sample_rate)
        copied = griffin_lim.GriffinLim(c)(LogMel(c)(waveform[None]), len(waveform))
        return copied[0, 0], c.sample_rate


@dataclass(frozen=True)
class Folder(System):
    """Sounds that were made elsewhere: of each utterance the file with its id, or else with its recording's name."""

    name: str
    folder: Path
    files: dict[str, Path]  # by path below the folder, without suffix
    makes_files = False

    @staticmethod
    def of(source: str) -> Folder:
        """Raises UserError: no sound files, or two of the same name."""
        folder, files = Path(source), {}
        for path in audio.find(folder):
            stem = path.relative_to(folder).with_suffix("").as_posix()
            if stem in files:
                raise UserError(f"{files[stem]} and {path} are both copies of '{stem}'. Keep one.")
            files[stem] = path
        return Folder(short_name(source), folder, files)

    def find(self, utterance: Utterance) -> Path | None:
        return self.files.get(utterance.id, self.files.get(utterance.path.stem))

    def key(self, utterance: Utterance) -> str | None:
        path = self.find(utterance)
        return path and archive.digest(path)

    def rates(self, utterances: Sequence[Utterance]) -> set[int]:
        """Of those that can be read: the others are reported when it is tried."""
        found = set()
        for path in filter(None, map(self.find, utterances)):
            with contextlib.suppress(UserError):
                found.add(audio.probe(path).sample_rate)
        return found

    def surplus(self, utterances: Sequence[Utterance]) -> list[Path]:
        """Files that are of no utterance."""
        return sorted(set(self.files.values()) - {self.find(u) for u in utterances})


@dataclass(frozen=True)
class Original(System):
    """The recordings themselves, for metrics without a reference."""

    name: str = ORIGINAL
    makes_files = False

    def key(self, utterance: Utterance) -> str:
        return ORIGINAL

    def rates(self, utterances: Sequence[Utterance]) -> set[int]:
        return {utterance.sample_rate for utterance in utterances}


def short_name(source: str) -> str:
    """runs/folder -> folder; a name in the package or on the Hub stays."""
    return Path(source).resolve().name if Path(source).exists() else source.replace("/", "-")


def is_folder_of_sounds(source: str) -> bool:
    """A folder without anything of a checkpoint, ours or others'."""
    folder = Path(source)
    if source in hub.list_pretrained() or not folder.is_dir():
        return False
    weights = {".safetensors", ".pt", ".pth", ".pkl", ".ckpt", ".nemo", ".bin", ".yaml", ".yml"}
    found = list(folder.iterdir())
    return not any(p.name == "config.json" or p.suffix in weights or p.name.startswith("g_") for p in found)
