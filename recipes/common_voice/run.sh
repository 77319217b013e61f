#!/usr/bin/env bash
# Common Voice -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/common_voice/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" common_voice "$@"
