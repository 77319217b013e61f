#!/usr/bin/env bash
# Open speech -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/open_speech/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" open_speech "$@"
