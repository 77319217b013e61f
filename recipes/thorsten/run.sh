#!/usr/bin/env bash
# Thorsten-Voice -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/thorsten/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" thorsten "$@"
