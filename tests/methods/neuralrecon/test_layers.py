"""The network's layers: sizes of the paper's configuration, narrow networks, and few or no points."""

import pytest
import torch

from deep3dmap.methods.neuralrecon.backbone import MnasMulti, rounded_width
from deep3dmap.methods.neuralrecon.conv_gru import ConvGRU
from deep3dmap.methods.neuralrecon.losses import level_loss
from deep3dmap.methods.neuralrecon.spvcnn import SPVCNN


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_published_sizes() -> None:
    assert parameters(MnasMulti()) == 321_832
    assert [parameters(SPVCNN(*sizes, 0.1)) for sizes in ((81, 1.0), (139, 0.5), (75, 0.25))] == [4_517_248, 1_173_152, 295_120]
    assert [parameters(ConvGRU(width, width, 0.1)) for width in (96, 48, 24)] == [1_548_576, 387_216, 96_840]


def test_a_narrow_backbone_keeps_the_scales() -> None:
    network = MnasMulti(alpha=0.5)
    maps = network(torch.rand(1, 3, 32, 48))
    assert [tuple(found.shape[2:]) for found in maps] == [(8, 12), (4, 6), (2, 3)]
    assert tuple(found.shape[1] for found in maps) == network.out_channels == (16, 24, 40)
    assert [rounded_width(width) for width in (12, 20, 3)] == [16, 24, 8]
    with pytest.raises(ValueError, match="multiples of 16"):
        network(torch.rand(1, 3, 30, 48))


@pytest.mark.parametrize("count", [0, 1, 200])
@pytest.mark.parametrize("training", [False, True])
def test_any_number_of_points(count: int, training: bool) -> None:
    torch.manual_seed(0)
    positions, batch = torch.randn(count, 3), torch.zeros(count, dtype=torch.int64)
    features = torch.randn(count, 5, requires_grad=True)
    network = SPVCNN(5, 0.25, 0.2).train(training)
    out = network(features, positions, batch)
    assert out.shape == (count, 24)
    fused = ConvGRU(24, 24, 0.2)(torch.zeros(count, 24), out, positions, batch)
    assert fused.shape == (count, 24)
    fused.square().sum().backward()
    assert torch.isfinite(features.grad).all()
    assert count == 0 or all(p.grad is not None for p in network.parameters())


def test_an_update_gate_of_zero_keeps_the_history() -> None:
    cell = ConvGRU(4, 4, 0.2)
    torch.nn.init.constant_(cell.convz.point_transforms[0].bias, -1e4)
    history = torch.randn(30, 4)
    kept = cell(history, torch.randn(30, 4), torch.randn(30, 3), torch.zeros(30, dtype=torch.int64))
    torch.testing.assert_close(kept, history)


def test_the_loss_falls_towards_the_target() -> None:
    target = torch.linspace(-1, 1, 21)[:, None]
    occupied = target.abs() < 0.5
    right = level_loss(target, torch.where(occupied, 20.0, -20.0), target, occupied)
    wrong = level_loss(-target, torch.where(occupied, -20.0, 20.0), target, occupied)
    assert float(right) < 1e-6 < 1 < float(wrong)


def test_an_unknown_reset_gate_is_refused() -> None:
    with pytest.raises(ValueError, match="reset_gate"):
        ConvGRU(4, 4, 0.2, "other")
