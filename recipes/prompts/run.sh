#!/usr/bin/env bash
# From nothing to a 16 kHz vocoder on the Asterisk prompts: recipes/prompts/run.sh [options of prepare.py]
# Interrupted, run it again: it goes on where it stopped. Needs ffmpeg; the copies to listen to are in
# runs/prompts/test/index.html.
# data/ and runs/ are made in the folder you stand in.
set -euo pipefail
recipes=$(cd "$(dirname "$0")/.." && pwd)
python "$recipes/prompts/prepare.py" "$@" --output data/prompts
if [ -e runs/prompts/trainer.pt ]; then
  wavegan train --resume runs/prompts
else
  wavegan train "$recipes/prompts/quarter_hour.yaml" --run runs/prompts
fi
wavegan evaluate runs/prompts vocoder-16k --manifest data/prompts/test.jsonl -o runs/prompts/test
