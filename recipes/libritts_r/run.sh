#!/usr/bin/env bash
# LibriTTS-R -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/libritts_r/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" libritts_r "$@"
