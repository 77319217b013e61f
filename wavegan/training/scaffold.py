"""A recipe folder for your recordings, of the same form as those of the published corpora."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from wavegan import audio
from wavegan.core.errors import UserError
from wavegan.core.text import counted
from wavegan.data.source import rates
from wavegan.training.presets import FAMILIES, recipe_text

PREPARE = '''"""NAME: recordings in a folder, RATE Hz.

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
Written by `wavegan recipe new`. Describe here the speaker, the hours of speech and the terms of use.

```bash
wavegan recipe run FOLDER     # prepares, trains, evaluates; after an interruption, run it again
wavegan recipe run FOLDER --recipe spectral_large --data data/NAME-trimmed --trim --loudness -23
```
| recipe | description |
|---|---|
ROWS
`--from 2 --to 2` runs the second stage alone. Results: not yet run.
"""


def new_recipe(name: str, wavs: Path, sample_rate: int, output: Path) -> str:
    """Write ``output/name`` atomically; returns the next command.

    Raises:
        UserError: an invalid name, a folder without recordings, a rate without settings, or a recipe of this name.
    """
    if not re.fullmatch(r"\w[\w.-]*", name, re.ASCII):
        raise UserError(f"A recipe's name consists of letters, digits, _ . and -, got '{name}'.")
    folder = output / name
    if folder.exists():
        raise UserError(f"{folder} exists already. Choose another name, or remove it.")
    paths = audio.find(wavs)
    texts = {f"{family}.yaml": recipe_text(family, name, sample_rate) for family in FAMILIES}
    rows = "\n".join(f"| `{family}.yaml` | {description} |" for family, (_, description) in FAMILIES.items())
    texts |= {"prepare.py": PREPARE, "README.md": README.replace("ROWS", f"{rows}\n")}
    source = wavs.absolute().as_posix()
    if '"' in source or "\\" in source or not source.isprintable():
        raise UserError(f"{str(wavs)!a} has a character in its name that a script can't contain. Rename it.")
    values = {"WAVS": source, "NAME": name, "RATE": str(sample_rate), "FOLDER": folder.as_posix()}
    pattern = re.compile("|".join(map(re.escape, values)))  # in one pass: a path may contain NAME
    partial = output / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    for file, text in texts.items():
        filled = text if file.endswith(".yaml") else pattern.sub(lambda match: values[match[0]], text)
        (partial / file).write_text(filled, encoding="utf-8", newline="\n")
    partial.rename(folder)
    recordings = f"{counted(len(paths), 'recording')}{_lower_rates(paths, sample_rate)}"
    return f"{folder}: {recordings}. Continue with: wavegan recipe run {folder}"


def _lower_rates(paths: list[Path], sample_rate: int) -> str:
    """A warning if recordings have a lower rate than requested."""
    lower = {rate: count for rate, count in rates(paths).items() if rate < sample_rate}
    if not lower:
        return ""
    listed = ", ".join(f"{count} at {rate} Hz" for rate, count in sorted(lower.items()))
    return f", some of a lower rate, which lack the upper band of {sample_rate} Hz ({listed})"
