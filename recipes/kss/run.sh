#!/usr/bin/env bash
# KSS -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/kss/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" kss "$@"
