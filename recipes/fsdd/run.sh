#!/usr/bin/env bash
# From nothing to a generator of spoken digits: recipes/fsdd/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" fsdd "$@"
