#!/usr/bin/env bash
# Your recordings -> a vocoder of that voice: recipes/folder/run.sh --wavs DIR [more options of prepare.py]
# Interrupted, run it again: preparation goes on per file, training with `wavegan train --resume runs/folder`.
# data/ and runs/ are made in the folder you stand in.
set -euo pipefail
recipes=$(cd "$(dirname "$0")/.." && pwd)
python "$recipes/folder/prepare.py" "$@" --output data/folder
if [ -e runs/folder/trainer.pt ]; then
  wavegan train --resume runs/folder
else
  wavegan train "$recipes/folder/quarter_hour.yaml" --run runs/folder
fi
wavegan evaluate runs/folder vocoder-16k --manifest data/folder/test.jsonl -o runs/folder/test
