#!/usr/bin/env bash
# Hi-Fi TTS -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/hifitts/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" hifitts "$@"
