"""Shapes, padding and options of ResFCN256; numerical checks are in tests/golden."""

import pytest
import torch
from torch.nn import functional

from deep3dmap.nn import ResFCN256, from_tensorflow_names
from deep3dmap.nn.same_padding import SameConv2d, SameConvTranspose2d, same_padding


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [(8, 4, 1, (1, 2)), (8, 4, 2, (1, 1)), (7, 4, 2, (1, 2)), (8, 1, 2, (0, 0)), (5, 3, 1, (1, 1))],
)
def test_same_padding_is_tensorflows(size: int, kernel: int, stride: int, expected: tuple[int, int]) -> None:
    assert same_padding(size, kernel, stride) == expected


@pytest.mark.parametrize("stride", [1, 2])
def test_the_transposed_convolution_is_the_adjoint_of_the_convolution(stride: int) -> None:
    torch.manual_seed(0)
    convolution, transposed = SameConv2d(3, 5, 4, stride).double(), SameConvTranspose2d(5, 3, stride).double()
    with torch.no_grad():
        transposed.weight.copy_(convolution.weight)
    x, y = torch.rand(2, 3, 8, 12).double(), torch.rand(2, 5, 8 // stride, 12 // stride).double()
    torch.testing.assert_close((convolution(x) * y).sum(), (x * transposed(y)).sum())


def test_legacy_padding_moves_the_result_by_one_pixel() -> None:
    torch.manual_seed(0)
    exact, legacy = SameConvTranspose2d(2, 2, 1), SameConvTranspose2d(2, 2, 1, "legacy")
    legacy.load_state_dict(exact.state_dict())
    images = functional.pad(torch.rand(1, 2, 4, 4), (4, 4, 4, 4))
    torch.testing.assert_close(legacy(images)[..., :-1, :-1], exact(images)[..., 1:, 1:])


def test_the_paper_size_has_the_published_number_of_weights() -> None:
    assert sum(parameter.numel() for parameter in ResFCN256().parameters()) == pytest.approx(13.4e6, rel=0.01)


def test_a_narrow_network_keeps_structure_size_and_range() -> None:
    narrow, paper = ResFCN256(width=4), ResFCN256()
    assert narrow.state_dict().keys() == paper.state_dict().keys()
    positions = narrow(torch.rand(2, 3, 64, 96))
    assert positions.shape == (2, 3, 64, 96)
    assert 0 <= positions.min() < positions.max() <= 1
    assert len(narrow.convolution_weights()) == 1 + 5 + 30 + 17


@pytest.mark.parametrize("shape", [(1, 3, 60, 64), (3, 64, 64)])
def test_a_picture_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="multiples of 32"):
        ResFCN256(width=2)(torch.rand(shape))


def test_wrong_options_are_refused() -> None:
    with pytest.raises(ValueError, match="'tf' or 'legacy'"):
        ResFCN256(padding="same")
    with pytest.raises(ValueError, match="even number"):
        ResFCN256(width=3)
    with pytest.raises(ValueError, match="not a layer"):
        from_tensorflow_names({"resfcn256.Dense.weight": torch.zeros(1)})


def test_constant_maps_change_nothing_before_they_are_learnt() -> None:
    torch.manual_seed(0)
    plain, images = ResFCN256(4), torch.rand(2, 3, 64, 64)
    torch.manual_seed(0)
    with_maps = ResFCN256(4, constants=64)
    torch.testing.assert_close(with_maps(images), plain(images))
    with_maps(images).sum().backward()
    shapes = [tuple(constant.shape) for constant in with_maps.constants.values()]
    assert shapes == [(8, 32, 32), (4, 64, 64), (3, 64, 64)]
    assert all(constant.grad.abs().sum() > 0 for constant in with_maps.constants.values())
    assert set(plain.state_dict()) == {name for name in with_maps.state_dict() if not name.startswith("constants.")}
