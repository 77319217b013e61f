"""Vocoder: a recording to its mel and back to speech, unchanged or with another pitch and speed."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import cache
import gradio as gr
import numpy as np
import pictures
import torch
from stage import LONG, SHORT, Stage, picture, sound

from wavegan import Synthesizer, audio, metrics
from wavegan.audio.mel_effects import shift_bands, stretch_frames

EXAMPLES = {path.stem: path for path in sorted((Path(__file__).parent / "examples").glob("*.flac"))}


def build(stage: Stage) -> None:
    gr.Markdown(
        "A mel spectrogram keeps the level of each frequency band and loses the phase. A vocoder turns it back into "
        "speech. Is the copy still the same voice?"
    )
    names = stage.names("mel")
    with gr.Row():
        with gr.Column(min_width=300):
            recording = cache.player(
                "Recording", type="filepath", sources=["upload", "microphone"], elem_id="recording", buttons=[]
            )
            limits = stage.limits
            gr.Markdown(f"wav, flac, ogg or mp3; at most {limits.seconds:g} s and {limits.megabytes:g} MB.")
            choice = gr.Dropdown([*EXAMPLES], value=None, label="Or an example", elem_id="example")
            model = gr.Dropdown(names, value=_first(names), label="Model")
            semitones = gr.Slider(-12, 12, 0, step=1, label="Pitch", info="semitones; shifts the formants, too")
            speed = gr.Slider(0.5, 2, 1, step=0.05, label="Speed", info="times as fast; keeps the pitch")
            button = gr.Button("Copy", variant="primary", elem_id="copy")
        with gr.Column(min_width=300):
            original = cache.player("Recording, at the model's sample rate", interactive=False, buttons=[])
            made = cache.player(
                "Copy", interactive=False, format="wav", buttons=["download"], elem_id="copy-sound", autoplay=True
            )
            measures = gr.Markdown(elem_id="measures")
    text = "Spectrograms of recording and copy, and their difference"
    image = gr.Image(label=text, alt_text=text, **pictures.SHOWN)
    choice.input(stage.endpoint(example), [choice], [recording], api_name="example", **SHORT)
    inputs, outputs = [model, recording, semitones, speed], [original, made, image, measures]
    button.click(stage.endpoint(_copy_function(stage)), inputs, outputs, api_name="vocode", **LONG)
    gr.Markdown(
        "A shift of the pitch shifts the formants with it: a child, a giant. A change of speed interpolates between "
        "frames: steady vowels survive it, sharp consonants smear. The model saw no such mels in training."
    )


def example(name: str, request: gr.Request):  # noqa: ANN201
    """One of the examples that come with the demo, as it was recorded."""
    return sound(*audio.read(EXAMPLES[name]))


def _copy_function(stage: Stage) -> Callable:
    def copy(  # noqa: ANN202
        model: str,
        recording: str,
        semitones: float,
        speed: float,
        request: gr.Request,
        progress=gr.Progress(),  # noqa: ANN001, B008
    ):
        """Turn a recording into a mel, optionally change its pitch and speed, and turn it back into speech.

        Returns the recording at the model's sample rate, the copy, their spectrograms and a table of metrics.
        """
        synthesizer = stage.models[model]
        progress(0.1, "Reading the recording")
        real = stage.recording(recording, synthesizer.sample_rate)
        stage.charge(request, len(real) / synthesizer.sample_rate / 2)  # a minute counts as thirty requests more
        progress(0.3, "Vocoding")
        start = time.perf_counter()
        fake = speak(synthesizer, real, semitones, speed)
        elapsed = time.perf_counter() - start
        progress(0.6, "Comparing")
        alike = not semitones and speed == 1
        scores = metrics.copy_quality(real, torch.from_numpy(fake), synthesizer.sample_rate) if alike else {}
        clips = {"recording": real.numpy(), "copy": fake}
        drawn = pictures.spectrograms(clips, synthesizer.sample_rate, difference=alike)
        both = (sound(clip, synthesizer.sample_rate) for clip in clips.values())
        return *both, picture(drawn), table(scores, len(fake) / synthesizer.sample_rate / elapsed)

    return copy


def speak(model: Synthesizer, waveform: torch.Tensor, semitones: float, speed: float) -> np.ndarray:
    """A recording (T,) to its mel and back to speech; without changes it keeps its length."""
    if not semitones and speed == 1:
        return model.vocode(waveform)
    mel = shift_bands(model.mel(waveform), model.features, semitones)
    return model.vocode(stretch_frames(mel[None], speed)[0], features=model.features)


def table(scores: dict[str, float], times_real_time: float) -> str:
    """Metrics of a copy as Markdown; ``scores``: of ``metrics.copy_quality``, or {}."""
    meanings = {
        "pesq": ("PESQ", "1 to 4.64; about 3 on a telephone"),
        "estoi": ("ESTOI", "intelligibility, up to 1; needs half a second of speech"),
        "mel_l1": ("Mel distance", "nepers; 0 for equal mels"),
    }
    shown = {key: "undefined" if np.isnan(scores[key]) else f"{scores[key]:.3f}" for key in scores}
    rows = [(*meanings[key], shown[key]) for key in meanings if key in shown]
    rows.append(("Speed", "times real time", f"{times_real_time:.3g}"))
    lines = ["| metric | value |", "|---|---|"]
    lines += [f"| **{name}**: {meaning} | {value} |" for name, meaning, value in rows]
    if not scores:
        lines.append("\nMetrics need a recording of the same pitch and speed.")
    return "\n".join(lines)


def _first(names: list[str]) -> str:
    return "vocoder-16k" if "vocoder-16k" in names else names[0]
