"""Naturalness and intelligibility without a reference recording."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from wavegan.metrics.base import Metric, Options, Sound, Undefined, at_least, seeded
from wavegan.metrics.recognizer import Recognizer, words

MOS_RATE = 16000


class DNSMOS(Metric):
    """DNSMOS P.835, overall quality, 1 to 5, without a reference (Reddy 2022, arXiv 2110.01763); the model in the
    package speechmos, at 16 kHz, on windows of 9.01 s every second; shorter sounds are repeated. Mean over files.
    """

    name, better, package, needs_reference = "dnsmos", "higher", "speechmos", False
    key = "ovrl_mos"

    def score(self, real: Sound | None, fake: Sound) -> float:
        return float(fake.once(dnsmos_scores)[self.key])


class DNSMOSSignal(DNSMOS):
    """DNSMOS P.835, quality of the speech itself; otherwise as dnsmos."""

    name, key = "dnsmos_sig", "sig_mos"


class DNSMOSBackground(DNSMOS):
    """DNSMOS P.835, freedom from background noise; otherwise as dnsmos."""

    name, key = "dnsmos_bak", "bak_mos"


class PLCMOS(Metric):
    """PLCMOS v2, quality of speech with lost packets concealed, 1 to 5, without a reference (Diener 2023, arXiv
    2305.15127); the model in the package speechmos, at 16 kHz, the mean of 15 raters drawn from one seed. It hardly
    distinguishes vocoders. Mean over files.
    """

    name, better, package, needs_reference = "plcmos", "higher", "speechmos", False

    def score(self, real: Sound | None, fake: Sound) -> float:
        with seeded():
            return float(_plcmos().get_mos(_samples(fake)))


def dnsmos_scores(sound: Sound) -> dict[str, float]:
    return _dnsmos()(_samples(sound), MOS_RATE, is_personalized_MOS=False)


@functools.cache
def _dnsmos():  # noqa: ANN202
    import speechmos
    from speechmos.dnsmos import DNSMOS as Model

    folder = Path(speechmos.__file__).parent / "dnsmos_models"
    paths = [folder / name for name in ("sig_bak_ovr.onnx", "model_v8.onnx")]
    model = Model(*map(str, paths))
    model.onnx_sess, model.p808_onnx_sess = map(_session, paths)
    return model


@functools.cache
def _plcmos():  # noqa: ANN202
    from speechmos.plcmos import PLCMOS as Model

    model = Model()
    model.session = _session(Path(model.model_path))
    return model


def _session(path: Path):  # noqa: ANN202
    """An onnxruntime session with as many threads as PyTorch; speechmos takes all cores in each process."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    return onnxruntime.InferenceSession(str(path), options)


def _samples(sound: Sound) -> np.ndarray:
    if sound.silent:
        raise Undefined("the output is silent")
    at_least(sound.at(MOS_RATE), MOS_RATE // 10, MOS_RATE)
    return np.asarray(sound.at(MOS_RATE).clamp(-1, 1), np.float32)


class WordErrorRate(Metric):
    """Word error rate: substitutions, deletions and insertions as a share of the words of the transcripts, over all
    files. The hypothesis is pocketsphinx's best, with its English model and a grammar of any sequence of the words in
    the transcripts of the evaluation; of any one of them if each transcript is one word. Numbers are read digit by
    digit. The hypothesis for silence is empty; pocketsphinx itself takes it for a short word. Undefined without a
    transcript and for words that pocketsphinx doesn't know.
    """

    name, better, package, needs_reference = "wer", "lower", "pocketsphinx", False
    version = 2

    def __init__(self, vocabulary: Sequence[str] = (), one_word: bool = False):
        super().__init__()
        self.vocabulary, self.one_word = tuple(sorted(set(vocabulary))), one_word

    @classmethod
    def of(cls, options: Options) -> WordErrorRate:
        transcripts = [words(text) for text in options.transcripts]
        vocabulary = [word for transcript in transcripts for word in transcript]
        return cls(vocabulary, one_word=max(map(len, transcripts), default=0) <= 1)

    @property
    def settings(self) -> str:
        grammar = " ".join([*self.vocabulary, "once"] if self.one_word else self.vocabulary)
        return hashlib.sha256(grammar.encode("utf-8", "backslashreplace")).hexdigest()[:8]

    def parts(self, real: Sound | None, fake: Sound) -> tuple[float, ...]:
        transcript = words(fake.text or "")
        if not transcript:
            raise Undefined("there is no transcript")
        if unknown := [word for word in transcript if word not in self.recognizer.known]:
            raise Undefined(f"pocketsphinx doesn't know the word '{unknown[0]}'")
        hypothesis = self.recognizer.recognize(fake.waveform, fake.sample_rate)
        return float(edits(transcript, hypothesis)), float(len(transcript))

    @cached_property
    def recognizer(self) -> Recognizer:
        return Recognizer(self.vocabulary, "({})" if self.one_word else "({})+")


def edits(reference: Sequence[str], hypothesis: Sequence[str]) -> int:
    """Levenshtein distance: the fewest substitutions, deletions and insertions between two sequences."""
    row = list(range(len(hypothesis) + 1))
    for i, word in enumerate(reference, start=1):
        diagonal, row[0] = row[0], i
        for j, other in enumerate(hypothesis, start=1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (word != other))
    return row[-1]
