#!/usr/bin/env bash
# AudioMNIST at 16 kHz -> a generator of spoken digits: recipes/audiomnist/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" audiomnist "$@"
