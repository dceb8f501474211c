"""Point-voxel conversion, and layers on sparse tensors."""

import re
from pathlib import Path

import pytest
import torch
from torch import Tensor

from deep3dmap.ops.sparse import (
    BatchNorm,
    Conv3d,
    PointTensor,
    ReLU,
    SparseTensor,
    devoxelize,
    downsample,
    global_pool,
    trilinear_map,
    unique_coordinates,
    voxelize_mean,
)


def cube(size: int, stride: int = 1) -> Tensor:
    axis = torch.arange(-size, size) * stride
    return torch.stack(torch.meshgrid(torch.arange(2), axis, axis, axis, indexing="ij"), -1).reshape(-1, 4).int()


def scattered(count: int) -> SparseTensor:
    coordinates, _ = unique_coordinates(torch.randint(-6, 6, (count, 4)).abs_().int() % 5 - torch.tensor([0, 3, 3, 3]).int())
    return SparseTensor(torch.randn(len(coordinates), 3), coordinates)


def test_the_mean_of_a_cell_is_that_of_its_points() -> None:
    features = torch.tensor([[1.0, 2], [3, 4], [5, 6], [7, 8]])
    means = voxelize_mean(features, torch.tensor([2, -1, 2, 0]), 4)
    assert means.tolist() == [[7, 8], [0, 0], [3, 4], [0, 0]]
    assert voxelize_mean(features[:0], torch.empty(0, dtype=torch.int64), 2).tolist() == [[0, 0], [0, 0]]


@pytest.mark.parametrize("stride", [1, 4])
def test_a_linear_field_is_sampled_exactly(stride: int) -> None:
    torch.manual_seed(0)
    cells = cube(3, stride)
    positions = (torch.rand(50, 3) * 4 - 3) * stride
    batch = torch.randint(0, 2, (50,)).int()
    slope = torch.tensor([1.0, -2, 3])
    field = cells[:, 1:].float() @ slope + 100 * cells[:, 0]
    rows, weights = trilinear_map(positions, batch, cells, stride)
    assert (rows >= 0).all()
    expected = positions @ slope + 100 * batch
    torch.testing.assert_close(devoxelize(field[:, None], rows, weights)[:, 0], expected, atol=1e-4, rtol=1e-5)


def test_absent_corners_have_no_weight_and_the_rest_sums_to_one() -> None:
    cells = torch.tensor([[0, 0, 0, 0], [0, 0, 0, 1], [1, -1, -1, -1]], dtype=torch.int32)
    positions = torch.tensor([[0.25, 0.5, 0.25], [-0.5, -0.5, -0.5], [9.0, 9, 9], [1e9, 0, 0]])
    rows, weights = trilinear_map(positions, torch.tensor([0, 1, 0, 0]), cells, 1)
    assert rows.tolist() == [[0, 1, *[-1] * 6], [2, *[-1] * 7], [-1] * 8, [-1] * 8]
    torch.testing.assert_close(weights[0, :2], torch.tensor([0.75, 0.25]))
    assert weights[:, 2:].abs().sum() == 0
    torch.testing.assert_close(weights.sum(1), torch.tensor([1.0, 1, 0, 0]))


@pytest.mark.parametrize("far", [1e6, 1e12, 3e38, -3e38])
def test_points_beyond_all_range_meet_nothing(far: float) -> None:
    rows, weights = trilinear_map(torch.tensor([[far, 0.5, 0.5]]), torch.zeros(1, dtype=torch.int32), cube(2, 4), 4)
    assert rows.tolist() == [[-1] * 8]
    assert weights.tolist() == [[0.0] * 8]


def test_points_and_voxels_have_right_gradients() -> None:
    torch.manual_seed(0)
    rows = torch.randint(-1, 5, (20,))
    corners, weights = torch.randint(-1, 5, (20, 8)), torch.rand(20, 8).double()
    points, cells = torch.randn(20, 2).double().requires_grad_(), torch.randn(5, 2).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda value: voxelize_mean(value, rows, 5), (points,))
    assert torch.autograd.gradcheck(lambda value: devoxelize(value, corners, weights), (cells,))


def test_nothing_to_sample_from_is_zero() -> None:
    none = torch.empty(0, 4, dtype=torch.int32)
    rows, weights = trilinear_map(torch.rand(3, 3), torch.zeros(3, dtype=torch.int32), none, 1)
    features = torch.empty(0, 2, requires_grad=True)
    sampled = devoxelize(features, rows, weights)
    assert sampled.tolist() == [[0, 0]] * 3
    sampled.sum().backward()
    nobody = trilinear_map(torch.empty(0, 3), torch.empty(0, dtype=torch.int32), cube(1), 1)
    assert [part.shape for part in nobody] == [(0, 8), (0, 8)]


def test_wrong_points_are_named() -> None:
    cells, batch = cube(1), torch.zeros(1, dtype=torch.int32)
    with pytest.raises(ValueError, match="finite"):
        trilinear_map(torch.tensor([[0, float("nan"), 0]]), batch, cells, 1)
    with pytest.raises(ValueError, match="rows index"):
        voxelize_mean(torch.zeros(1, 2), torch.tensor([4]), 4)
    with pytest.raises(ValueError, match="rows index"):
        devoxelize(torch.zeros(2, 2), torch.full((1, 8), 2), torch.zeros(1, 8))
    with pytest.raises(ValueError, match="features, positions and batch"):
        PointTensor(torch.zeros(2, 3), torch.zeros(1, 3), torch.zeros(2))


def test_down_and_up_again_returns_to_the_same_voxels() -> None:
    torch.manual_seed(0)
    x = scattered(40)
    down = Conv3d(3, 5, kernel_size=2, stride=2)(x)
    same = Conv3d(5, 5)(down)
    up = Conv3d(5, 2, kernel_size=2, stride=2, transposed=True)(same)
    assert (down.stride, same.stride, up.stride) == (2, 2, 1)
    assert torch.equal(down.coordinates, downsample(x.coordinates, 2))
    assert up.coordinates is x.coordinates
    assert up.maps is x.maps
    assert set(x.cache.kernel_maps) == {(2, 1, 2), (3, 2, 2)}
    assert up.features.shape == (len(x.coordinates), 2)


def test_kernels_have_the_shapes_and_bounds_of_torchsparse() -> None:
    assert Conv3d(4, 6).kernel.shape == (27, 4, 6)
    assert Conv3d(4, 6, kernel_size=1).kernel.shape == (4, 6)
    assert float(Conv3d(4, 64, kernel_size=2).kernel.detach().abs().max()) == pytest.approx(32**-0.5, rel=0.01)
    assert float(Conv3d(64, 4, kernel_size=2, transposed=True).kernel.detach().abs().max()) == pytest.approx(32**-0.5, rel=0.01)


def test_a_pointwise_kernel_is_a_matrix_product() -> None:
    x, layer = scattered(20), Conv3d(3, 4, kernel_size=1)
    torch.testing.assert_close(layer(x).features, x.features @ layer.kernel)


def test_a_stack_of_layers_trains() -> None:
    torch.manual_seed(0)
    x = scattered(60)
    network = torch.nn.Sequential(Conv3d(3, 8), BatchNorm(8), ReLU(), Conv3d(8, 1))
    target = x.coordinates[:, 1:2].float()
    optimizer = torch.optim.Adam(network.parameters(), 0.02)
    losses = []
    for _ in range(60):
        loss = (network(x).features - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.2 * losses[0]


def test_batch_norm_is_over_all_rows_and_leaves_out_what_has_no_variance() -> None:
    x, layer = scattered(30), BatchNorm(3)
    torch.testing.assert_close(layer(x).features, torch.nn.BatchNorm1d(3)(x.features))
    before = layer.running_mean.clone(), layer.running_var.clone()
    for rows in (0, 1):
        few = SparseTensor(x.features[:rows], x.coordinates[:rows])
        torch.testing.assert_close(layer(few).features, layer.eval()(few).features)
        layer.train()
    assert torch.equal(before[0], layer.running_mean)
    assert torch.equal(before[1], layer.running_var)


def test_pooling_is_by_batch_element() -> None:
    coordinates = torch.tensor([[0, 0, 0, 0], [0, 1, 0, 0], [2, 0, 0, 0]], dtype=torch.int32)
    x = SparseTensor(torch.tensor([[1.0, -4], [3, -2], [-5, 6]]), coordinates)
    assert global_pool(x).tolist() == [[2, -3], [0, 0], [-5, 6]]
    assert global_pool(x, "max", batch_size=4).tolist() == [[3, -2], [0, 0], [-5, 6], [0, 0]]
    assert global_pool(SparseTensor(x.features[:0], coordinates[:0])).shape == (0, 2)
    with pytest.raises(ValueError, match="there are 3 batch elements"):
        global_pool(x, batch_size=2)
    with pytest.raises(ValueError, match="mean or max"):
        global_pool(x, "sum")  # type: ignore[arg-type]


def test_tensors_that_do_not_fit_are_refused() -> None:
    x = scattered(20)
    with pytest.raises(ValueError, match="features must be"):
        x.replace(x.features[1:])
    with pytest.raises(ValueError, match="other coordinates of stride 1"):
        SparseTensor(x.features[1:], x.coordinates[1:], maps=x.maps)
    with pytest.raises(ValueError, match="transposed convolution maps back"):
        Conv3d(3, 2, kernel_size=2, stride=2, transposed=True)(x)
    with pytest.raises(ValueError, match="positive"):
        Conv3d(3, 0)


def test_the_example_in_the_documentation_runs() -> None:
    page = Path(__file__).resolve().parents[2] / "docs" / "ops.md"
    (block,) = [text for text in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL) if "import sparse" in text]
    names: dict[str, Tensor] = {}
    exec(block, names)
    assert names["at_points"].shape == (5000, 16)
