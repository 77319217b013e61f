"""Judges of generated clips: classifiers of label or speaker, trained on real recordings only, and pocketsphinx.

Two kinds that share neither features nor architecture, so that a generator can't be tuned to one: "frames", 1-D
convolutions over the frames of a log-mel, and "image", 2-D convolutions over another. Their features are also where
set metrics are computed.

Shapes: B batch, N clips, T samples, M mel bands, F frames, D features.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor
from torch.nn import functional as F

from wavegan.core import config
from wavegan.core.errors import UserError
from wavegan.core.files import write_atomically, write_json
from wavegan.core.progress import Bar
from wavegan.data.augment import AugmentConfig, augment
from wavegan.models.classifier import Judge, JudgeConfig

AUGMENT = AugmentConfig(probability=0.7, shift_seconds=0.1, gain_db=6, speed=0.08, mask=0.15)


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
