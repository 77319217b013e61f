"""Digits: numbers out of noise, the way between two latents, eight takes of one digit."""

from __future__ import annotations

import secrets
from collections.abc import Sequence

import gradio as gr
import numpy as np
import pictures
import torch
from stage import MODEL_QUEUE, Sound, Stage, sound

from wavegan import Synthesizer, UserError

ANY = "any voice"
TAKES = 8
MOST_WORDS = 32
MOST_SEED = 2**31 - 1


def build(stage: Stage) -> None:
    names = stage.names("generation")
    voices = [ANY, *_words(stage, names, "speaker")]
    labels = _words(stage, names, "label") or ["1"]

    def say(model: str, number: str, speaker: str, seed: int, truncation: float, request: gr.Request):  # noqa: ANN202
        """Speak a number, one digit after the other, out of noise.

        Returns the sound and a picture of it. The same model, number, voice, seed and truncation give the same sound.
        """
        synthesizer = stage.models[model]
        waveform = _say(synthesizer, number, None if speaker == ANY else speaker, seed, truncation)
        return _shown(synthesizer, waveform)

    def another_voice(model: str, number: str, truncation: float, request: gr.Request):  # noqa: ANN202
        """Speak a number with a new seed, and by whichever voice that seed draws. Returns the seed, the choice of
        voice, the sound and its picture.
        """
        seed = secrets.randbelow(MOST_SEED)
        synthesizer = stage.models[model]
        return seed, ANY, *_shown(synthesizer, _say(synthesizer, number, None, seed, truncation))

    def walk(model: str, label: str, speaker: str, start: int, end: int, position: float, request: gr.Request):  # noqa: ANN202
        """One clip on the way between the latents of two seeds: position 0 is the first, 1 the second."""
        synthesizer = stage.models[model]
        a, b = (synthesizer.latent(1, seed) for seed in (start, end))
        voice = _voice(synthesizer, speaker, start)
        z = between(a, b, position) if synthesizer.config.task.latent == "normal" else torch.lerp(a, b, position)
        return _shown(synthesizer, _clips(synthesizer, [label], voice, 0, 1.0, z)[0])

    def takes(model: str, label: str, speaker: str, seed: int, truncation: float, request: gr.Request):  # noqa: ANN202
        """Eight clips of one label from eight latents: the eight sounds, then the eight pictures."""
        synthesizer = stage.models[model]
        speakers = None if speaker == ANY else speaker
        clips = _clips(synthesizer, [label] * TAKES, speakers, seed, truncation)
        shown = [_shown(synthesizer, clip, size=(3, 2.4)) for clip in clips]
        return *(one[0] for one in shown), *(one[1] for one in shown)

    gr.Markdown("A generator makes each digit out of noise; nobody ever said what you hear.")
    model = gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1)
    with gr.Row():
        with gr.Column(min_width=300):
            hint = "digits, at most 32" if set(labels) >= set("0123456789") else "labels: " + " ".join(labels)
            number = gr.Textbox("8675309", label="Number", info=hint, max_length=200, elem_id="number")
            speaker = gr.Dropdown(voices, value=ANY, label="Voice")
            with gr.Row():
                seed = gr.Number(0, label="Seed", info="another seed is another take", precision=0, minimum=0)
                truncation = gr.Slider(0, 1, 1, step=0.05, label="Truncation", info="0: the most typical take")
            with gr.Row():
                speak = gr.Button("Speak", variant="primary", elem_id="speak")
                another = gr.Button("Another voice", elem_id="another")
        with gr.Column(min_width=300):
            heard = _audio("The number", autoplay=True, elem_id="number-sound")
            seen = _image("Waveform and mel spectrogram of the number")
    event = {"api_name": "digits", **MODEL_QUEUE}
    gr.on(
        [speak.click, number.submit],
        stage.endpoint(say),
        [model, number, speaker, seed, truncation],
        [heard, seen],
        **event,
    )
    event = {"api_name": "another_voice", **MODEL_QUEUE}
    another.click(stage.endpoint(another_voice), [model, number, truncation], [seed, speaker, heard, seen], **event)

    gr.Markdown("### From one take to another\nTwo seeds are two places in the latent space. Move between them.")
    with gr.Row():
        with gr.Column(min_width=300):
            with gr.Row():
                label = gr.Dropdown(labels, value=labels[-1], label="Digit", min_width=120)
                walker = gr.Dropdown(voices, value=ANY, label="Voice", min_width=120)
            with gr.Row():
                start = gr.Number(1, label="From seed", precision=0, minimum=0, min_width=120)
                end = gr.Number(2, label="To seed", precision=0, minimum=0, min_width=120)
            position = gr.Slider(0, 1, 0, step=0.05, label="Position", info="0: the first take, 1: the second")
        with gr.Column(min_width=300):
            heard = _audio("The take at this position", autoplay=True)
            seen = _image("Waveform and mel spectrogram of the take at this position")
    inputs = [model, label, walker, start, end, position]
    event = {"api_name": "walk", "trigger_mode": "always_last", "show_progress": "minimal", **MODEL_QUEUE}
    gr.on([position.release, label.input, walker.input], stage.endpoint(walk), inputs, [heard, seen], **event)

    gr.Markdown("### Eight takes\nThe same digit from eight latents, side by side.")
    with gr.Row():
        label = gr.Dropdown(labels, value=labels[-1], label="Digit", min_width=120)
        taker = gr.Dropdown(voices, value=ANY, label="Voice", min_width=120)
        seed = gr.Number(0, label="Seed", precision=0, minimum=0, min_width=120)
        truncation = gr.Slider(0, 1, 1, step=0.05, label="Truncation", min_width=160)
    take = gr.Button("Eight takes", elem_id="take")
    sounds, images = [], []
    for row in range(0, TAKES, 4):
        with gr.Row():
            for i in range(row, row + 4):
                with gr.Column(min_width=150):
                    sounds.append(_audio(f"Take {i + 1}"))
                    images.append(_image(f"Waveform and mel spectrogram of take {i + 1}"))
    inputs = [model, label, taker, seed, truncation]
    take.click(stage.endpoint(takes), inputs, [*sounds, *images], api_name="takes", **MODEL_QUEUE)


def between(a: torch.Tensor, b: torch.Tensor, position: float) -> torch.Tensor:
    """Spherical interpolation of normal latents (White 2016, arXiv 1609.04468): on a straight line they get shorter
    in the middle, which the generator takes for truncation.
    """
    angle = torch.arccos(torch.clamp((a / a.norm() * (b / b.norm())).sum(), -1, 1))
    if angle < 1e-4:
        return torch.lerp(a, b, position)
    return (torch.sin((1 - position) * angle) * a + torch.sin(position * angle) * b) / torch.sin(angle)


def _say(model: Synthesizer, number: str, speaker: str | None, seed: int, truncation: float) -> np.ndarray:
    """A number by a model of digits; by any other model, its labels one after the other."""
    options = {"speaker": speaker, "seed": seed, "truncation": truncation}
    labels = model.config.task.conditions.get("label", [])
    number = number or ""
    count = len(number.split()) if labels and labels[0].isalpha() else len("".join(number.split()))
    if count > MOST_WORDS:
        raise UserError(f"{count} at once are too many: give at most {MOST_WORDS}.")
    if set(labels) & set("0123456789"):
        return model.digits(number, **options)
    return _clips(model, number.split(), speaker, seed, truncation).reshape(-1)


def _clips(model: Synthesizer, labels: list[str], speaker: str | None, seed: int, truncation: float, z=None):  # noqa: ANN001, ANN202
    wanted = labels if "label" in model.config.task.conditions else len(labels)
    return model.generate(wanted, speaker=speaker, seed=seed, truncation=truncation, z=z)


def _voice(model: Synthesizer, speaker: str, seed: int) -> str | None:
    """The voice of a walk stays the same all the way."""
    known = model.config.task.conditions.get("speaker", [])
    return (known[seed % len(known)] if known else None) if speaker == ANY else speaker


def _words(stage: Stage, names: Sequence[str], condition: str) -> list[str]:
    """The vocabularies of the models, one after the other."""
    found = [word for name in names for word in stage.models[name].config.task.conditions.get(condition, [])]
    return list(dict.fromkeys(found))


def _shown(model: Synthesizer, waveform: np.ndarray, **options) -> tuple[Sound, object]:  # noqa: ANN003
    return sound(waveform, model.sample_rate), pictures.clip_picture(
        waveform, model.mel(waveform).numpy(), model.sample_rate, **options
    )


def _audio(label: str, **options) -> gr.Audio:  # noqa: ANN003
    return gr.Audio(label=label, interactive=False, format="wav", buttons=["download"], **options)


def _image(text: str) -> gr.Image:
    return gr.Image(label=text, alt_text=text, show_label=False, format="png", image_mode="RGBA", buttons=[])
