"""Gradients on CUDA are bitwise reproducible with torch's deterministic algorithms, as the platform uses them; integer sums."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from deep3dmap.ops import HashGridLevels, _fixed, back_project, hash_grid, rasterize_soft, sparse
from deep3dmap.ops._fixed import fixed_sums, needs_fixed_sums
from deep3dmap.ops.neural_mesh import render_neural_mesh
from deep3dmap.train.arithmetic import set_deterministic


@pytest.fixture(autouse=True)
def restored() -> Iterator[None]:
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize("unit", [1e-30, 1e-3, 1.0, 1e30])
def test_whole_numbers_add_up_as_exact_sums_do(unit: float) -> None:
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4000, 3, generator=generator) * unit
    values[7] *= 1000
    rows = torch.randint(0, 50, (4000,), generator=generator)
    exact = torch.zeros(50, 3, dtype=torch.float64).index_add_(0, rows, values.double())
    found = []
    for order in (torch.arange(4000), torch.randperm(4000, generator=generator)):
        sums, scale = fixed_sums((50, 3), values, 4000)
        sums.index_add_(0, rows[order], (values[order] * scale).round().to(torch.int64))
        found.append(_fixed.FixedSums(sums, scale).floats())
    assert torch.equal(*found)
    torch.testing.assert_close(found[0].double(), exact, rtol=1e-6, atol=1e-9 * unit)


def test_the_largest_sum_does_not_overflow() -> None:
    values = torch.full((4096, 1), 1.9999)
    sums, scale = fixed_sums((1, 1), values, 4096)
    sums += (values * scale).round().to(torch.int64).sum(0)
    assert _fixed.FixedSums(sums, scale).floats().item() == pytest.approx(4096 * 1.9999)


@pytest.mark.parametrize("bad", [torch.nan, torch.inf])
def test_what_is_not_finite_is_seen(bad: float) -> None:
    assert fixed_sums((2,), torch.tensor([1.0, bad]), 2).floats().isnan().all()
    assert not fixed_sums((2,), torch.zeros(2), 2).floats().any()
    assert not fixed_sums((2,), torch.zeros(0), 0).floats().any()


def test_only_cuda_and_only_on_request() -> None:
    set_deterministic(enabled=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert not needs_fixed_sums(torch.zeros(1))


def _back_project(move: Callable[[Tensor], Tensor]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(1)
    features = move(torch.rand(3, 5, 20, 30, generator=generator)).requires_grad_()
    intrinsics = torch.tensor([[25.0, 0, 15, 0], [0, 25, 10, 0], [0, 0, 1, 0]]).expand(3, 3, 4).clone()
    intrinsics[:, 0, 3] = torch.tensor([0.0, -5, -10])
    positions = torch.rand(3000, 3, generator=generator) * torch.tensor([2.0, 2, 1]) + torch.tensor([-1.0, -1, 1])
    mean = back_project(features, move(intrinsics), move(positions))[0]
    return [mean, *torch.autograd.grad(mean.square().sum(), features)]


def _hash_grid(move: Callable[[Tensor], Tensor]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(2)
    levels = HashGridLevels.between(4, 64, 4, 10)
    table = move(torch.randn(levels.entries, 2, generator=generator)).requires_grad_()
    positions = move(torch.rand(3000, 3, generator=generator)).requires_grad_()
    features = hash_grid(positions, table, levels)
    return [features, *torch.autograd.grad(features.sin().sum(), (table, positions))]


def _points(move: Callable[[Tensor], Tensor]) -> list[Tensor]:
    generator = torch.Generator().manual_seed(3)
    features = move(torch.randn(4000, 6, generator=generator)).requires_grad_()
    cells = torch.randint(-1, 90, (4000,), generator=generator)
    mean = sparse.voxelize_mean(features, move(cells), 90)
    corners, weights = torch.randint(-1, 90, (500, 8), generator=generator), torch.rand(500, 8, generator=generator)
    at_points = sparse.devoxelize(mean, move(corners), move(weights))
    return [mean, at_points, *torch.autograd.grad(at_points.cos().sum(), features)]


def _ball(move: Callable[[Tensor], Tensor]) -> tuple[Tensor, Tensor]:
    up, around = torch.meshgrid(torch.linspace(0.1, 3, 13), torch.linspace(0, 6.1, 25), indexing="ij")
    ball = torch.stack([12 * up.sin() * around.cos() + 16, 12 * up.sin() * around.sin() + 16, up.cos() + 3], -1).reshape(-1, 3)
    corner = torch.arange(13 * 25).reshape(13, 25)
    faces = torch.stack([corner[:-1, :-1], corner[:-1, 1:], corner[1:, :-1]], -1).reshape(-1, 3)
    return move(ball).requires_grad_(), move(faces)


def _soft(move: Callable[[Tensor], Tensor]) -> list[Tensor]:
    vertices, faces = _ball(move)
    seen = rasterize_soft(vertices, faces, 32, 32, faces_per_pixel=50, blur_radius=2.0)
    return [seen.depth, *torch.autograd.grad(seen.depth.sin().sum() + seen.distance.cos().sum(), vertices)]


def _neural_mesh(move: Callable[[Tensor], Tensor]) -> list[Tensor]:
    vertices, faces = _ball(move)
    picture = render_neural_mesh(vertices, faces, 32, 32)
    return [picture.depth, *torch.autograd.grad(picture.silhouette.square().sum() + picture.depth.sum(), vertices)]


@pytest.mark.gpu
@pytest.mark.parametrize("run", [_back_project, _hash_grid, _points, _soft, _neural_mesh])
def test_repeats_on_cuda_are_equal_and_right(run: Callable[[Callable[[Tensor], Tensor]], list[Tensor]]) -> None:
    set_deterministic(enabled=True)
    first, *repeats = (run(lambda tensor: tensor.cuda()) for _ in range(4))
    for repeat in repeats:
        assert all(torch.equal(one, other) for one, other in zip(first, repeat, strict=True))
    for one, other in zip(first, run(lambda tensor: tensor.clone()), strict=True):
        torch.testing.assert_close(one.cpu(), other, atol=2e-3, rtol=2e-3)


@pytest.mark.gpu
@pytest.mark.parametrize("run", [_back_project, _hash_grid, _points])
def test_what_was_not_asked_for_is_right_as_well(run: Callable[[Callable[[Tensor], Tensor]], list[Tensor]]) -> None:
    for one, other in zip(run(lambda tensor: tensor.cuda()), run(lambda tensor: tensor.clone()), strict=True):
        torch.testing.assert_close(one.cpu(), other, atol=1e-4, rtol=1e-4)
