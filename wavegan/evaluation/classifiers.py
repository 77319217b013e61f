"""Training, saving and loading of the classifiers of label or speaker that score generated clips.

They are trained on real recordings only. The two kinds share neither features nor architecture, so that a generator
can't be tuned to one: "frames", 1-D convolutions over the frames of a log-mel, and "image", 2-D convolutions over
another. The set metrics are computed on their features.

Shapes: N clips, T samples.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from safetensors.torch import save as to_safetensors
from torch import Tensor
from torch.nn import functional as F

from wavegan.core.config import parse
from wavegan.core.errors import UserError
from wavegan.core.files import write_atomically, write_json
from wavegan.core.progress import Bar
from wavegan.data.augment import AugmentConfig, augment
from wavegan.models.classifier import Classifier, ClassifierConfig

AUGMENT = AugmentConfig(probability=0.7, shift_seconds=0.1, gain_db=6, speed=0.08, mask=0.15)


def fit(config: ClassifierConfig, clips: Tensor, labels: Tensor, steps: int = 500, batch_size: int = 64) -> Classifier:
    """Train a classifier on clips (N, 1, T) with labels (N,); deterministic for the same seed and clips."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        classifier = Classifier(config).train()
        optimizer = torch.optim.AdamW(classifier.parameters(), 2e-3, weight_decay=0.02)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, steps, pct_start=0.15)
        clips = F.pad(clips, (0, config.length - clips.shape[-1]))
        with Bar(f"Training a classifier ({config.kind}, {len(config.classes)} classes)", steps) as bar:
            for step in range(steps):
                batch = torch.randint(len(clips), (batch_size,))
                (augmented,) = augment(AUGMENT, [clips[batch]], config.sample_rate)
                loss = F.cross_entropy(classifier(augmented)[0], labels[batch], label_smoothing=0.05)
                optimizer.zero_grad(set_to_none=True)
                loss.backward()
                optimizer.step()
                schedule.step()
                bar.update(step + 1)
    return classifier.eval().requires_grad_(False)


def accuracy(classifier: Classifier, clips: Tensor, labels: Tensor) -> float:
    """Share of clips (N, 1, T) that are classified as their label (N,)."""
    return float((classifier.predict(clips)[0].argmax(1) == labels).float().mean())


def save(path: Path, classifier: Classifier) -> None:
    """Write PATH.json and PATH.safetensors."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in classifier.state_dict().items()}
    write_atomically(path.with_suffix(".safetensors"), to_safetensors(tensors))
    write_json(path.with_suffix(".json"), classifier.config.model_dump(exclude_none=True))


def load(path: Path) -> Classifier:
    """Read the files that ``save`` writes.

    Raises:
        UserError: a file is missing or damaged.
    """
    try:
        data = json.loads(path.with_suffix(".json").read_text())
        classifier = Classifier(parse(ClassifierConfig, data, str(path.with_suffix(".json"))))
        classifier.load_state_dict(load_file(path.with_suffix(".safetensors")))
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise UserError(f"The classifier {path} can't be read ({error}). Delete it to train it again.") from None
    return classifier.eval().requires_grad_(False)
