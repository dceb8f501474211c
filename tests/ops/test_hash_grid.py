"""The hash grid: native against reference on random problems and edge cases, gradients, and invalid arguments."""

import math

import numpy as np
import pytest
import torch

from deep3dmap.ops import hash_grid_reference
from deep3dmap.ops.hash_grid import (
    HashGridLevels,
    _native_backward_positions,
    _native_backward_table,
    _native_hash_grid,
    hash_grid,
)

Problem = tuple[torch.Tensor, torch.Tensor, HashGridLevels]


def problem(seed: int, dtype: torch.dtype = torch.float32) -> Problem:
    """Points in and around the cube, on dense and hashed levels."""
    rng = np.random.default_rng(seed)
    coarsest = int(rng.integers(1, 6))
    levels = HashGridLevels.between(
        coarsest, coarsest * int(rng.integers(1, 30)), int(rng.integers(1, 9)), int(rng.integers(3, 11))
    )
    features, points = int(rng.choice([1, 2, 3, 4, 8])), int(rng.integers(0, 500))
    table = rng.standard_normal((levels.entries, features))
    return torch.tensor(rng.uniform(-0.1, 1.1, (points, 3)), dtype=dtype), torch.tensor(table, dtype=dtype), levels


def with_gradients(given: Problem, backend: str) -> tuple[torch.Tensor, ...]:
    positions, table = (value.clone().requires_grad_() for value in given[:2])
    features = hash_grid(positions, table, given[2], backend=backend)  # type: ignore[arg-type]
    worth = torch.randn(features.shape, generator=torch.Generator().manual_seed(0), dtype=features.dtype)
    (features * worth).sum().backward()
    assert positions.grad is not None
    assert table.grad is not None
    return features.detach(), positions.grad, table.grad


@pytest.mark.parametrize("seed", range(60))
def test_native_equals_reference(seed: int) -> None:
    given = problem(seed)
    ours, theirs = with_gradients(given, "native"), with_gradients(given, "reference")
    for mine, other in zip(ours, theirs):
        torch.testing.assert_close(mine, other, atol=2e-4, rtol=1e-4)


def test_a_dense_level_is_trilinear_interpolation() -> None:
    """A table with an affine function of the corners reproduces that function everywhere."""
    levels = HashGridLevels((4,), (125,))
    z, y, x = torch.meshgrid(*[torch.arange(5.0) / 4] * 3, indexing="ij")
    table = (1 + 2 * x - 3 * y + 0.5 * z).reshape(-1, 1)
    positions = torch.rand(200, 3)
    expected = 1 + positions @ torch.tensor([2.0, -3.0, 0.5])
    torch.testing.assert_close(hash_grid(positions, table, levels)[:, 0], expected)


def test_a_hashed_corner_has_the_entry_of_the_paper() -> None:
    levels = HashGridLevels((1000,), (2**10,))
    table = torch.arange(2.0**10)[:, None]
    corner = (123, 456, 789)
    entry = (corner[0] ^ (corner[1] * 2654435761) % 2**32 ^ (corner[2] * 805459861) % 2**32) % 2**10
    found = hash_grid(torch.tensor([[value / 1000 for value in corner]], dtype=torch.float64), table, levels)
    assert found.item() == pytest.approx(entry, abs=0.5)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, -1e30, 1e30])
def test_any_position_is_taken_into_the_cube(value: float) -> None:
    _, table, levels = problem(3)
    features = hash_grid(torch.tensor([[value, 0.5, 0.5], [0.5, value, 1.0]]), table, levels, "native")
    assert features.isfinite().all()


@pytest.mark.parametrize("seed", [1, 5])
def test_gradcheck_of_the_reference(seed: int) -> None:
    positions, table, levels = problem(seed, torch.float64)
    few = (positions[:4] * 0.8 + 0.1).requires_grad_()
    assert torch.autograd.gradcheck(lambda x, t: hash_grid(x, t, levels, "reference"), (few, table.requires_grad_()))


def test_clamped_coordinates_have_no_gradient() -> None:
    _, table, levels = problem(4)
    positions = torch.tensor([[-0.2, 0.3, 1.4]]).requires_grad_()
    hash_grid(positions, table, levels, "native").sum().backward()
    assert positions.grad is not None
    assert (positions.grad[0] == 0).tolist() == [True, False, True]


def test_threads_do_not_change_the_result() -> None:
    positions, table, levels = problem(8)
    many = positions.repeat(20, 1)
    results, before = [], torch.get_num_threads()
    for threads in (1, 2, 7):
        torch.set_num_threads(threads)
        results.append(with_gradients((many, table, levels), "native"))
    torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in results[1:] for a, b in zip(results[0], other))


def test_levels_grow_geometrically_and_are_hashed_once_they_are_large() -> None:
    levels = HashGridLevels.between(16, 512, 6, 14)
    assert levels.resolutions == (16, 32, 64, 128, 256, 512)
    assert levels.sizes == (17**3, 2**14, 2**14, 2**14, 2**14, 2**14)
    assert levels.entries == 17**3 + 5 * 2**14


def test_opcheck() -> None:
    positions, table, levels = problem(4)
    resolutions, sizes = list(levels.resolutions), list(levels.sizes)
    given = (positions.clone().requires_grad_(), table.clone().requires_grad_(), resolutions, sizes)
    torch.library.opcheck(_native_hash_grid, given)
    grad = torch.randn(len(positions), len(sizes) * table.shape[1])
    torch.library.opcheck(_native_backward_table, (positions, grad, resolutions, sizes))
    torch.library.opcheck(_native_backward_positions, (positions, table, grad, resolutions, sizes))


def test_wrong_arguments_are_named() -> None:
    positions, table, levels = problem(0)
    for words, given in (
        ("positions must be", (positions[:, :2], table)),
        ("positions must be", (positions.long(), table)),
        ("table must be", (positions, table[1:])),
        ("positions are on meta", (positions.to("meta"), table)),
    ):
        with pytest.raises(ValueError, match=words):
            hash_grid(*given, levels)
    with pytest.raises(ValueError, match="float64"):
        hash_grid(positions.double(), table.double(), levels, backend="native")
    with pytest.raises(ValueError, match="power of two"):
        HashGridLevels((100,), (1000,))
    with pytest.raises(ValueError, match="1 to 32 levels"):
        HashGridLevels((), ())


def test_nothing_to_encode() -> None:
    _, table, levels = problem(2)
    assert hash_grid(torch.zeros(0, 3), table, levels).shape == (0, len(levels.sizes) * table.shape[1])
    assert hash_grid_reference.hash_grid(torch.zeros(0, 3), table, levels.resolutions, levels.sizes).shape[0] == 0


@pytest.mark.gpu
def test_cuda_equals_cpu() -> None:
    positions, table, levels = problem(5)
    here = with_gradients((positions, table, levels), "native")
    leaves = [value.cuda().requires_grad_() for value in (positions, table)]
    features = hash_grid(*leaves, levels)
    worth = torch.randn(features.shape, generator=torch.Generator().manual_seed(0)).cuda()
    (features * worth).sum().backward()
    for mine, other in zip((features, leaves[0].grad, leaves[1].grad), here):
        assert mine is not None
        torch.testing.assert_close(mine.detach().cpu(), other, atol=1e-4, rtol=1e-4)
