#!/usr/bin/env bash
# What every recipe's run.sh does: wavegan recipe run recipes/NAME [options of recipes/NAME/prepare.py], whose own options
# may stand before it: from=2 to=2 recipe=spectral_large data=DIR beside=MODEL recipes/run.sh NAME
set -euo pipefail
options=()
for option in from to recipe data beside; do
  if [ -n "${!option:-}" ]; then options+=("--$option" "${!option}"); fi
done
exec wavegan recipe run "$(dirname "$0")/$1" ${options[@]+"${options[@]}"} "${@:2}"
