"""What generated clips are good for: a classifier taught by them, by few real clips, and by both; tested on real ones.

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
from wavegan.models.classifier import JudgeConfig

SEED = 7  # of the generated clips; not that of the evaluation


def few(clips: Clips, count: int) -> Clips:
    """``count`` clips of each label, evenly spaced over its clips."""
    labels = clips.columns["label"]
    places = [torch.where(labels == label)[0] for label in labels.unique()]
    chosen = torch.cat([own[torch.linspace(0, len(own) - 1, min(count, len(own))).long()] for own in places])
    return Clips(clips.waveforms[chosen], {"label": labels[chosen]})


def both(one: Clips, other: Clips) -> Clips:
    labels = torch.cat([one.columns["label"], other.columns["label"]])
    return Clips(torch.cat([one.waveforms, other.waveforms]), {"label": labels})


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
    made = generated_clips(model, options.count, corpus, SEED)
    taught = {f"{options.count} generated": made, f"all {len(corpus.train.waveforms)} real": corpus.train}
    for count in options.few:
        taught[f"{count} real of each label"] = few(corpus.train, count)
        taught[f"{count} real of each label + generated"] = both(few(corpus.train, count), made)
    rate, length = model.sample_rate, corpus.train.waveforms.shape[-1]
    contents = JudgeConfig(kind="frames", classes=corpus.words["label"], sample_rate=rate, length=length, seed=11)
    results = {}
    for name, clips in taught.items():
        one = classifiers.fit(contents, clips.waveforms, clips.columns["label"])
        results[name] = classifiers.accuracy(one, corpus.test.waveforms, corpus.test.columns["label"])
        print(f"{name}: {100 * results[name]:.1f} % of {len(corpus.test.waveforms)} real test clips", flush=True)
    write_json(options.output, results)


if __name__ == "__main__":
    with reported():
        main()
