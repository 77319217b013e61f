#!/usr/bin/env bash
# Your recordings -> a vocoder of that voice: recipes/folder/run.sh --wavs DIR [more options of prepare.py]
exec "$(dirname "$0")/../run.sh" folder "$@"
