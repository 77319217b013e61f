#!/usr/bin/env bash
# LJ Speech -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/ljspeech/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" ljspeech "$@"
