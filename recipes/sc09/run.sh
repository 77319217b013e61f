#!/usr/bin/env bash
# From nothing to a generator of the ten digit words of Speech Commands: recipes/sc09/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" sc09 "$@"
