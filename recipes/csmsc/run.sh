#!/usr/bin/env bash
# CSMSC -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/csmsc/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" csmsc "$@"
