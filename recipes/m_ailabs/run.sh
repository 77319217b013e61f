#!/usr/bin/env bash
# M-AILABS -> a vocoder, in numbered stages: [recipe=spectral_large] recipes/m_ailabs/run.sh [options of prepare.py]
exec "$(dirname "$0")/../run.sh" m_ailabs "$@"
