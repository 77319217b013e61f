"""Vocoder: a recording to its mel and back to speech, as it is or with pitch and speed changed in between."""

from __future__ import annotations

import time
from pathlib import Path

import cache
import gradio as gr
import numpy as np
import pictures
import torch
from stage import LONG, SHORT, Stage, picture, sound

from wavegan import Synthesizer, audio, metrics
from wavegan.audio.log_mel import shift_bands, stretch_frames

EXAMPLES = {path.stem: path for path in sorted((Path(__file__).parent / "examples").glob("*.flac"))}


def build(stage: Stage) -> None:
    names = stage.names("vocoder")

    def copy(  # noqa: ANN202
        model: str,
        recording: str,
        semitones: float,
        speed: float,
        request: gr.Request,
        progress=gr.Progress(),  # noqa: ANN001, B008
    ):
        """Make a recording's mel, change its pitch and speed if asked to, and speak it.

        Returns the recording at the model's sample rate, the copy, their spectrograms and a table of measures.
        """
        synthesizer = stage.models[model]
        progress(0.1, "Reading the recording")
        real = stage.recording(recording, synthesizer.sample_rate)
        stage.charge(request, len(real) / synthesizer.sample_rate / 2)  # a minute counts as thirty requests more
        progress(0.3, "Speaking")
        start = time.perf_counter()
        fake = speak(synthesizer, real, semitones, speed)
        elapsed = time.perf_counter() - start
        progress(0.6, "Comparing")
        alike = not semitones and speed == 1
        scores = metrics.copy_quality(real, torch.from_numpy(fake), synthesizer.sample_rate) if alike else {}
        clips = {"recording": real.numpy(), "copy": fake}
        seen = pictures.spectrograms(clips, synthesizer.sample_rate, difference=alike)
        both = (sound(clip, synthesizer.sample_rate) for clip in clips.values())
        return *both, picture(seen), table(scores, len(fake) / synthesizer.sample_rate / elapsed)

    def example(name: str, request: gr.Request):  # noqa: ANN202
        """One of the examples that come with the demo, as it was recorded."""
        return sound(*audio.read(EXAMPLES[name]))

    gr.Markdown(
        "A mel spectrogram keeps how loud each band of frequencies is, and loses the phase. A vocoder makes speech of "
        "it again. Is the copy still the same voice?"
    )
    with gr.Row():
        with gr.Column(min_width=300):
            recording = cache.player(
                "Recording", type="filepath", sources=["upload", "microphone"], elem_id="recording", buttons=[]
            )
            limits = stage.limits
            gr.Markdown(f"wav, flac, ogg or mp3; at most {limits.seconds:g} s and {limits.megabytes:g} MB.")
            choice = gr.Dropdown([*EXAMPLES], value=None, label="Or an example", elem_id="example")
            model = gr.Dropdown(names, value=_first(names), label="Model")
            semitones = gr.Slider(-12, 12, 0, step=1, label="Pitch", info="semitones; the whole voice moves")
            speed = gr.Slider(0.5, 2, 1, step=0.05, label="Speed", info="times as fast; the pitch stays")
            button = gr.Button("Copy", variant="primary", elem_id="copy")
        with gr.Column(min_width=300):
            original = cache.player("Recording, at the model's sample rate", interactive=False, buttons=[])
            made = cache.player(
                "Copy", interactive=False, format="wav", buttons=["download"], elem_id="copy-sound", autoplay=True
            )
            measures = gr.Markdown(elem_id="measures")
    text = "Spectrograms of recording and copy, and their difference"
    seen = gr.Image(label=text, alt_text=text, **pictures.SHOWN)
    choice.input(stage.endpoint(example), [choice], [recording], api_name="example", **SHORT)
    inputs = [model, recording, semitones, speed]
    button.click(stage.endpoint(copy), inputs, [original, made, seen, measures], api_name="vocode", **LONG)
    gr.Markdown(
        "Shifting moves the formants with the pitch: a child, a giant. Stretching repeats what lies between two "
        "frames: steady vowels survive it, sharp consonants smear. The model never heard such mels in training."
    )


def speak(model: Synthesizer, waveform: torch.Tensor, semitones: float, speed: float) -> np.ndarray:
    """A recording (T,) to speech by its mel; unchanged, it keeps its length."""
    if not semitones and speed == 1:
        return model.vocode(waveform)
    mel = shift_bands(model.mel(waveform), model.features, semitones)
    return model.vocode(stretch_frames(mel[None], speed)[0], features=model.features)


def table(scores: dict[str, float], times_real_time: float) -> str:
    """What the copy measures, as Markdown; ``scores`` are those of ``metrics.copy_quality``, or none."""
    meanings = {
        "pesq": ("PESQ", "1 to 4.64; a telephone has about 3"),
        "estoi": ("ESTOI", "up to 1: how much is understood; needs half a second of speech"),
        "mel_l1": ("Mel distance", "nepers; 0 is the same mel"),
    }
    shown = {key: "not defined here" if np.isnan(scores[key]) else f"{scores[key]:.3f}" for key in scores}
    rows = [(*meanings[key], shown[key]) for key in meanings if key in shown]
    rows.append(("Speed", "times real time", f"{times_real_time:.3g}"))
    lines = ["| measure | value |", "|---|---|"]
    lines += [f"| **{name}**: {meaning} | {value} |" for name, meaning, value in rows]
    if not scores:
        lines.append("\nPitch or speed was changed: there is no recording to compare with.")
    return "\n".join(lines)


def _first(names: list[str]) -> str:
    return "vocoder-16k" if "vocoder-16k" in names else names[0]
