#!/usr/bin/env bash
# Your labelled clips -> a generator of such clips: recipes/labelled_folder/run.sh --wavs DIR [options of prepare.py]
exec "$(dirname "$0")/../run.sh" labelled_folder "$@"
