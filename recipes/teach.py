"""Train classifiers on generated clips, on few real clips and on both; report their accuracy on real test clips.

python recipes/teach.py digits-8k --data data/fsdd -o runs/results/teach.json
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from wavegan.core.errors import UserError, reported
from wavegan.core.files import write_json
from wavegan.evaluation import classifiers
from wavegan.evaluation.generated_sets import Clips, generated_clips, read_corpus
from wavegan.inference.synthesizer import Synthesizer
from wavegan.models.classifier import ClassifierConfig

SEED = 7  # of the generated clips; not that of the evaluation


def few(clips: Clips, count: int) -> Clips:
    """``count`` clips of each label, evenly spaced over its clips."""
    labels = clips.labels["label"]
    groups = [torch.where(labels == label)[0] for label in labels.unique()]
    chosen = torch.cat([group[torch.linspace(0, len(group) - 1, min(count, len(group))).long()] for group in groups])
    return Clips(clips.waveforms[chosen], {"label": labels[chosen]})


def joined(first: Clips, second: Clips) -> Clips:
    labels = torch.cat([first.labels["label"], second.labels["label"]])
    return Clips(torch.cat([first.waveforms, second.waveforms]), {"label": labels})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--data", type=Path, default=Path("data/fsdd"))
    parser.add_argument("--count", type=int, default=3000, help="generated clips")
    parser.add_argument("--few", type=int, nargs="+", default=[10, 30, 100], help="real clips of each label")
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON to write")
    options = parser.parse_args()
    if not options.output.parent.is_dir() or min([options.count, *options.few]) < 1:
        raise UserError(f"--count and --few must be above 0, and the folder {options.output.parent} must exist.")
    model = Synthesizer.from_pretrained(options.model)
    corpus = read_corpus(options.data / "train.jsonl", options.data / "test.jsonl", [model])
    generated = generated_clips(model, options.count, corpus, SEED)
    sets = {f"{options.count} generated": generated, f"all {len(corpus.train.waveforms)} real": corpus.train}
    for count in options.few:
        sets[f"{count} real of each label"] = few(corpus.train, count)
        sets[f"{count} real of each label + generated"] = joined(few(corpus.train, count), generated)
    rate, length = model.sample_rate, corpus.train.waveforms.shape[-1]
    classes = corpus.vocabularies["label"]
    config = ClassifierConfig(kind="frames", classes=classes, sample_rate=rate, length=length, seed=11)
    results = {}
    for name, clips in sets.items():
        classifier = classifiers.fit(config, clips.waveforms, clips.labels["label"])
        results[name] = classifiers.accuracy(classifier, corpus.test.waveforms, corpus.test.labels["label"])
        print(f"{name}: {100 * results[name]:.1f} % of {len(corpus.test.waveforms)} real test clips", flush=True)
    write_json(options.output, results)


if __name__ == "__main__":
    with reported():
        main()
