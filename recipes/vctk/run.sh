#!/usr/bin/env bash
# VCTK -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/vctk/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" vctk "$@"
