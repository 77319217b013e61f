#!/usr/bin/env bash
# Opencpop -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/opencpop/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" opencpop "$@"
