"""Systems that can be compared: vocoders, folders of sounds made elsewhere, and the baseline "griffin-lim"."""

from __future__ import annotations

import contextlib
import functools
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
from wavegan.core.errors import UserError
from wavegan.core.files import digest
from wavegan.core.version import __version__
from wavegan.data.manifest import Utterance
from wavegan.inference.copies import fingerprint
from wavegan.inference.synthesizer import Synthesizer
from wavegan.metrics import Metric

GRIFFIN_LIM = "griffin-lim"
ORIGINAL = "original"


class System(ABC):
    """A source of copies. ``name``: in tables, and of its folder. Small and picklable: processes load the networks.

    ``makes_files``: copies are made and stored in the output folder.
    """

    name: str
    makes_files = True

    @abstractmethod
    def key(self, utterance: Utterance) -> str | None:
        """A key that changes whenever the copy may change, for an equal recording; None if there is no copy."""

    @abstractmethod
    def rates(self, utterances: Sequence[Utterance]) -> set[int]:
        """The sample rates of the copies."""

    def copy(self, waveform: Tensor, sample_rate: int) -> tuple[Tensor, int]:
        """The copy of a recording (T,) and its rate."""
        raise NotImplementedError

    def path(self, utterance: Utterance, output: Path) -> Path | None:
        """The path of the copy, nested like the ids so that no two share a file; None if there is no copy."""
        return output / self.name / Path(*(p for p in Path(f"{utterance.id}.wav").parts if p not in ("/", "..")))

    def applies(self, metric: Metric) -> bool:
        return True


@dataclass(frozen=True)
class Model(System):
    """A vocoder: an embedded model, a checkpoint folder or another project's file."""

    name: str
    source: str
    sample_rate: int
    digest: str

    @staticmethod
    def of(source: str) -> Model:
        """Raises UserError: no such model."""
        synthesizer = load(source)
        digest = fingerprint(synthesizer.generator, synthesizer.config)
        return Model(short_name(source), source, synthesizer.sample_rate, digest)

    def key(self, utterance: Utterance) -> str:
        return f"{self.digest} {__version__}"

    def rates(self, utterances: Sequence[Utterance]) -> set[int]:
        return {self.sample_rate}

    def copy(self, waveform: Tensor, sample_rate: int) -> tuple[Tensor, int]:
        synthesizer = load(self.source)
        return torch.from_numpy(synthesizer.vocode(waveform, sample_rate=sample_rate)), synthesizer.sample_rate


@functools.cache
def load(source: str) -> Synthesizer:
    """Load a model once per process."""
    return Synthesizer.from_pretrained(source)


@dataclass(frozen=True)
class GriffinLim(System):
    """The baseline without training."""

    features: LogMelConfig
    name: str = GRIFFIN_LIM

    @staticmethod
    def of(features: LogMelConfig | None, sample_rate: int) -> GriffinLim:
        """With the bands and windows of a vocoder's mels; for None, 80 bands and windows of 32 ms."""
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
    """Sounds made elsewhere: for each utterance the file named by its id, or else like its recording."""

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
        return path and digest(path)

    def rates(self, utterances: Sequence[Utterance]) -> set[int]:
        """Sample rates of the readable files; scoring reports the others."""
        rates = set()
        for path in filter(None, map(self.find, utterances)):
            with contextlib.suppress(UserError):
                rates.add(audio.probe(path).sample_rate)
        return rates

    def path(self, utterance: Utterance, output: Path) -> Path | None:
        return self.find(utterance)

    def surplus(self, utterances: Sequence[Utterance]) -> list[Path]:
        """Files of no utterance."""
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

    def path(self, utterance: Utterance, output: Path) -> Path:
        return utterance.path

    def applies(self, metric: Metric) -> bool:
        return not metric.needs_reference


def open_systems(sources: Sequence[str], lowest_rate: int) -> list[System]:
    """The recordings themselves, then the systems in their order. Griffin-Lim has the mels of the first model, or else
    of recordings of the lowest rate.
    """
    systems: dict[str, System] = {}
    for source in sources:
        if source != GRIFFIN_LIM:
            systems[source] = Folder.of(source) if is_folder_of_sounds(source) else Model.of(source)
    if GRIFFIN_LIM in sources:
        models = (system for system in systems.values() if isinstance(system, Model))
        features = next((load(model.source).features for model in models), None)
        systems[GRIFFIN_LIM] = GriffinLim.of(features, lowest_rate)
    return [Original(), *(systems[source] for source in sources)]


def short_name(source: str) -> str:
    """runs/folder -> folder; names of embedded models and of the Hub stay."""
    return Path(source).resolve().name if Path(source).exists() else source.replace("/", "-")


def is_folder_of_sounds(source: str) -> bool:
    """Return True for a folder without files of a checkpoint, of any project."""
    folder = Path(source)
    if source in hub.list_pretrained() or not folder.is_dir():
        return False
    weights = {".safetensors", ".pt", ".pth", ".pkl", ".ckpt", ".nemo", ".bin", ".yaml", ".yml"}
    paths = list(folder.iterdir())
    return not any(p.name == "config.json" or p.suffix in weights or p.name.startswith("g_") for p in paths)
