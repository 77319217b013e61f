"""A recipe folder for a corpus of one's own: what the recipes of published corpora have, for a folder of recordings."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from wavegan import audio
from wavegan.core.errors import UserError
from wavegan.data.source import rates
from wavegan.training.presets import FAMILIES, recipe_text

PREPARE = '''"""NAME: recordings of one's own, RATE Hz.

    python FOLDER/prepare.py
    python FOLDER/prepare.py --source DIR --trim --loudness -23 --output data/NAME-trimmed
"""

from __future__ import annotations

from pathlib import Path

from wavegan.corpus import Corpus, main
from wavegan.prepare import Source, sources_in

CORPUS = Corpus(name="NAME", title="NAME", sample_rate=RATE, layout=(), source="WAVS")


def scan(root: Path) -> list[Source]:
    """All recordings. For speakers, return Source(path, id, speaker=...) each; for a split, part="test" and so on."""
    return sources_in(root)


if __name__ == "__main__":
    main(CORPUS, scan, __doc__)
'''
README = """# NAME

The recordings in `WAVS`, at RATE Hz.
Written by `wavegan recipe new`; say here whose voice it is, how many hours, and under which terms it may be used.

```bash
wavegan recipe run FOLDER     # prepares, trains, evaluates; interrupted, run it again
wavegan recipe run FOLDER --recipe spectral_large --data data/NAME-trimmed --trim --loudness -23
```
| recipe | what it is |
|---|---|
ROWS
`--from 2 --to 2` takes the second stage alone. Results: not yet run.
"""


def new_recipe(name: str, wavs: Path, sample_rate: int, output: Path) -> str:
    """Write ``output/name``, whole or not at all; returns what to do with it.

    Raises:
        UserError: a name that can't be one, a folder without recordings, a rate without settings, or a recipe that is
            there already.
    """
    if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
        raise UserError(f"A recipe is named by letters, digits, _ . and -, got '{name}'.")
    folder = output / name
    if folder.exists():
        raise UserError(f"{folder} is there already. Choose another name, or remove it.")
    paths = audio.find(wavs)
    texts = {f"{family}.yaml": recipe_text(family, name, sample_rate) for family in FAMILIES}
    what = "\n".join(f"| `{family}.yaml` | {description} |" for family, (_, description) in FAMILIES.items())
    texts |= {"prepare.py": PREPARE, "README.md": README.replace("ROWS", f"{what}\n")}
    place = wavs.absolute().as_posix()
    if '"' in place or "\\" in place or not place.isprintable():
        raise UserError(f"{str(wavs)!a} has a character in its name that a script can't hold. Rename it.")
    values = {"WAVS": place, "NAME": name, "RATE": str(sample_rate), "FOLDER": folder.as_posix()}
    pattern = re.compile("|".join(map(re.escape, values)))  # once over each text: a path may have NAME in it
    partial = output / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for file, text in texts.items():
        filled = text if file.endswith(".yaml") else pattern.sub(lambda match: values[match[0]], text)
        (partial / file).write_text(filled, encoding="utf-8", newline="\n")
    partial.rename(folder)
    return f"{folder}: {len(paths)} recordings{_duller(paths, sample_rate)}. Go on with: wavegan recipe run {folder}"


def _duller(paths: list[Path], sample_rate: int) -> str:
    """A warning where recordings have less than the rate asked for."""
    lower = {rate: count for rate, count in rates(paths).items() if rate < sample_rate}
    if not lower:
        return ""
    shown = ", ".join(f"{count} at {rate} Hz" for rate, count in sorted(lower.items()))
    return f", of which some have a lower rate and will sound duller than {sample_rate} Hz can ({shown})"
