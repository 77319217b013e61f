#!/usr/bin/env bash
# LibriTTS -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/libritts/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" libritts "$@"
