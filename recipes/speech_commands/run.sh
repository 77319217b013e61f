#!/usr/bin/env bash
# Speech Commands -> a generator of its 35 words: recipes/speech_commands/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" speech_commands "$@"
