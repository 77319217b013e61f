"""Speech recognition by pocketsphinx."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np
from torch import Tensor
from torch.nn import functional as F

from wavegan import audio
from wavegan.audio.resample import resample
from wavegan.core.text import DIGITS
from wavegan.metrics.base import require

RECOGNIZER_RATE = 16000  # of pocketsphinx's English model


def words(text: str) -> list[str]:
    """'Room 42, please!' -> ['room', 'four', 'two', 'please']."""
    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return [spoken(word) for word in re.findall(r"\d|[^\W\d_]+(?:'[^\W\d_]+)*", text)]


def spoken(label: str) -> str:
    """The word for a label: '7' -> 'seven'; other labels in lower case."""
    return DIGITS[int(label)] if label.isdecimal() and len(label) == 1 else label.lower()


class Recognizer:
    """pocketsphinx, independent of any corpus, with a grammar of the words.

    ``rule``: in JSGF, where {} are the words as alternatives. Parentheses around it change the result: some words are
    no longer recognised. ``known``: the words in pocketsphinx's English dictionary, to which the grammar is limited.

    Raises:
        UserError: the ``metrics`` extra isn't installed.
    """

    def __init__(self, vocabulary: Sequence[str], rule: str = "{}"):
        require("pocketsphinx")
        from pocketsphinx import Decoder

        self.decoder = Decoder(samprate=RECOGNIZER_RATE, loglevel="FATAL", lm=None)
        self.known = {word: None for word in vocabulary if self.decoder.lookup_word(word) is not None}
        if self.known:
            rule = rule.format(" | ".join(self.known))
            self.decoder.add_jsgf_string("words", f"#JSGF V1.0;\ngrammar words;\npublic <text> = {rule};\n")
            self.decoder.activate_search("words")

    def recognize(self, waveform: Tensor, sample_rate: int) -> list[str]:
        """The words in a waveform (T,), whatever came before; [] for silence, which the decoder takes for a word."""
        if not len(waveform) or float(waveform.abs().max()) < audio.SILENCE:
            return []
        self.decoder.reinit_feat()  # forgets the noise estimate of the last waveform
        self.decoder.start_utt()
        self.decoder.process_raw(_pcm(waveform, sample_rate), full_utt=True)
        self.decoder.end_utt()
        hypothesis = self.decoder.hyp()
        return hypothesis.hypstr.split() if hypothesis else []


def _pcm(waveform: Tensor, sample_rate: int) -> bytes:
    """A waveform (T,) as pocketsphinx expects it: at half of full scale, with 0.2 s of silence around it."""
    waveform = 0.5 * waveform / waveform.abs().max()
    waveform = resample(F.pad(waveform, (sample_rate // 5, sample_rate // 5)), sample_rate, RECOGNIZER_RATE)
    return (np.asarray(waveform.clamp(-1, 1)) * 32767).astype(np.int16).tobytes()
