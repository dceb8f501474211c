"""Sparse convolution and point-voxel ops: against dense convolution, gradients, and every backend against the reference."""

import torch

from deep3dmap.ops.sparse import Conv3d, SparseTensor, kernel_offsets, unique_coordinates


def grid(size: int, batch: int = 1) -> torch.Tensor:
    ranges = (torch.arange(batch), *[torch.arange(size)] * 3)
    return torch.stack(torch.meshgrid(*ranges, indexing="ij"), -1).reshape(-1, 4).int()


def test_offsets_have_the_order_of_torchsparse() -> None:
    assert kernel_offsets(3, 2)[[0, 1, 3, 9, 13]].tolist() == [[-2, -2, -2], [0, -2, -2], [-2, 0, -2], [-2, -2, 0], [0, 0, 0]]
    assert kernel_offsets(2, 1)[[1, 2, 4]].tolist() == [[0, 0, 1], [0, 1, 0], [1, 0, 0]]


def test_a_full_grid_convolves_as_a_dense_one() -> None:
    torch.manual_seed(0)
    x = SparseTensor(torch.randn(2 * 5**3, 4), grid(5, batch=2))
    layer = Conv3d(4, 6)
    dense = x.features.reshape(2, 5, 5, 5, 4).permute(0, 4, 1, 2, 3)
    weight = layer.kernel.reshape(3, 3, 3, 4, 6).permute(4, 3, 2, 1, 0)
    expected = torch.nn.functional.conv3d(dense, weight, padding=1).permute(0, 2, 3, 4, 1).reshape(-1, 6)
    torch.testing.assert_close(layer(x).features, expected)


def test_down_and_up_again() -> None:
    coordinates, _ = unique_coordinates(torch.randint(-6, 6, (40, 4)).abs_().int())
    x = SparseTensor(torch.randn(len(coordinates), 3), coordinates)
    down = Conv3d(3, 5, kernel_size=2, stride=2)(x)
    up = Conv3d(5, 2, kernel_size=2, stride=2, transposed=True)(down)
    assert (down.stride, up.stride, up.features.shape) == (2, 1, (len(coordinates), 2))
    assert torch.equal(up.coordinates, coordinates)
