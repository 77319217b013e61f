"""Digits: numbers out of noise, the way between two latents, eight takes of one digit."""

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
    names = stage.names("generation")

    def say(model: str, number: str, speaker: str, seed: int, truncation: float, request: gr.Request):  # noqa: ANN202
        """Speak a number, one digit after the other, out of noise.

        Returns the sound and a picture of it. The same model, number, voice, seed and truncation give the same sound.
        """
        return _say(stage.models[model], number, speaker, seed, truncation)

    def another_voice(model: str, number: str, speaker: str, seed: int, truncation: float, request: gr.Request):  # noqa: ANN202
        """Speak a number by another voice than that of the given speaker and seed. Returns the new seed, the choice of
        voice, the sound and its picture.
        """
        synthesizer = stage.models[model]
        present, fresh = _voice(synthesizer, speaker, seed), secrets.randbelow(MOST_SEED)
        while len(_known(synthesizer, "speaker")) > 1 and synthesizer.speaker(fresh) == present:
            fresh = secrets.randbelow(MOST_SEED)
        return fresh, ANY, *_say(synthesizer, number, ANY, fresh, truncation)

    def walk(model: str, label: str, speaker: str, start: int, end: int, position: float, request: gr.Request):  # noqa: ANN202
        """One clip on the way between the latents of two seeds, by one voice: position 0 is the first, 1 the second."""
        synthesizer = stage.models[model]
        a, b = (synthesizer.latent(1, seed) for seed in (start, end))
        z = between(a, b, position) if synthesizer.config.task.latent == "normal" else torch.lerp(a, b, position)
        return _shown(synthesizer, _clips(synthesizer, [label], speaker, start, 1.0, z)[0])

    def takes(model: str, label: str, speaker: str, seed: int, truncation: float, request: gr.Request):  # noqa: ANN202
        """Eight clips of one label by one voice, from eight latents: the eight sounds, then the eight pictures."""
        synthesizer = stage.models[model]
        clips = _clips(synthesizer, [label] * TAKES, speaker, seed, truncation)
        shown = [_shown(synthesizer, clip, size=(3, 2.4)) for clip in clips]
        return *(one[0] for one in shown), *(one[1] for one in shown)

    gr.Markdown("A generator makes each digit out of noise; nobody ever said what you hear.")
    first = stage.models[names[0]]
    model = gr.Dropdown(names, value=names[0], label="Model", visible=len(names) > 1)
    with gr.Row():
        with gr.Column(min_width=300):
            number = gr.Textbox("8675309", label="Number", info=_hint(first), max_length=200, elem_id="number")
            speaker = _voices(first)
            with gr.Row():
                seed = _seed(0, "Seed", info="another seed is another take")
                truncation = gr.Slider(0, 1, 1, step=0.05, label="Truncation", info="0: the most typical take")
            with gr.Row():
                speak = gr.Button("Speak", variant="primary", elem_id="speak")
                another = gr.Button("Another voice", elem_id="another")
        with gr.Column(min_width=300):
            heard = _audio("The number", autoplay=True, elem_id="number-sound")
            seen = _image("Waveform and mel spectrogram of the number")
    inputs = [model, number, speaker, seed, truncation]
    gr.on([speak.click, number.submit], stage.endpoint(say), inputs, [heard, seen], api_name="digits", **SHORT)
    changed = [seed, speaker, heard, seen]
    another.click(stage.endpoint(another_voice), inputs, changed, api_name="another_voice", **SHORT)

    gr.Markdown("## From one take to another\nTwo seeds are two places in the latent space. Move between them.")
    with gr.Row():
        with gr.Column(min_width=300):
            with gr.Row():
                label, walker = _labels(first), _voices(first)
            with gr.Row():
                start, end = _seed(1, "From seed", min_width=120), _seed(2, "To seed", min_width=120)
            position = gr.Slider(0, 1, 0, step=0.05, label="Position", info="0: the first take, 1: the second")
            here = gr.Button("Hear this take", elem_id="here")
        with gr.Column(min_width=300):
            heard = _audio("The take at this position", autoplay=True, elem_id="walk-sound")
            seen = _image("Waveform and mel spectrogram of the take at this position")
    moved = [here.click, position.input, label.input, walker.input, start.submit, end.submit]
    event = {"api_name": "walk", "trigger_mode": "always_last", "show_progress": "minimal", **SHORT}
    gr.on(moved, stage.endpoint(walk), [model, label, walker, start, end, position], [heard, seen], **event)

    gr.Markdown("## Eight takes\nThe same digit by one voice, from eight latents, side by side.")
    with gr.Row():
        other, taker = _labels(first), _voices(first)
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
    inputs = [model, other, taker, seed, truncation]
    take.click(stage.endpoint(takes), inputs, [*sounds, *images], api_name="takes", **SHORT)

    def choices(name: str) -> list:
        chosen = stage.models[name]
        voices, words = [_voices(chosen) for _ in range(3)], [_labels(chosen) for _ in range(2)]
        return [gr.Textbox(info=_hint(chosen)), *voices, *words]

    dependent = [number, speaker, walker, taker, label, other]
    model.change(choices, [model], dependent, api_visibility="private", show_progress="hidden")


def between(a: torch.Tensor, b: torch.Tensor, position: float) -> torch.Tensor:
    """Spherical interpolation of normal latents (White 2016, arXiv 1609.04468): on a straight line they get shorter
    in the middle, which the generator takes for truncation.
    """
    angle = torch.arccos(torch.clamp((a / a.norm() * (b / b.norm())).sum(), -1, 1))
    if angle < 1e-4:
        return torch.lerp(a, b, position)
    return (torch.sin((1 - position) * angle) * a + torch.sin(position * angle) * b) / torch.sin(angle)


def _say(model: Synthesizer, number: str, speaker: str, seed: int, truncation: float) -> tuple[str, str]:
    """A number by a model of digits; by any model, its labels one after the other."""
    words, text = _known(model, "label"), number.strip()
    spells = set(words) >= set("0123456789") or set(words) >= set(DIGITS)
    digits_only = spells and ("".join(text.split()).isdecimal() or set(words) == set("0123456789"))
    items = list("".join(text.split())) if digits_only else text.split("," if "," in text else None)
    if len(items) > MOST_WORDS:
        raise UserError(f"{len(items)} at once are too many: give at most {MOST_WORDS}.")
    if digits_only:
        options = {"speaker": _voice(model, speaker, seed), "seed": seed, "truncation": truncation}
        return _shown(model, model.digits(text, **options))
    return _shown(model, _clips(model, [item.strip() for item in items], speaker, seed, truncation).reshape(-1))


def _clips(model: Synthesizer, labels: list[str], speaker: str, seed: int, truncation: float, z=None) -> np.ndarray:  # noqa: ANN001
    wanted = labels if "label" in model.config.task.conditions else len(labels)
    return model.generate(wanted, speaker=_voice(model, speaker, seed), seed=seed, truncation=truncation, z=z)


def _voice(model: Synthesizer, speaker: str, seed: int) -> str | None:
    return model.speaker(seed) if speaker == ANY else speaker


def _known(model: Synthesizer, condition: str) -> list[str]:
    return model.config.task.conditions.get(condition, [])


def _hint(model: Synthesizer) -> str:
    words = _known(model, "label")
    if not words:
        return "one clip a word, whatever it is: this model has no labels"
    if set(words) >= set("0123456789") or set(words) >= set(DIGITS):
        return f"digits, at most {MOST_WORDS}"
    separated = ", with commas between them" if any(" " in word for word in words) else ""
    return f"labels{separated}: {', '.join(words)}"


# Choices follow the model; a program may name any, and is told which there are.
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
