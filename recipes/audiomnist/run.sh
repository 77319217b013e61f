#!/usr/bin/env bash
# AudioMNIST at 16 kHz -> a generator of spoken digits: recipes/audiomnist/run.sh [options of prepare.py]
data=data/audiomnist_16k exec "$(dirname "$0")/../run.sh" audiomnist "vocoder frames digits" --sample-rate 16000 "$@"
