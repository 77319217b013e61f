"""Judges of generated clips: classifiers of label or speaker, trained on real recordings only, and pocketsphinx.

Two kinds that share neither features nor architecture, so that a generator can't be tuned to one: "frames", 1-D
convolutions over the frames of a log-mel, and "image", 2-D convolutions over another. Their features are also where
set metrics are computed.

Shapes: B batch, N clips, T samples, M mel bands, F frames, D features.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from pydantic import Field
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn
from torch.nn import functional as F

from wavegan import config
from wavegan.augment import AugmentConfig, augment
from wavegan.config import Config
from wavegan.dsp import LogMel, LogMelConfig
from wavegan.errors import UserError
from wavegan.files import write_atomically, write_json
from wavegan.metrics.unreferenced import LISTENER_RATE, hear
from wavegan.progress import Bar
from wavegan.speaking import DIGITS

Kind = Literal["frames", "image"]
AUGMENT = AugmentConfig(probability=0.7, shift_seconds=0.1, gain_db=6, speed=0.08, mask=0.15)


class JudgeConfig(Config):
    """``length``: samples of a clip as it is judged; longer ones are cut. ``accuracy``: on the test clips, 0 to 1.
    ``corpus``: a digest of the clips that it was trained and tested on.
    """

    kind: Kind
    classes: list[str] = Field(min_length=2)
    sample_rate: int
    length: int
    seed: int = 0
    accuracy: float | None = None
    corpus: str = ""

    @property
    def features(self) -> LogMelConfig:
        """Windows of 32 ms in slaney mels for "frames", of 50 ms in HTK mels for "image"."""
        # The floor lies above the dither of 16-bit files: digital silence says nothing about what is said.
        if self.kind == "frames":
            n_fft, hop, n_mels, scale = 0.032, 0.008, 64, {"mel_scale": "slaney"}
        else:
            n_fft, hop, n_mels, scale = 0.050, 0.010, 40, {"mel_scale": "htk", "mel_norm": "none"}
        n_fft, hop = 2 * round(n_fft * self.sample_rate / 2), round(hop * self.sample_rate)
        return LogMelConfig(
            sample_rate=self.sample_rate, n_fft=n_fft, hop_length=hop, n_mels=n_mels, floor=1e-2, **scale
        )


class Judge(nn.Module):
    """Waveform (B, 1, T) -> logits (B, classes) and features (B, D), D = 128."""

    def __init__(self, contents: JudgeConfig):
        super().__init__()
        self.config = contents
        self.log_mel = LogMel(contents.features)
        self.shift, self.scale = contents.features.normal_range
        n_mels, two = contents.features.n_mels, contents.kind == "image"
        widths = [1, 16, 32, 64, 64] if two else [n_mels, 64, 96, 96, 96]
        conv, norm, size = (nn.Conv2d, nn.BatchNorm2d, 3) if two else (nn.Conv1d, nn.BatchNorm1d, 5)
        pool = (nn.MaxPool2d if two else nn.MaxPool1d)(2, ceil_mode=True)
        layers: list[nn.Module] = []
        for c_in, c_out in zip(widths, widths[1:], strict=False):
            layers += [conv(c_in, c_out, size, padding=size // 2), norm(c_out), nn.ReLU(), pool]
        self.body = nn.Sequential(*layers)
        self.hidden = nn.Linear(2 * widths[-1], 128)
        self.out = nn.Linear(128, len(contents.classes))

    def forward(self, waveform: Tensor) -> tuple[Tensor, Tensor]:
        missing = self.config.length - waveform.shape[-1]
        waveform = F.pad(waveform, (0, missing))  # cuts where it is negative
        x = (self.log_mel(waveform) - self.shift) * self.scale
        x = self.body(x.unsqueeze(1) if self.config.kind == "image" else x).flatten(2)
        features = F.relu(self.hidden(F.dropout(torch.cat([x.mean(2), x.amax(2)], 1), 0.3, self.training)))
        return self.out(features), features

    @torch.inference_mode()
    def hear(self, clips: Tensor, batch_size: int = 256) -> tuple[Tensor, Tensor]:
        """Probabilities (N, classes) and features (N, D) of clips (N, 1, T)."""
        results = [self.eval()(part) for part in clips.split(batch_size)]
        return torch.cat([r[0].softmax(1) for r in results]), torch.cat([r[1] for r in results])


def fit(contents: JudgeConfig, clips: Tensor, labels: Tensor, steps: int = 500, batch_size: int = 64) -> Judge:
    """Train a judge on clips (N, 1, T) with labels (N,); the same seed and clips give the same judge."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(contents.seed)
        judge = Judge(contents).train()
        optimizer = torch.optim.AdamW(judge.parameters(), 2e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps, pct_start=0.15)
        clips = F.pad(clips, (0, contents.length - clips.shape[-1]))
        with Bar(f"Training a judge ({contents.kind}, {len(contents.classes)} classes)", steps) as bar:
            for step in range(steps):
                chosen = torch.randint(len(clips), (batch_size,))
                (heard,) = augment(AUGMENT, [clips[chosen]], contents.sample_rate)
                loss = F.cross_entropy(judge(heard)[0], labels[chosen], label_smoothing=0.05)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update(step + 1)
    return judge.eval().requires_grad_(False)


def accuracy(judge: Judge, clips: Tensor, labels: Tensor) -> float:
    """Share of clips (N, 1, T) in which the judge hears their label (N,)."""
    return float((judge.hear(clips)[0].argmax(1) == labels).float().mean())


def save_judge(path: Path, judge: Judge) -> None:
    """Write PATH.json and PATH.safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in judge.state_dict().items()}
    write_atomically(path.with_suffix(".safetensors"), save(tensors))
    write_json(path.with_suffix(".json"), judge.config.model_dump(exclude_none=True))


def load_judge(path: Path) -> Judge:
    """Read what ``save_judge`` wrote.

    Raises:
        UserError: a file is missing or damaged.
    """
    try:
        data = json.loads(path.with_suffix(".json").read_text())
        judge = Judge(config.parse(JudgeConfig, data, str(path.with_suffix(".json"))))
        judge.load_state_dict(load_file(path.with_suffix(".safetensors")))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"The judge {path} can't be read ({error}). Delete it to train it again.") from None
    return judge.eval().requires_grad_(False)


def spoken(label: str) -> str:
    """What is said for a label: '7' -> 'seven', other labels as they are."""
    return DIGITS[int(label)] if label.isdecimal() and len(label) == 1 else label.lower()


class Listener:
    """pocketsphinx with a grammar of the labels: an independent recogniser that never saw the corpus.

    Raises:
        UserError: the ``metrics`` extra isn't installed, or a label isn't in its English dictionary.
    """

    def __init__(self, labels: Sequence[str]):
        try:
            from pocketsphinx import Decoder
        except ImportError:
            raise UserError("This metric needs the package 'pocketsphinx': pip install 'wavegan[metrics]'.") from None
        self.words = [spoken(label) for label in labels]
        self.decoder = Decoder(samprate=LISTENER_RATE, loglevel="FATAL")
        if unknown := [word for word in self.words if self.decoder.lookup_word(word) is None]:
            raise UserError(f"pocketsphinx doesn't know the words {', '.join(unknown)}.")
        grammar = f"#JSGF V1.0;\ngrammar words;\npublic <word> = {' | '.join(self.words)};\n"
        self.decoder.add_jsgf_string("words", grammar)
        self.decoder.activate_search("words")

    def hear(self, waveform: Tensor, sample_rate: int) -> int | None:
        """The place of the heard label in ``labels``, or None; silence is None, not the shortest word."""
        if float(waveform.abs().max()) < 1e-3:
            return None
        heard = hear(self.decoder, waveform, sample_rate)
        return self.words.index(heard) if heard in self.words else None
