"""Copy-synthesis speed at batch 1, published architectures (random weights) and the embedded model, in one run.

    python recipes/bench.py [--seconds 1 4 16] [--threads 2] [--repeats 7]

Prints times real time, the median of the repeats, which go in turns through all models so that a busy moment of the
machine meets all of them.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time

import torch

from wavegan.dsp import LogMelConfig
from wavegan.generators import hifigan, spectral
from wavegan.layers import fold_weight_norm
from wavegan.synthesizer import Synthesizer, list_pretrained
from wavegan.tasks import VocoderConfig

MEL_22K = LogMelConfig(sample_rate=22050, n_fft=1024, hop_length=256, n_mels=80, fmax=8000, padding="same")
MEL_24K = LogMelConfig(sample_rate=24000, n_fft=1024, hop_length=256, n_mels=100, mel_scale="htk", mel_norm="none")
PUBLISHED = {
    "HiFi-GAN V1, 22.05 kHz": (hifigan.V1, MEL_22K),
    "HiFi-GAN V2, 22.05 kHz": (hifigan.V2, MEL_22K),
    "HiFi-GAN V3, 22.05 kHz": (hifigan.V3, MEL_22K),
    "Vocos, 24 kHz": (spectral.VOCOS, MEL_24K),
}


def models() -> dict[str, tuple[torch.nn.Module, LogMelConfig]]:
    built = {
        name: (fold_weight_norm(c.build(VocoderConfig(features=f))).eval(), f) for name, (c, f) in PUBLISHED.items()
    }
    for name in list_pretrained():
        synthesizer = Synthesizer.from_pretrained(name)
        if synthesizer.config.task.name != "vocoder":
            continue
        built[f"{name} (ours)"] = (synthesizer.generator, synthesizer.features)
    return built


@torch.inference_mode()
def times_real_time(generator: torch.nn.Module, features: LogMelConfig, seconds: float) -> float:
    frames = round(seconds * features.sample_rate / features.hop_length)
    mel = torch.randn(1, features.n_mels, frames) - 5
    start = time.perf_counter()
    samples = generator(mel).shape[-1]
    return samples / features.sample_rate / (time.perf_counter() - start)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, nargs="+", default=[1, 4, 16])
    parser.add_argument("--threads", type=int, default=os.cpu_count())
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.set_flush_denormal(True)  # random weights make activations so small that denormals would stall the CPU
    built = models()
    speeds: dict[tuple[str, float], list[float]] = {}
    for repeat in range(options.repeats + 1):
        for name, (generator, features) in built.items():
            for seconds in options.seconds:
                speed = times_real_time(generator, features, seconds)
                if repeat:  # the first round warms up
                    speeds.setdefault((name, seconds), []).append(speed)
    print(f"times real time, batch 1, {options.threads} threads, median of {options.repeats}")
    print(f"{'model':26} {'parameters':>11}" + "".join(f"{s:>8g} s" for s in options.seconds))
    for name, (generator, _) in built.items():
        parameters = sum(p.numel() for p in generator.parameters())
        row = "".join(f"{statistics.median(speeds[name, s]):>10.1f}" for s in options.seconds)
        print(f"{name:26} {parameters:>11,}{row}")


if __name__ == "__main__":
    main()
