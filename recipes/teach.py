"""What generated clips are good for: a classifier taught by them, by few real clips, and by both; tested on real ones.

python recipes/teach.py digits-8k --data data/fsdd -o runs/results/teach.json
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import torch

from wavegan import judge, manifest
from wavegan.errors import reported
from wavegan.evaluate_sets import Clips, generated_clips, real_clips
from wavegan.files import write_atomically
from wavegan.judge import JudgeConfig
from wavegan.synthesizer import Synthesizer

SEED = 7  # of the generated clips; not that of the evaluation


def few(clips: Clips, count: int) -> Clips:
    """The first ``count`` clips of each label."""
    labels = clips.columns["label"]
    chosen = torch.cat(
        [
            torch.where(labels == label)[0][:: max(1, int((labels == label).sum()) // count)][:count]
            for label in labels.unique()
        ]
    )
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
    model = Synthesizer.from_pretrained(options.model)
    task = model.config.task
    train, test = (real_clips(manifest.read(options.data / f"{n}.jsonl"), task) for n in ("train", "test"))
    made, _ = generated_clips(model, options.count, SEED)
    taught = {f"{options.count} generated": made, f"all {len(train.waveforms)} real": train}
    for count in options.few:
        taught[f"{count} real of each label"] = few(train, count)
        taught[f"{count} real of each label + generated"] = both(few(train, count), made)
    contents = JudgeConfig(
        kind="frames", classes=task.conditions["label"], sample_rate=model.sample_rate, length=task.length, seed=11
    )
    results = {}
    for name, clips in taught.items():
        one = judge.fit(contents, clips.waveforms, clips.columns["label"])
        results[name] = judge.accuracy(one, test.waveforms, test.columns["label"])
        print(f"{name}: {100 * results[name]:.1f} % of {len(test.waveforms)} real test clips", flush=True)
    write_atomically(options.output, json.dumps(results, indent=1).encode())


if __name__ == "__main__":
    with reported():
        main()
