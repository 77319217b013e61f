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
from wavegan.metrics.base import require

LISTENER_RATE = 16000  # of pocketsphinx's English model


def words(text: str) -> list[str]:
    """'Room 42, please!' -> ['room', 'four', 'two', 'please']."""
    text = text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'")
    return [spoken(word) for word in re.findall(r"\d|[^\W\d_]+(?:'[^\W\d_]+)*", text)]


def spoken(label: str) -> str:
    """The word for a label: '7' -> 'seven'; other labels in lower case."""
    return DIGITS[int(label)] if label.isdecimal() and len(label) == 1 else label.lower()


def use_grammar(decoder, rule: str) -> None:  # noqa: ANN001
    """Restrict a pocketsphinx decoder to a rule in JSGF, such as "one | two"."""
    decoder.add_jsgf_string("words", f"#JSGF V1.0;\ngrammar words;\npublic <text> = {rule};\n")
    decoder.activate_search("words")


def recognize(decoder, waveform: Tensor, sample_rate: int) -> str:  # noqa: ANN001
    """The hypothesis of a pocketsphinx decoder for a waveform (T,), independent of earlier ones."""
    decoder.reinit_feat()  # forgets the noise estimate of the last waveform
    decoder.start_utt()
    decoder.process_raw(pcm(waveform, sample_rate), full_utt=True)
    decoder.end_utt()
    hypothesis = decoder.hyp()
    return hypothesis.hypstr if hypothesis else ""


def pcm(waveform: Tensor, sample_rate: int) -> bytes:
    """A waveform (T,) as pocketsphinx expects it: at half of full scale, with 0.2 s of silence around it."""
    waveform = 0.5 * waveform / waveform.abs().max()
    waveform = resample(F.pad(waveform, (sample_rate // 5, sample_rate // 5)), sample_rate, LISTENER_RATE)
    return (np.asarray(waveform.clamp(-1, 1)) * 32767).astype(np.int16).tobytes()


class Listener:
    """pocketsphinx with a grammar of the labels: a recogniser that is independent of the corpus.

    Raises:
        UserError: the ``metrics`` extra isn't installed, or a label isn't in its English dictionary.
    """

    def __init__(self, labels: Sequence[str]):
        require("pocketsphinx")
        from pocketsphinx import Decoder

        self.words = [spoken(label) for label in labels]
        self.decoder = Decoder(samprate=LISTENER_RATE, loglevel="FATAL")
        if unknown := [word for word in self.words if self.decoder.lookup_word(word) is None]:
            raise UserError(f"pocketsphinx doesn't know the words {', '.join(unknown)}.")
        use_grammar(self.decoder, " | ".join(self.words))

    def recognize(self, waveform: Tensor, sample_rate: int) -> int | None:
        """The index of the recognised label, or None; for silence None, not the shortest word."""
        if float(waveform.abs().max()) < 1e-3:
            return None
        word = recognize(self.decoder, waveform, sample_rate)
        return self.words.index(word) if word in self.words else None
