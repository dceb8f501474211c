"""NVlabs' StyleGAN2 networks, with random weights, against ours that load their checkpoint.

DEEP3DMAP_STYLEGAN2_ADA names a folder with NVlabs/stylegan2-ada-pytorch.
"""

import importlib
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from deep3dmap.nn.stylegan2.network_files import load_discriminator, load_generator

# Pixels, channel_base, channel_max, layers of the mapping network, length of w.
SIZES = [(32, 2048, 512, 2, 64), (64, 4096, 128, 8, 128), (128, 4096, 64, 8, 512), (256, 2048, 32, 8, 64)]


@pytest.fixture
def official(monkeypatch: pytest.MonkeyPatch) -> Any:
    folder = os.environ.get("DEEP3DMAP_STYLEGAN2_ADA")
    if not folder:
        pytest.skip("DEEP3DMAP_STYLEGAN2_ADA is not set to a folder with NVlabs/stylegan2-ada-pytorch")
    monkeypatch.syspath_prepend(folder)
    return importlib.import_module("training.networks")


def randomise(network: nn.Module) -> None:
    """Set noise strengths and biases, which are 0 initially, to random values."""
    for name, value in network.named_parameters():
        if name.endswith("noise_strength"):
            value.copy_(0.3 * torch.randn([]))
        elif "bias" in name and "affine" not in name:
            value.copy_(0.2 * torch.randn_like(value))


def assert_close(found: Tensor, expected: Tensor) -> None:
    assert (found - expected).abs().max() < 1e-5 * expected.abs().max()


@torch.no_grad()
@pytest.mark.parametrize(("pixels", "base", "most", "layers", "length"), SIZES)
def test_a_checkpoint_of_nvlabs_makes_the_same_pictures(
    official: Any, tmp_path: Path, pixels: int, base: int, most: int, layers: int, length: int
) -> None:
    torch.manual_seed(pixels)
    channels = {"channel_base": base, "channel_max": most, "num_fp16_res": 0, "conv_clamp": None}
    theirs = official.Generator(
        length, 0, length, pixels, 3, mapping_kwargs={"num_layers": layers}, synthesis_kwargs=channels
    ).eval()
    judge = official.Discriminator(0, pixels, 3, epilogue_kwargs={"mbstd_group_size": 4}, **channels).eval()
    randomise(theirs)
    randomise(judge)
    path = tmp_path / "network.pt"
    torch.save({"G_ema": theirs.state_dict(), "D": judge.state_dict()}, path)
    ours = load_generator(path).eval()
    latents = torch.randn(4, length)
    assert_close(ours.mapping(latents), theirs.mapping(latents, None)[:, 0])
    pictures = theirs(latents, None, noise_mode="const")
    assert_close(ours(latents), pictures)
    assert_close(load_discriminator(path).eval()(pictures), judge(pictures, None))
