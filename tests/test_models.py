"""Contract tests over every generator and discriminator, and the published sizes."""

from __future__ import annotations

import copy

import pytest
import torch

from wavegan.audio.log_mel import LogMelConfig
from wavegan.models.discriminators import Discriminators, PeriodConfig, ResolutionConfig, ScaleConfig
from wavegan.models.generators import (
    BigVGANConfig,
    HiFiGANConfig,
    MelGANConfig,
    ParallelWaveGANConfig,
    SpectralConfig,
    hifigan,
    spectral,
)
from wavegan.models.layers import fold_weight_norm
from wavegan.tasks.vocoder import VocoderConfig

FEATURES = LogMelConfig(sample_rate=16000, n_fft=64, hop_length=16, n_mels=20)
VOCODER = VocoderConfig(features=FEATURES)
MEL_22K = LogMelConfig(sample_rate=22050, n_fft=1024, hop_length=256, n_mels=80, fmax=8000, padding="same")
MEL_24K = LogMelConfig(sample_rate=24000, n_fft=1024, hop_length=256, n_mels=100, mel_scale="htk", mel_norm="none")
SMALL_HIFIGAN = HiFiGANConfig(upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8], upsample_initial_channel=16)
SMALL_BIGVGAN = BigVGANConfig(upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8], upsample_initial_channel=16)
GENERATORS = {
    "bigvgan-1": SMALL_BIGVGAN,
    "bigvgan-2": SMALL_BIGVGAN.model_copy(update={"resblock": 2, "activation": "snake", "use_tanh_at_final": True}),
    "hifigan-1": SMALL_HIFIGAN,
    "hifigan-2": SMALL_HIFIGAN.model_copy(update={"resblock": 2}),
    "hifigan-causal": SMALL_HIFIGAN.model_copy(update={"causal": True}),
    "melgan": MelGANConfig(upsample_rates=[4, 4], upsample_initial_channel=16, stacks=2),
    "melgan-bands": MelGANConfig(upsample_rates=[2, 2], upsample_initial_channel=16, stacks=2, bands=4),
    "parallel_wavegan": ParallelWaveGANConfig(
        upsample_rates=[4, 4], layers=6, stacks=2, residual_channels=8, gate_channels=8, skip_channels=8
    ),
    "spectral-prior": SpectralConfig(dim=16, num_blocks=2),
    "spectral-polar": SpectralConfig(dim=16, num_blocks=2, head="polar"),
    "spectral-refined": SpectralConfig(dim=16, num_blocks=2, refinements=2),
    "spectral-causal": SpectralConfig(dim=16, num_blocks=2, causal=True),
}
DISCRIMINATORS = {
    "period": PeriodConfig(periods=[2, 3], channels=[4, 8]),
    "scale": ScaleConfig(scales=2, channels=[16] * 7),
    "resolution-magnitude": ResolutionConfig(resolutions=[(64, 16, 64)], channels=4),
    "resolution-complex": ResolutionConfig(resolutions=[(64, 16, 48)], channels=4, input="complex"),
}


def count(module: torch.nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.fixture(params=GENERATORS.values(), ids=GENERATORS.keys())
def generator(request):
    torch.manual_seed(0)
    return request.param.build(VOCODER).eval()  # noise, where a generator reads it, is then the same in every call


@pytest.fixture(params=DISCRIMINATORS.values(), ids=DISCRIMINATORS.keys())
def discriminators(request):
    torch.manual_seed(0)
    return Discriminators([request.param], VOCODER)


@pytest.mark.parametrize("frames", [5, 12])
def test_generator_length_is_frames_times_hop(generator, frames):
    assert generator(torch.randn(2, 20, frames)).shape == (2, 1, frames * 16)


def test_gradient_reaches_every_generator_parameter(generator):
    generator(torch.randn(2, 20, 12)).square().sum().backward()
    dead = [n for n, p in generator.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead


def test_generate_gives_the_same_waveform_and_its_spectrum(generator):
    x = torch.randn(2, 20, 12) - 4
    waveform, spectrum = generator.generate(x)
    assert torch.equal(waveform, generator(x))
    if spectrum is not None:
        assert spectrum.shape == (2, 33, 12)
        refined = torch.view_as_complex(generator.refine(spectrum.real, spectrum.imag)).mT
        again = torch.istft(refined, 64, 16, window=torch.hann_window(64), length=11 * 16)
        assert torch.allclose(again, waveform[:, 0, : 11 * 16], atol=1e-4)


def test_refinements_keep_amplitudes_and_make_frames_agree():
    """Griffin and Lim's iterations bring a spectrum nearer to that of its own waveform."""
    torch.manual_seed(0)
    x, inconsistency = torch.randn(1, 20, 40) - 4, []
    for refinements in (0, 1, 4, 16):
        torch.manual_seed(1)
        config = SpectralConfig(dim=16, num_blocks=2, refinements=refinements)
        generator = config.build(VOCODER).eval()
        with torch.no_grad():
            spectrum = generator.refine(*generator.spectrum(x))
            seen = generator.stft(generator.istft(spectrum))
        spectrum, seen = torch.view_as_complex(spectrum), torch.view_as_complex(seen)
        inconsistency.append(float((seen - spectrum).norm() / spectrum.norm()))
        if refinements == 0:
            plain = spectrum.abs()
        assert (spectrum.abs() - plain).norm() < 0.1 * plain.norm()  # lower where frames cancel
    assert inconsistency == sorted(inconsistency, reverse=True) and inconsistency[-1] < 0.8 * inconsistency[0]


def test_a_free_head_is_the_prior_head_without_its_prior():
    heads = {}
    for name in ("prior", "free"):
        torch.manual_seed(0)
        heads[name] = SpectralConfig(dim=16, head=name).build(VOCODER).head
    hidden, mel = torch.randn(2, 7, 16), torch.randn(2, 20, 7) - 4
    (a, _), (b, _) = (head(hidden, mel) for head in heads.values())
    assert torch.allclose(a, b * heads["prior"].prior(mel), rtol=1e-4, atol=1e-7)


def test_folding_weight_norm_keeps_the_output(generator):
    x = torch.randn(1, 20, 12) - 4
    folded = fold_weight_norm(copy.deepcopy(generator))
    assert torch.allclose(folded(x), generator(x), atol=1e-6)
    assert not any("parametrizations" in name for name in folded.state_dict())


@pytest.mark.parametrize(
    ("config", "features", "trainable", "folded"),
    [
        (hifigan.V1, MEL_22K, 13_936_130, 13_926_017),
        (hifigan.V2, MEL_22K, 928_514, 925_985),
        (hifigan.V3, MEL_22K, 1_464_322, 1_462_273),
        (spectral.VOCOS, MEL_24K, 13_531_650, 13_531_650),
    ],
    ids=["hifigan-v1", "hifigan-v2", "hifigan-v3", "vocos"],
)
def test_published_parameter_counts(config, features, trainable, folded):
    generator = config.build(VocoderConfig(features=features))
    assert count(generator) == trainable
    assert count(fold_weight_norm(generator)) == folded


def test_published_discriminator_widths():
    assert count(Discriminators([PeriodConfig()], VOCODER)) == 41_105_770  # 41.10 M (Kong 2020)
    assert count(Discriminators([ScaleConfig()], VOCODER)) == 29_618_821


def test_hifigan_refuses_a_hop_that_its_rates_do_not_make():
    assert "8 x 8 x 2 x 2 = 256" in HiFiGANConfig().check(VOCODER)


@pytest.mark.parametrize("length", [1024, 1000])
def test_discriminator_output_and_gradient(discriminators, length):
    outputs = discriminators(torch.randn(2, 1, length))
    for output in outputs:
        assert output.logits.shape[0] == 2 and output.logits.dim() == 2
        assert all(feature.shape[0] == 2 for feature in output.feature_maps)
    sum(o.logits.square().sum() for o in outputs).backward()
    dead = [n for n, p in discriminators.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead


def test_compare_equals_two_forwards(discriminators):
    discriminators.eval()  # spectral norm's power iteration moves in training mode
    real, fake = torch.randn(2, 1, 1024), torch.randn(2, 1, 1024)
    both = discriminators.compare(real, fake)
    for outputs, waveform in zip(both, (real, fake), strict=True):
        for output, expected in zip(outputs, discriminators(waveform), strict=True):
            assert torch.allclose(output.logits, expected.logits, atol=1e-5)
            for feature, other in zip(output.feature_maps, expected.feature_maps, strict=True):
                assert torch.allclose(feature, other, atol=1e-5)


def test_period_as_conv1d_equals_conv2d():
    """The published MPD is a Conv2d with (k, 1) kernels; the same weights must give the same logits."""
    module = Discriminators([PeriodConfig(periods=[3], channels=[4, 8])], VOCODER).members[0]
    waveform = torch.randn(2, 1, 100)
    x = torch.nn.functional.pad(waveform, (0, 2), mode="reflect").view(2, 1, 34, 3)
    for conv in [*module.convs, module.conv_post]:
        stride, padding = (conv.stride[0], 1), (conv.padding[0], 0)
        x = torch.nn.functional.conv2d(x, conv.weight.unsqueeze(-1), conv.bias, stride, padding)
        if conv is not module.conv_post:
            x = torch.nn.functional.leaky_relu(x, 0.1)
    logits = module(waveform).logits.view(2, 3, -1)
    assert torch.allclose(logits, x[:, 0].transpose(1, 2), atol=1e-5)
