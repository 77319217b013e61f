"""Draw the progress of a generator: log-mels of the same latents at each validation of all stages, as one picture.

python recipes/film_strip.py runs/fsdd-frames runs/fsdd -o recipes/fsdd/progress.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import torch

from wavegan.audio.pictures import grid_figure
from wavegan.core.errors import UserError, reported
from wavegan.core.sequences import spread


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, in the order of training")
    parser.add_argument("-o", "--output", type=Path, required=True, help="picture to write (.png)")
    parser.add_argument("--columns", type=int, default=8, help="maximal number of steps")
    parser.add_argument("--rows", type=int, default=10, help="maximal number of labels")
    options = parser.parse_args()
    grids = [path for run in options.runs for path in sorted((run / "samples").glob("step-*/grid.npz"))]
    if not grids:
        raise UserError(f"{', '.join(map(str, options.runs))}: no samples of a generation run (step-*/grid.npz).")
    grids = spread(grids, options.columns)
    frames = [np.load(path) for path in grids]
    names = [str(name) for name in frames[-1]["names"]]
    mels = torch.from_numpy(np.stack([grid["mels"] for grid in frames], axis=1)).float()  # (rows, columns, M, F)
    rows = {names[i]: mels[i] for i in spread(list(range(len(names))), options.rows)}
    shown = ", ".join(f"{p.parts[-4]} {int(p.parent.name.removeprefix('step-'))}" for p in grids)
    figure = grid_figure(rows)
    figure.suptitle(f"by step: {shown}", fontsize=7)
    figure.savefig(options.output, dpi=70)


if __name__ == "__main__":
    with reported():
        main()
