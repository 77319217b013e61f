#!/usr/bin/env bash
# From nothing to a 16 kHz vocoder on the Asterisk prompts: recipes/prompts/run.sh [options of prepare.py]
# Needs ffmpeg.
exec "$(dirname "$0")/../run.sh" prompts "$@"
