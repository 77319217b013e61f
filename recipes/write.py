"""Write the recipes of all corpora whose settings follow from the sample rate.

    python recipes/write.py     # after a change of wavegan/training/presets.py or of a corpus's rate, or a new corpus

Vocoders come from the presets; generators of labelled clips are those of sc09 under another name.
"""

from __future__ import annotations

import runpy
from pathlib import Path

from wavegan.training.presets import FAMILIES, recipe_text

RECIPES = Path(__file__).parent
LABELLED = {"audiomnist": "digits", "speech_commands": "words"}  # with the names of their last recipes
BY_HAND = ("fsdd", "sc09", "lhotse")  # tuned for the corpus, or without recipes


def texts() -> dict[Path, str]:
    """The contents of each generated recipe, by path."""
    recipes: dict[Path, str] = {}
    for script in sorted(RECIPES.glob("*/prepare.py")):
        corpus = None if script.parent.name in BY_HAND else runpy.run_path(str(script)).get("CORPUS")
        if corpus:
            for family in FAMILIES:
                recipes[script.with_name(f"{family}.yaml")] = recipe_text(family, corpus.name, corpus.sample_rate)
    for name, last in LABELLED.items():
        for stage in ("vocoder", "frames", "digits"):
            recipes[RECIPES / name / f"{last if stage == 'digits' else stage}.yaml"] = _labelled(name, stage)
    return recipes


def _labelled(name: str, stage: str) -> str:
    text = (RECIPES / "sc09" / f"{stage}.yaml").read_text(encoding="utf-8").replace("sc09", name)
    if name == "audiomnist":
        return text.replace("data/audiomnist/", "data/audiomnist_16k/")
    return text.replace("digit", "word")


if __name__ == "__main__":
    for path, text in texts().items():
        path.write_text(text, encoding="utf-8")
        print(path)
