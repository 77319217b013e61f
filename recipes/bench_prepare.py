"""Benchmark of the preparation: files per second compared with a plain loop, and the cost of SIGKILL.

    python recipes/bench_prepare.py                               # 10,000 synthetic files of 5 s (2.2 GB)
    python recipes/bench_prepare.py --kills 10                    # killed ten times at random moments as well

Both read a WAV at 22.05 kHz, resample it to 16 kHz and write FLAC. "plain" is a loop over files with soundfile and
torchaudio, without any check. With --kills, a preparation that is killed repeatedly should end with the same manifests
as an uninterrupted one, without processing a finished file again.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
import torch
import torchaudio

from wavegan.core.errors import UserError, reported
from wavegan.core.progress import Bar
from wavegan.core.sequences import limited
from wavegan.data.prepare import prepare
from wavegan.data.source import Settings, sources_in

RATE, TARGET_RATE = 22050, 16000
SCRIPT = Path(__file__).parent / "folder" / "prepare.py"
PARTS = ("train", "valid", "test")


def make(folder: Path, count: int, seconds: float) -> None:
    """Write noise with a moving envelope, neither trivial nor incompressible for a codec; existing files are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    envelope = np.sin(np.linspace(0, 6 * np.pi, int(seconds * RATE))) ** 2
    with Bar("Making", count) as bar:
        for i in range(count):
            path = folder / f"{i:06d}.wav"
            if not path.exists():
                noise = np.random.default_rng(i).standard_normal(len(envelope)).cumsum()
                soundfile.write(path, 0.5 * envelope * noise / np.abs(noise).max(), RATE)
            bar.update(i + 1)


def plain(paths: list[Path], folder: Path) -> float:
    """Files per second of a plain loop."""
    folder.mkdir(parents=True)
    start = time.perf_counter()
    for path in paths:
        waveform, rate = soundfile.read(path, dtype="float32")
        waveform = torchaudio.functional.resample(torch.from_numpy(waveform), rate, TARGET_RATE)
        soundfile.write(folder / f"{path.stem}.flac", waveform.numpy(), TARGET_RATE)
    return len(paths) / (time.perf_counter() - start)


def command(wavs: Path, output: Path) -> list[str]:
    return [sys.executable, str(SCRIPT), "--source", str(wavs), "--output", str(output)]


def finished(output: Path) -> dict[str, tuple[int, int]]:
    """Inode and change time of each finished file, which change when it is written again."""
    states = {path.name: path.stat() for path in (output / "audio").glob("*.flac")}
    return {name: (state.st_ino, state.st_ctime_ns) for name, state in states.items()}


def kill(wavs: Path, output: Path, more: int, delay: float) -> int:
    """Prepare ``more`` files and ``delay`` seconds longer, then SIGKILL; returns how many finished files changed."""
    before = finished(output)
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command(wavs, output), **quiet)
    while process.poll() is None and sum(1 for _ in (output / "audio").glob("*.flac")) < len(before) + more:
        time.sleep(0.01)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    process.wait()
    now = finished(output)
    return sum(now.get(name) != state for name, state in before.items())


def killed(wavs: Path, work: Path, kills: int, files: int) -> str:
    """Kill a preparation at random moments, let it finish, and compare it with an uninterrupted one."""
    output, moments, touched = work / "killed", random.Random(0), 0
    for number in range(kills):
        more = moments.randint(1, max(2 * files // (kills + 1), 1))
        touched += kill(wavs, output, more, moments.uniform(0, 0.05))
        print(f"kill {number + 1}: {len(finished(output))} files done, {touched} processed again", flush=True)
    before = finished(output)
    for folder in (output, work / "whole"):
        subprocess.run(command(wavs, folder), check=True, stdout=subprocess.DEVNULL)
    now = finished(output)
    touched += sum(now[name] != state for name, state in before.items())
    same = all((output / f"{p}.jsonl").read_bytes() == (work / "whole" / f"{p}.jsonl").read_bytes() for p in PARTS)
    return f"{kills} kills: manifests {'the same' if same else 'DIFFERENT'}, {touched} finished files processed again"


def bench(options: argparse.Namespace, work: Path) -> None:
    wavs = work / "wavs"
    make(wavs, options.files, options.seconds)
    sources = sources_in(wavs)
    subset = limited(sources, min(options.plain, len(sources)))
    rate = plain([source.path for source in subset], work / "plain")
    print(f"plain loop, {len(subset)} files: {rate:.1f} files/s", flush=True)
    start = time.perf_counter()
    prepare(sources, work / "ours", Settings(TARGET_RATE), options.num_workers)
    ours = len(sources) / (time.perf_counter() - start)
    workers = options.num_workers or os.cpu_count()
    print(
        f"prepare(), {len(sources)} files, {workers} at once: {ours:.1f} files/s, {ours / rate:.2f} times", flush=True
    )
    start = time.perf_counter()
    prepare(sources, work / "ours", Settings(TARGET_RATE), options.num_workers)
    print(f"the same again, nothing to do: {len(sources) / (time.perf_counter() - start):.0f} files/s", flush=True)
    if options.kills:
        print(killed(wavs, work, options.kills, len(sources)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=10000)
    parser.add_argument("--seconds", type=float, default=5.0, help="length of each")
    parser.add_argument("--plain", type=int, default=1000, help="files for the plain loop")
    parser.add_argument("--num-workers", type=int, help="files at once (default: one a core)")
    parser.add_argument("--kills", type=int, default=0, help="times to kill a preparation")
    parser.add_argument("--work", type=Path, help="folder for the files (default: a temporary one, removed)")
    options = parser.parse_args()
    with reported():
        if options.files < 3 or options.plain < 1 or options.seconds < 0.5:
            raise UserError("Give at least 3 files of at least 0.5 s, and 1 for the plain loop.")
        work = options.work or Path(tempfile.mkdtemp(prefix="bench-prepare-"))
        for name in ("plain", "ours", "whole", "killed"):
            shutil.rmtree(work / name, ignore_errors=True)
        try:
            bench(options, work)
        finally:
            if not options.work:
                shutil.rmtree(work)
