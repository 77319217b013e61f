"""Sort Debian's drum kits into class folders by the names of the clips: a corpus to try this recipe with.

apt-get download hydrogen-drumkits && dpkg-deb -x hydrogen-drumkits_*.deb drumkits
python recipes/labelled_folder/drums.py drumkits clips
wavegan recipe run recipes/labelled_folder --wavs clips --mixed
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections import Counter
from pathlib import Path

from wavegan.audio import find
from wavegan.errors import reported

CLASSES = {
    "kick": re.compile("kick|^bd", re.I),
    "snare": re.compile("snare|^sd", re.I),
    "hat": re.compile("hat|^hh", re.I),
    "tom": re.compile("tom|^ft", re.I),
    "cymbal": re.compile("crash|ride|^rd", re.I),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("kits", type=Path)
    parser.add_argument("clips", type=Path)
    options = parser.parse_args()
    counts: Counter[str] = Counter()
    for path in find(options.kits):
        names = [name for name, pattern in CLASSES.items() if pattern.search(path.stem)]
        if len(names) == 1:  # a "ride tom" is neither
            target = options.clips / names[0] / f"{path.parent.name} {path.name}"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
            counts[names[0]] += 1
    print(", ".join(f"{count} {name}" for name, count in counts.items()))


if __name__ == "__main__":
    with reported():
        main()
