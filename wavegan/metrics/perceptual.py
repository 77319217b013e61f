"""Models of perception with a reference: PESQ, STOI, speaker similarity.

Shapes: T samples, F frames, M mel bands.
"""

from __future__ import annotations

import functools
import importlib.util
import threading
import warnings
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from wavegan.audio.log_mel import LogMelConfig, mel_filterbank
from wavegan.core.tensors import load_safely
from wavegan.metrics.base import Metric, Sound, Undefined, at_least, seeded

PESQ_RATE = 16000
PESQ_PIECE_SECONDS = 15
_WARNINGS = threading.Lock()  # warning filters are global to the process


class PESQ(Metric):
    """Wideband PESQ, ITU-T P.862.2: MOS-LQO at 16 kHz, 1.04 to 4.64; the code of the package pesq. Mean over files.

    Recordings of more than 22.5 s are scored in equal pieces of about 15 s and averaged: the reference code crashes
    the process beyond 50 utterances (its issue 15). A piece without speech in the reference doesn't count; one where
    only the output has none gets the lowest score. Both sounds are first scaled by the larger peak, as in the package.
    Undefined for silence and below 0.25 s.
    """

    name, better, package = "pesq", "higher", "pesq"
    rate, mode, lowest = PESQ_RATE, "wb", 1.0427
    version = 2

    def score(self, real: Sound, fake: Sound) -> float:
        pair = real.at(self.rate), fake.at(self.rate)
        at_least(pair[0], self.rate // 4, self.rate)
        if fake.silent:
            raise Undefined("the output is silent")
        count = max(1, round(len(pair[0]) / (PESQ_PIECE_SECONDS * self.rate)))
        scores = []
        for r, f in zip(*(waveform.tensor_split(count) for waveform in pair), strict=True):
            score = self._package_score(r, f)
            if score is None and self._package_score(r, r) is not None:
                score = self.lowest
            if score is not None:
                scores.append(score)
        if not scores:
            raise Undefined("PESQ finds no speech in it")
        return float(np.mean(scores))

    def _package_score(self, real: Tensor, fake: Tensor) -> float | None:
        """The package's score, or None where it finds no speech."""
        from pesq import PesqError, pesq

        if not (real.any() or fake.any()):  # the package would divide by 0
            return None
        try:
            return float(pesq(self.rate, np.asarray(real), np.asarray(fake), self.mode))
        except (PesqError, ValueError):  # silence raises ValueError inside the package
            return None


class NarrowbandPESQ(PESQ):
    """Narrowband PESQ, ITU-T P.862 with the mapping of P.862.1: MOS-LQO at 8 kHz, 1.02 to 4.55; otherwise as pesq."""

    name = "pesq_nb"
    rate, mode, lowest = 8000, "nb", 1.0168


class STOI(Metric):
    """Short-time objective intelligibility, 0 to 1 (Taal 2011, IEEE TASLP 19(7)); the code of pystoi. Mean over files.

    At 10 kHz, without frames 40 dB below the loudest; undefined if fewer than 30 frames (0.4 s) remain.
    """

    name, better = "stoi", "higher"
    extended = False

    def score(self, real: Sound, fake: Sound) -> float:
        from pystoi import stoi

        pair = [np.asarray(sound.waveform) for sound in (real, fake)]
        with _WARNINGS, seeded(), warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # pystoi warns and returns 1e-5 when it has too few frames
            try:
                return float(stoi(*pair, real.sample_rate, extended=self.extended))
            except (RuntimeWarning, ValueError):
                raise Undefined("it has less than 0.4 s of speech") from None


class ESTOI(STOI):
    """Extended STOI, 0 to 1 (Jensen and Taal 2016, IEEE/ACM TASLP 24(11)); otherwise as stoi."""

    name, extended = "estoi", True


class SpeakerSimilarity(Metric):
    """Cosine of the voice embeddings of output and reference, up to 1 (Wan 2018, arXiv 1710.10467). Mean over files.

    With the weights of the package resemblyzer: a three-layer LSTM over the mels of 1.6 s, every 0.77 s, whose
    embeddings are averaged. As in the package, sounds below -30 dB are amplified to it; unlike there, silence isn't cut
    out, and a remainder that doesn't fill 1.6 s is ignored. Undefined below 0.5 s.
    """

    name, better, package, extra = "speaker_similarity", "higher", "resemblyzer", "speaker"

    def score(self, real: Sound, fake: Sound) -> float:
        at_least(real.at(VoiceEncoder.RATE), VoiceEncoder.RATE // 2, VoiceEncoder.RATE)
        if fake.silent:
            raise Undefined("the output is silent")
        encoder = _voice_encoder()
        return float(encoder(real.at(encoder.RATE)) @ encoder(fake.at(encoder.RATE)))


class VoiceEncoder(nn.Module):
    """Waveform (T,) at 16 kHz -> unit embedding (256,): the network of resemblyzer's weights."""

    RATE, FRAMES, STEP = 16000, 160, 77

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(40, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)
        features = LogMelConfig(sample_rate=self.RATE, n_fft=400, hop_length=160, n_mels=40, power=2)
        self.register_buffer("filterbank", mel_filterbank(features), persistent=False)

    def forward(self, waveform: Tensor) -> Tensor:
        level = waveform.square().mean().sqrt()
        waveform = waveform * (10 ** (-30 / 20) / level).clamp(min=1)
        spectrum = torch.stft(
            waveform, 400, 160, window=torch.hann_window(400), pad_mode="constant", return_complex=True
        )
        mel = spectrum.abs().square().T @ self.filterbank  # (F, M), not logarithmic
        missing = max(self.FRAMES - len(mel), 0)
        windows = nn.functional.pad(mel, (0, 0, 0, missing)).unfold(0, self.FRAMES, self.STEP).transpose(1, 2)
        hidden = self.lstm(windows)[1][0][-1]
        embeddings = nn.functional.normalize(self.linear(hidden).relu(), dim=1)
        return nn.functional.normalize(embeddings.mean(0), dim=0)


@functools.cache
def _voice_encoder() -> VoiceEncoder:
    spec = importlib.util.find_spec("resemblyzer")  # located, not imported: its imports fail with current setuptools
    encoder = VoiceEncoder()
    state = load_safely(Path(spec.origin).parent / "pretrained.pt", "can't be loaded")["model_state"]
    weights = {name: tensor for name, tensor in state.items() if name.split(".")[0] in ("lstm", "linear")}
    encoder.load_state_dict(weights)
    return encoder.eval()
