"""Speech recognition by pocketsphinx."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from wavegan.audio.resample import resample
from wavegan.core.errors import UserError
from wavegan.core.text import DIGITS

LISTENER_RATE = 16000  # of pocketsphinx's English model


def words(text: str) -> list[str]:
    """'Room 42, please!' -> ['room', 'four', 'two', 'please']."""
    pass  # which itself needs this module

    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return [spoken(word) for word in re.findall(r"\d|[^\W\d_]+(?:'[^\W\d_]+)*", text)]


def hear(decoder, waveform: Tensor, sample_rate: int) -> str:  # noqa: ANN001
    """What pocketsphinx's decoder takes a waveform (T,) for, whatever it heard before."""
    decoder.reinit_feat()  # it would go on with what it knows of the noise in the last one
    decoder.start_utt()
    decoder.process_raw(pcm(waveform, sample_rate), full_utt=True)
    decoder.end_utt()
    heard = decoder.hyp()
    return heard.hypstr if heard else ""


def pcm(waveform: Tensor, sample_rate: int) -> bytes:
    """A waveform (T,) as pocketsphinx takes it: at half of full scale, with 0.2 s of silence around it."""
    waveform = 0.5 * waveform / waveform.abs().max()
    waveform = resample(F.pad(waveform, (sample_rate // 5, sample_rate // 5)), sample_rate, LISTENER_RATE)
    return (np.asarray(waveform.clamp(-1, 1)) * 32767).astype(np.int16).tobytes()


def spoken(label: str) -> str:
    """What is said for a label: '7' -> 'seven', other labels as they are."""
    return DIGITS[int(label)] if label.isdecimal() and len(label) == 1 else label.lower()


class Listener:
    """pocketsphinx with a grammar of the labels: an independent recogniser that never saw the corpus.

    Raises:
        UserError: the ``metrics`` extra isn't installed, or a label isn't in its English dictionary.
    """

    def __init__(self, labels: Sequence[str]):
        try:
            from pocketsphinx import Decoder
        except ImportError:
            raise UserError("This metric needs the package 'pocketsphinx': pip install 'wavegan[metrics]'.") from None
        self.words = [spoken(label) for label in labels]
        self.decoder = Decoder(samprate=LISTENER_RATE, loglevel="FATAL")
        if unknown := [word for word in self.words if self.decoder.lookup_word(word) is None]:
            raise UserError(f"pocketsphinx doesn't know the words {', '.join(unknown)}.")
        grammar = f"#JSGF V1.0;\ngrammar words;\npublic <word> = {' | '.join(self.words)};\n"
        self.decoder.add_jsgf_string("words", grammar)
        self.decoder.activate_search("words")

    def hear(self, waveform: Tensor, sample_rate: int) -> int | None:
        """The place of the heard label in ``labels``, or None; silence is None, not the shortest word."""
        if float(waveform.abs().max()) < 1e-3:
            return None
        heard = hear(self.decoder, waveform, sample_rate)
        return self.words.index(heard) if heard in self.words else None
