"""Write a manifest as a CutSet of Lhotse.

python recipes/lhotse/export.py data/ljspeech/train.jsonl cuts.jsonl.gz
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cuts

from wavegan import manifest
from wavegan.errors import reported

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("manifest", type=Path, help="manifest (.jsonl)")
    parser.add_argument("cuts", type=Path, help="CutSet to write (.jsonl or .jsonl.gz)")
    options = parser.parse_args()
    with reported():
        utterances = manifest.read(options.manifest)
        cuts.write(options.cuts, utterances)
        print(f"{options.cuts}: {len(utterances)} cuts")
