"""Writes the recipes of all corpora that have their settings by rate: what differs between them is derived, once.

    python recipes/write.py            # after a change of wavegan/presets.py, of a corpus's rate, or a new corpus

The vocoders come from wavegan/presets.py; generators of labelled clips are those of sc09 under another name.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from wavegan.training.presets import FAMILIES, recipe_text

RECIPES = Path(__file__).parent
LABELLED = {"audiomnist": "digits", "speech_commands": "words"}  # and what their last recipe is called
BY_HAND = ("fsdd", "sc09")  # tuned for their one corpus


def texts() -> dict[Path, str]:
    """What each generated recipe should hold, by its path."""
    found: dict[Path, str] = {}
    for script in sorted(RECIPES.glob("*/prepare.py")):
        corpus = runpy.run_path(str(script)).get("CORPUS")
        if corpus and corpus.name not in BY_HAND:
            for family in FAMILIES:
                found[script.with_name(f"{family}.yaml")] = recipe_text(family, corpus.name, corpus.sample_rate)
    for name, last in LABELLED.items():
        for stage in ("vocoder", "frames", "digits"):
            found[RECIPES / name / f"{last if stage == 'digits' else stage}.yaml"] = _labelled(name, stage)
    return found


def _labelled(name: str, stage: str) -> str:
    text = (RECIPES / "sc09" / f"{stage}.yaml").read_text(encoding="utf-8").replace("sc09", name)
    if name == "audiomnist":
        return text.replace("data/audiomnist/", "data/audiomnist_16k/")
    return text.replace("digit", "word")


if __name__ == "__main__":
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8")
        print(path)
