"""Point-voxel conversion: native kernels against the reference."""

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.ops.sparse import (
    available_sparse_backends,
    devoxelize,
    native_features,
    trilinear_map,
    unique_coordinates,
    voxelize_mean,
)

pytestmark = pytest.mark.skipif("native" not in available_sparse_backends(), reason="native is not there")


def some_points(seed: int) -> tuple[Tensor, Tensor, Tensor, int]:
    """Positions, batch, cells (some without points, some points without cells) and stride."""
    rng = np.random.default_rng(seed)
    count, stride = int(rng.integers(0, 200)), int(rng.choice([1, 2, 4]))
    positions = torch.from_numpy(rng.uniform(-5, 5, (count, 3)) * stride).float()
    batch = torch.from_numpy(rng.integers(0, 3, count)).int()
    cells = rng.integers(-6, 6, (int(rng.integers(0, 300)), 4)) * stride
    cells[:, 0] = rng.integers(0, 3, len(cells))
    return positions, batch, unique_coordinates(torch.from_numpy(cells).int())[0], stride


@pytest.mark.parametrize("block", range(4))
def test_native_equals_reference_in_200_random_problems(block: int) -> None:
    for seed in range(50 * block, 50 * (block + 1)):
        given = some_points(seed)
        rows, weights = trilinear_map(*given, backend="native")
        expected = trilinear_map(*given, backend="reference")
        assert torch.equal(rows, expected[0])
        assert torch.equal(weights, expected[1])
        cells = len(given[2])
        features, points = torch.randn(cells, 7, requires_grad=True), torch.randn(len(rows), 7, requires_grad=True)
        for op, of, rest in (
            (devoxelize, features, (rows, weights)),
            (voxelize_mean, points, (rows[:, 0].contiguous(), cells)),
        ):
            results = [op(of, *rest, backend=backend) for backend in ("native", "reference")]  # type: ignore[operator]
            torch.testing.assert_close(*results)
            gradient = torch.randn_like(results[0])
            torch.testing.assert_close(*(torch.autograd.grad(result, of, gradient)[0] for result in results))


def test_the_native_operators_pass_the_checks_of_torch() -> None:
    positions, batch, cells, stride = some_points(4)
    rows, weights = trilinear_map(positions, batch, cells, stride)
    features, points = torch.randn(len(cells), 5, requires_grad=True), torch.randn(len(rows), 5, requires_grad=True)
    check = torch.library.opcheck
    check(native_features.devoxelize, (features, rows, weights))
    check(native_features.devoxelize_backward, (points.detach(), rows, weights, len(cells)))
    check(native_features.voxelize, (points, rows[:, 0].contiguous(), len(cells)))
    counts = native_features.voxelize(points, rows[:, 0].contiguous(), len(cells))[1]
    check(native_features.voxelize_backward, (features.detach(), rows[:, 0].contiguous(), counts))


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_half_precision_is_widened_to_float32_and_its_gradient_narrowed(half: torch.dtype) -> None:
    given = some_points(3)
    rows, weights = trilinear_map(*given)
    cells, points = torch.randn(len(given[2]), 5).to(half), torch.randn(len(rows), 5).to(half)
    for of_half, of_float in (
        (cells.requires_grad_(), cells.detach().float().requires_grad_()),
        (points.requires_grad_(), points.detach().float().requires_grad_()),
    ):
        made, expected = (
            devoxelize(values, rows, weights) if of_half is cells else voxelize_mean(values, rows[:, 0], len(given[2]))
            for values in (of_half, of_float)
        )
        assert made.dtype == torch.float32
        assert torch.equal(made, expected)
        made.square().sum().backward()
        expected.square().sum().backward()
        assert of_half.grad is not None
        assert of_float.grad is not None
        assert torch.equal(of_half.grad, of_float.grad.to(half))


def test_double_precision_and_gradients_of_weights_take_the_reference() -> None:
    rows = torch.tensor([[0, 1, *[-1] * 6]])
    weights = torch.rand(1, 8, requires_grad=True)
    devoxelize(torch.ones(2, 3), rows, weights).sum().backward()
    assert weights.grad is not None
    assert weights.grad.tolist() == [[3.0, 3.0, *[0.0] * 6]]
    assert devoxelize(torch.ones(2, 3).double(), rows, weights.detach()).dtype == torch.float64
    with pytest.raises(ValueError, match="supports float32"):
        voxelize_mean(torch.ones(2, 3).double(), torch.zeros(2, dtype=torch.int64), 1, backend="native")


def test_rows_that_are_known_to_be_in_range_give_the_same_bits() -> None:
    torch.manual_seed(0)
    features, rows = torch.randn(30, 5), torch.randint(-1, 8, (30,))
    assert torch.equal(voxelize_mean(features, rows, 8, known=True), voxelize_mean(features, rows, 8))
    corners, weights = torch.randint(-1, 30, (9, 8)), torch.rand(9, 8)
    assert torch.equal(devoxelize(features, corners, weights, known=True), devoxelize(features, corners, weights))
