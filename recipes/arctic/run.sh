#!/usr/bin/env bash
# CMU ARCTIC -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/arctic/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" arctic "$@"
