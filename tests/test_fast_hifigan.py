"""HiFi-GAN's fast form on a CPU gives the generator's own waveform, whatever the kernels, dilations and lengths."""

from __future__ import annotations

import pytest
import torch

from wavegan.models.generators import hifigan_cpu
from wavegan.models.generators.hifigan import HiFiGANConfig
from wavegan.models.generators.hifigan_cpu import FastBlocks, FastHiFiGAN, quickest
from wavegan.models.layers import fold_weight_norm
from wavegan.tasks.vocoder import VocoderConfig

CPU = torch.device("cpu")
SIZES = {  # resblock, rates, kernels and dilations; and which stages are fast
    "v1": ((1, [4, 2, 2], [3, 7, 11], [[1, 3, 5]] * 3), [False, True, True]),
    "v3": ((2, [4, 2, 2], [3, 5, 7], [[1, 2], [2, 6], [3, 12]]), [False, False, False]),
    "even and odd rates": ((1, [4, 3, 3], [5, 9, 13], [[1, 7], [3, 9], [5, 1]]), [False, True, True]),
    "odd rates": ((2, [3, 3, 5], [3, 5, 7], [[1, 3], [1, 5], [3, 1]]), [False, False, False]),
}


def build(sizes: tuple, causal: bool = False) -> torch.nn.Module:
    resblock, rates, kernels, dilations = sizes
    hop = torch.tensor(rates).prod().item()
    config = HiFiGANConfig(
        resblock=resblock,
        upsample_rates=rates,
        upsample_kernel_sizes=[2 * rate + rate % 2 for rate in rates],
        upsample_initial_channel=32,
        resblock_kernel_sizes=kernels,
        resblock_dilation_sizes=dilations,
        causal=causal,
    )
    torch.manual_seed(0)
    task = VocoderConfig(features={"sample_rate": 16000, "n_fft": 4 * hop, "hop_length": hop, "n_mels": 10})
    return fold_weight_norm(config.build(task).eval())


@pytest.mark.parametrize("name", SIZES)
@pytest.mark.parametrize("tile", [100, hifigan_cpu.TILE])
def test_it_speaks_as_the_generator_does(name, tile, monkeypatch):
    sizes, fast = SIZES[name]
    generator = build(sizes).double()
    monkeypatch.setattr(hifigan_cpu, "TILE", tile)
    player = quickest(generator, CPU)
    assert [isinstance(stage.function, FastBlocks) for stage in player.stages] == fast
    for batch, frames in ((1, 1), (2, 7), (1, 301)):
        mel = torch.randn(batch, 10, frames, dtype=torch.float64)
        with torch.inference_mode():
            assert (player(mel) - generator(mel)).abs().max() < 1e-12


def test_what_it_is_not_made_for_plays_itself(monkeypatch):
    causal = build(SIZES["v1"][0], causal=True)
    assert quickest(causal, CPU) is causal and quickest(torch.nn.Identity(), CPU) is not None
    generator = build(SIZES["v1"][0])
    assert quickest(generator, torch.device("cuda")) is generator
    assert isinstance(quickest(generator, CPU), FastHiFiGAN)
