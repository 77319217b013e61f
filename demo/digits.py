"""Digits: numbers generated from noise, a path between two latents, eight takes of one digit."""

from __future__ import annotations

import secrets

import cache
import gradio as gr
import numpy as np
import pictures
import torch
from stage import SHORT, Stage, picture, sound

from wavegan import Synthesizer, UserError
from wavegan.core.text import DIGITS

ANY = "any voice"
TAKES = 8
MOST_WORDS = 32
MOST_SEED = 2**32 - 1


def build(stage: Stage) -> None:
    names = stage.names("latent")
    gr.Markdown("Each digit is generated from noise: nobody ever said what you hear.")
    first = stage.models[names[0]]
    model = gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1)
    dependent = [*_build_number(stage, model, first), *_build_walk(stage, model, first)]
    dependent += _build_takes(stage, model, first)

    def choices(name: str) -> list:
        chosen = stage.models[name]
        makers = {"Number": lambda chosen: gr.Textbox(info=_hint(chosen)), "Voice": _voices, "Digit": _labels}
        return [makers[component.label](chosen) for component in dependent]

    model.change(choices, [model], dependent, api_visibility="private", show_progress="hidden")


def _build_number(stage: Stage, model: gr.Dropdown, first: Synthesizer) -> list:
    """Build the section that speaks a number; returns the components that depend on the model, as do the next two."""

    def say(model: str, number: str, speaker: str, seed: int, truncation: float, request: gr.Request):  # noqa: ANN202
        """Generate a spoken number, digit by digit, from noise.

        Returns the sound and a picture of it. The same model, number, voice, seed and truncation give the same sound.
        """
        return _say(stage.models[model], number, speaker, seed, truncation)

    def another_voice(model: str, number: str, speaker: str, seed: int, truncation: float, request: gr.Request):  # noqa: ANN202
        """Generate a spoken number in another voice than that of the given speaker and seed. Returns the new seed, the
        selected voice, the sound and its picture.
        """
        synthesizer = stage.models[model]
        present, fresh = _voice(synthesizer, speaker, seed), secrets.randbelow(MOST_SEED)
        while len(_known(synthesizer, "speaker")) > 1 and synthesizer.speaker(fresh) == present:
            fresh = secrets.randbelow(MOST_SEED)
        return fresh, ANY, *_say(synthesizer, number, ANY, fresh, truncation)

    with gr.Row():
        with gr.Column(min_width=300):
            number = gr.Textbox("8675309", label="Number", info=_hint(first), max_length=200, elem_id="number")
            speaker = _voices(first)
            with gr.Row():
                seed = _seed(0, "Seed", info="each seed is another take")
                truncation = gr.Slider(0, 1, 1, step=0.05, label="Truncation", info="0: the most typical take")
            with gr.Row():
                speak = gr.Button("Speak", variant="primary", elem_id="speak")
                another = gr.Button("Another voice", elem_id="another")
        with gr.Column(min_width=300):
            audio = _audio("The number", autoplay=True, elem_id="number-sound")
            image = _image("Waveform and mel spectrogram of the number")
    inputs = [model, number, speaker, seed, truncation]
    gr.on([speak.click, number.submit], stage.endpoint(say), inputs, [audio, image], api_name="digits", **SHORT)
    changed = [seed, speaker, audio, image]
    another.click(stage.endpoint(another_voice), inputs, changed, api_name="another_voice", **SHORT)
    return [number, speaker]


def _build_walk(stage: Stage, model: gr.Dropdown, first: Synthesizer) -> list:
    def walk(model: str, label: str, speaker: str, start: int, end: int, position: float, request: gr.Request):  # noqa: ANN202
        """Generate a clip between the latents of two seeds, in one voice: position 0 is the first, 1 the second."""
        synthesizer = stage.models[model]
        a, b = (synthesizer.latent(1, seed) for seed in (start, end))
        z = between(a, b, position) if synthesizer.config.task.latent == "normal" else torch.lerp(a, b, position)
        return _shown(synthesizer, _clips(synthesizer, [label], speaker, start, 1.0, z)[0])

    gr.Markdown("## From one take to another\nTwo seeds are two points in the latent space. Move between them.")
    with gr.Row():
        with gr.Column(min_width=300):
            with gr.Row():
                label, speaker = _labels(first), _voices(first)
            with gr.Row():
                start, end = _seed(1, "From seed", min_width=120), _seed(2, "To seed", min_width=120)
            position = gr.Slider(0, 1, 0, step=0.05, label="Position", info="0: the first take, 1: the second")
            here = gr.Button("Hear this take", elem_id="here")
        with gr.Column(min_width=300):
            audio = _audio("The take at this position", autoplay=True, elem_id="walk-sound")
            image = _image("Waveform and mel spectrogram of the take at this position")
    moved = [here.click, position.input, label.input, speaker.input, start.submit, end.submit]
    event = {"api_name": "walk", "trigger_mode": "always_last", "show_progress": "minimal", **SHORT}
    gr.on(moved, stage.endpoint(walk), [model, label, speaker, start, end, position], [audio, image], **event)
    return [label, speaker]


def _build_takes(stage: Stage, model: gr.Dropdown, first: Synthesizer) -> list:
    def takes(model: str, label: str, speaker: str, seed: int, truncation: float, request: gr.Request):  # noqa: ANN202
        """Generate eight clips of one label in one voice, from eight latents: eight sounds, then their pictures."""
        synthesizer = stage.models[model]
        clips = _clips(synthesizer, [label] * TAKES, speaker, seed, truncation)
        sounds, images = zip(*(_shown(synthesizer, clip, size=(3, 2.4)) for clip in clips), strict=True)
        return *sounds, *images

    gr.Markdown("## Eight takes\nThe same digit in one voice, from eight latents, side by side.")
    with gr.Row():
        label, speaker = _labels(first), _voices(first)
        seed = _seed(0, "Seed", min_width=120)
        truncation = gr.Slider(0, 1, 1, step=0.05, label="Truncation", min_width=160)
    take = gr.Button("Eight takes", elem_id="take")
    sounds, images = [], []
    for row in range(0, TAKES, 4):
        with gr.Row():
            for i in range(row, row + 4):
                with gr.Column(min_width=150):
                    sounds.append(_audio(f"Take {i + 1}"))
                    images.append(_image(f"Waveform and mel spectrogram of take {i + 1}"))
    inputs = [model, label, speaker, seed, truncation]
    take.click(stage.endpoint(takes), inputs, [*sounds, *images], api_name="takes", **SHORT)
    return [label, speaker]


def between(a: torch.Tensor, b: torch.Tensor, position: float) -> torch.Tensor:
    """Spherical interpolation of normal latents (White 2016, arXiv 1609.04468): on a straight line their norm
    shrinks in the middle, which amounts to truncation.
    """
    angle = torch.arccos(torch.clamp((a / a.norm() * (b / b.norm())).sum(), -1, 1))
    if angle < 1e-4:
        return torch.lerp(a, b, position)
    return (torch.sin((1 - position) * angle) * a + torch.sin(position * angle) * b) / torch.sin(angle)


def _say(model: Synthesizer, number: str, speaker: str, seed: int, truncation: float) -> tuple[str, str]:
    """A number by a model of digits; by any other model, a sequence of its labels."""
    words, text = _known(model, "label"), number.strip()
    spells = set(words) >= set("0123456789") or set(words) >= set(DIGITS)
    digits_only = spells and ("".join(text.split()).isdecimal() or set(words) == set("0123456789"))
    items = list("".join(text.split())) if digits_only else text.split("," if "," in text else None)
    if len(items) > MOST_WORDS:
        raise UserError(f"{len(items)} labels are too many: give at most {MOST_WORDS}.")
    if digits_only:
        options = {"speaker": _voice(model, speaker, seed), "seed": seed, "truncation": truncation}
        return _shown(model, model.digits(text, **options))
    return _shown(model, _clips(model, [item.strip() for item in items], speaker, seed, truncation).reshape(-1))


def _clips(model: Synthesizer, labels: list[str], speaker: str, seed: int, truncation: float, z=None) -> np.ndarray:  # noqa: ANN001
    labels = labels if "label" in model.config.task.vocabularies else len(labels)
    return model.generate(labels, speaker=_voice(model, speaker, seed), seed=seed, truncation=truncation, z=z)


def _voice(model: Synthesizer, speaker: str, seed: int) -> str | None:
    return model.speaker(seed) if speaker == ANY else speaker


def _known(model: Synthesizer, condition: str) -> list[str]:
    return model.config.task.vocabularies.get(condition, [])


def _hint(model: Synthesizer) -> str:
    words = _known(model, "label")
    if not words:
        return "one clip per word, whichever it is: this model has no labels"
    if set(words) >= set("0123456789") or set(words) >= set(DIGITS):
        return f"digits, at most {MOST_WORDS}"
    separated = ", separated by commas" if any(" " in word for word in words) else ""
    return f"labels{separated}: {', '.join(words)}"


# Custom values are allowed because choices change with the model; a wrong one gets an error that lists the right ones.
def _voices(model: Synthesizer) -> gr.Dropdown:
    choices = [ANY, *_known(model, "speaker")]
    return gr.Dropdown(choices, value=ANY, label="Voice", min_width=120, allow_custom_value=True)


def _labels(model: Synthesizer) -> gr.Dropdown:
    words = _known(model, "label") or ["a clip"]
    return gr.Dropdown(words, value=words[-1], label="Digit", min_width=120, allow_custom_value=True)


def _seed(value: int, label: str, **options) -> gr.Number:  # noqa: ANN003
    return gr.Number(value, label=label, precision=0, minimum=0, maximum=MOST_SEED, **options)


def _shown(model: Synthesizer, waveform: np.ndarray, **options) -> tuple[str, str]:  # noqa: ANN003
    drawn = pictures.clip_picture(waveform, model.mel(waveform).numpy(), model.sample_rate, **options)
    return sound(waveform, model.sample_rate), picture(drawn)


def _audio(label: str, **options) -> gr.Audio:  # noqa: ANN003
    return cache.player(label, interactive=False, format="wav", buttons=["download"], **options)


def _image(text: str) -> gr.Image:
    return gr.Image(label=text, alt_text=text, **pictures.SHOWN)
