#!/usr/bin/env bash
# JSUT -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/jsut/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" jsut "$@"
