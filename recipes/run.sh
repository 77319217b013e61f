#!/usr/bin/env bash
# What every recipe's run.sh does: recipes/run.sh NAME "STAGE ..." [options of recipes/NAME/prepare.py]
# Trains recipes/NAME/STAGE.yaml one after the other: the last one in runs/NAME, those before in runs/NAME-STAGE.
# Interrupted, run it again: preparation goes on per file, training where it stopped. data/ and runs/ are made in the
# folder you stand in; what the evaluation writes to listen to is in runs/NAME/test.
set -euo pipefail
name=$1 stages=($2) && shift 2
recipe=$(cd "$(dirname "$0")" && pwd)/$name
python "$recipe/prepare.py" "$@" --output "data/$name"
for stage in "${stages[@]}"; do
  run=runs/$name-$stage
  [ "$stage" = "${stages[-1]}" ] && run=runs/$name
  if compgen -G "$run/trainer*.pt" >/dev/null; then  # or the one before, if a save was cut short
    wavegan train --resume "$run"
  else
    wavegan train "$recipe/$stage.yaml" --run "$run"
  fi
done
wavegan evaluate "runs/$name" ${beside:-} --manifest "data/$name/test.jsonl" -o "runs/$name/test"
