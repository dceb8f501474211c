"""The parts of the inversion network, compared with torch's own, and their invariances."""

import pytest
import torch
from torch import nn

from deep3dmap.methods.gnerf.inversion_network import Attention, InversionNetwork, PatchRows, PreNorm, Transformer

TOKENS = torch.randn(2, 7, 12, generator=torch.Generator().manual_seed(0))


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def test_patches_come_row_by_row_and_their_pixels_with_all_channels() -> None:
    images = torch.arange(2 * 3 * 4 * 6.0).view(2, 3, 4, 6)
    rows = PatchRows(2)(images)
    assert rows.shape == (2, 6, 12)
    # The second patch of the first row: columns 2 and 3 of rows 0 and 1.
    expected = [images[1, channel, row, column].item() for row in (0, 1) for column in (2, 3) for channel in range(3)]
    assert rows[1, 1].tolist() == expected


def test_attention_is_that_of_torch() -> None:
    ours, theirs = Attention(12, 3, 4), nn.MultiheadAttention(12, 3, batch_first=True)
    with torch.no_grad():
        theirs.in_proj_weight.copy_(ours.to_qkv.weight)
        theirs.in_proj_bias.zero_()
        theirs.out_proj.weight.copy_(ours.to_out[0].weight)
        theirs.out_proj.bias.copy_(ours.to_out[0].bias)
    torch.testing.assert_close(ours(TOKENS), theirs(TOKENS, TOKENS, TOKENS, need_weights=False)[0])


def test_heads_may_be_wider_or_narrower_than_their_share() -> None:
    assert Attention(12, 5, 8)(TOKENS).shape == TOKENS.shape


def test_a_transformer_alone_knows_no_order() -> None:
    transformer, order = Transformer(12, 2, 3, 4, 20), torch.randperm(7)
    torch.testing.assert_close(transformer(TOKENS[:, order]), transformer(TOKENS)[:, order])


def test_a_norm_takes_scale_and_level_of_a_token_away() -> None:
    part = PreNorm(12, nn.Identity())
    torch.testing.assert_close(part(3 * TOKENS + 5), part(TOKENS), atol=1e-4, rtol=0)


def test_images_of_a_batch_do_not_see_each_other_and_their_order_counts_within() -> None:
    network = InversionNetwork("3d", 16, 16, 1, 2, 8, 16)
    images = torch.rand(3, 3, 16, 16)
    together = network(images)
    torch.testing.assert_close(together[1:2], network(images[1:2]))
    assert not torch.allclose(network(images.flip(3)), together, atol=1e-4)


@pytest.mark.parametrize(("mode", "length"), [("3d", 3), ("6d", 9)])
def test_every_parameter_learns(mode: str, length: int) -> None:
    network = InversionNetwork(mode, 32, 16, 2, 2, 8, 16)  # type: ignore[arg-type]
    vectors = network(torch.rand(2, 3, 32, 32))
    assert vectors.shape == (2, length)
    vectors.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
