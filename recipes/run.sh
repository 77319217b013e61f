#!/usr/bin/env bash
# What every recipe's run.sh does: recipes/run.sh NAME "RECIPE ..." [options of recipes/NAME/prepare.py]
# Stage 1 prepares, 2 trains, 3 evaluates; `from=2 to=2` before the command does the second alone.
# Trains recipes/NAME/RECIPE.yaml one after the other: the last one in runs/NAME, those before in runs/NAME-RECIPE;
# `recipe=spectral_large` before the command trains that one instead, in runs/NAME-spectral_large.
# Interrupted, run it again: preparation goes on per file, training where it stopped. data/ and runs/ are made in the
# folder you stand in; what the evaluation writes to listen to is in the run's folder test.
set -euo pipefail
name=$1 recipes=(${recipe:-$2}) last=runs/$1${recipe:+-$recipe} && shift 2
folder=$(cd "$(dirname "$0")" && pwd)/$name data=${data:-data/$name} from=${from:-1} to=${to:-3}
wanted() { [ "$from" -le "$1" ] && [ "$1" -le "$to" ] && echo "stage $1: $2" >&2; }

if wanted 1 "prepare $data"; then
  python "$folder/prepare.py" "$@" --output "$data"
fi
if wanted 2 "train ${recipes[*]}"; then
  for each in "${recipes[@]}"; do
    run=runs/$name-$each
    [ "$each" = "${recipes[-1]}" ] && run=$last
    if compgen -G "$run/trainer*.pt" >/dev/null; then  # or the one before, if a save was cut short
      wavegan train --resume "$run"
    else
      wavegan train "$folder/$each.yaml" --run "$run"
    fi
  done
fi
if wanted 3 "evaluate $last"; then
  wavegan evaluate "$last" ${beside:-} --manifest "$data/test.jsonl" -o "$last/test"
fi
