"""The mel conventions of the field's packages by name, as fields of ``LogMelConfig``."""

from __future__ import annotations

from wavegan.core.errors import did_you_mean

_HIFIGAN = {"sample_rate": 22050, "n_fft": 1024, "hop_length": 256, "n_mels": 80, "fmax": 8000.0, "padding": "same"}
_VOCOS = {"mel_scale": "htk", "mel_norm": "none", "floor": 1e-7}
# The defaults of each package, in the sizes of its best-known model. ParallelWaveGAN also standardises each band with
# the statistics of a corpus.
CONVENTIONS: dict[str, dict] = {
    "hifigan": _HIFIGAN | {"epsilon": 1e-9},
    "bigvgan": _HIFIGAN | {"sample_rate": 24000, "n_mels": 100, "fmax": None, "epsilon": 1e-9},
    "vocos": {"sample_rate": 24000, "n_fft": 1024, "hop_length": 256, "n_mels": 100, **_VOCOS},
    "parallel_wavegan": _HIFIGAN | {"fmin": 80.0, "fmax": 7600.0, "padding": "center", "log": "log10", "floor": 1e-10},
    "nemo": _HIFIGAN | {"window": "hann_symmetric"},
    # 20 log10, less 20 dB, then -100 ... 0 dB mapped to -4 ... 4 and clipped there
    "coqui": _HIFIGAN
    | {"fmax": None, "padding": "center", "log": "log10", "floor": 1e-4, "mean": [-1.5] * 80, "std": [0.625] * 80},
}


def fields_of(name: str) -> dict:
    """Return the fields of a convention; ValueError if there is none of this name."""
    if name not in CONVENTIONS:
        raise ValueError(
            f"No mel convention '{name}'. There are: {', '.join(CONVENTIONS)}.{did_you_mean(name, CONVENTIONS)}"
        )
    return CONVENTIONS[name]
