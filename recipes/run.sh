#!/usr/bin/env bash
# Shared by the run.sh of all recipes: wavegan recipe run FOLDER [options of prepare.py] [KEY=VALUE of the training].
# Options of `wavegan recipe run` are variables: from=2 to=2 recipe=spectral_large data=DIR beside=MODEL recipes/run.sh NAME
set -euo pipefail
folder=$(dirname "$0")
if [ ! -f "$folder/prepare.py" ]; then  # not a copy inside of a recipe's folder: the first argument is its name
  folder=$folder/$1
  shift
fi
options=()
for option in from to recipe data beside; do
  if [ -n "${!option:-}" ]; then options+=("--$option" "${!option}"); fi
done
exec wavegan recipe run "$folder" ${options[@]+"${options[@]}"} "$@"
