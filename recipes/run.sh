#!/usr/bin/env bash
# What every recipe's run.sh does: recipes/run.sh NAME [options of recipes/NAME/prepare.py]
# Interrupted, run it again: preparation goes on per file, training where it stopped. data/ and runs/ are made in the
# folder you stand in; the copies to listen to are in runs/NAME/test/index.html.
set -euo pipefail
name=$1 && shift
recipe=$(cd "$(dirname "$0")" && pwd)/$name
python "$recipe/prepare.py" "$@" --output "data/$name"
if [ -e "runs/$name/trainer.pt" ]; then
  wavegan train --resume "runs/$name"
else
  wavegan train "$recipe/quarter_hour.yaml" --run "runs/$name"
fi
wavegan evaluate "runs/$name" vocoder-16k --manifest "data/$name/test.jsonl" -o "runs/$name/test"
