"""Back-projection: native against reference on random problems and edge cases, gradients, and invalid arguments."""

import math

import numpy as np
import pytest
import torch

from deep3dmap.ops import back_project
from deep3dmap.ops.back_project import _native_back_project, _native_backward
from deep3dmap.ops.back_project_reference import locate

Problem = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def problem(seed: int, dtype: torch.dtype = torch.float32) -> Problem:
    """Views around the origin, some facing away from the points, and points outside every image."""
    rng = np.random.default_rng(seed)
    views, channels, points = rng.integers(1, 6), rng.integers(1, 40), rng.integers(0, 300)
    height, width = rng.integers(2, 20, 2)
    rotation = np.linalg.qr(rng.standard_normal((views, 3, 3)))[0]
    pose = np.concatenate([rotation, rng.normal(0, 1.5, (views, 3, 1))], 2)
    focal = rng.uniform(0.4, 1.5) * width
    intrinsics = np.array([[focal, 0, (width - 1) / 2], [0, focal, (height - 1) / 2], [0, 0, 1]])
    given = (rng.standard_normal((views, channels, height, width)), intrinsics @ pose, rng.uniform(-2, 2, (points, 3)))
    features, projection, positions = (torch.tensor(value, dtype=dtype) for value in given)
    return features, projection, positions


def without_borders(given: Problem) -> Problem:
    """Exclude points that rounding may place on either side of an image's edge."""
    features, projection, positions = given
    height, width = features.shape[2:]
    sides = [locate(projection.double(), positions.double() * (1 + step), height, width)[2] for step in (-1e-5, 0, 1e-5)]
    clear = (sides[0] == sides[1]) & (sides[1] == sides[2])
    return features, projection, positions[clear.all(0)]


def with_gradient(given: Problem, backend: str, seed: int = 0) -> tuple[torch.Tensor, ...]:
    features = given[0].clone().requires_grad_()
    mean, depth, count = back_project(features, *given[1:], backend=backend)  # type: ignore[arg-type]
    assert not depth.requires_grad
    (mean * torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))).sum().backward()
    assert features.grad is not None
    return mean.detach(), depth, count, features.grad


def agree(given: Problem) -> tuple[torch.Tensor, ...]:
    ours, theirs = with_gradient(given, "native"), with_gradient(given, "reference")
    assert torch.equal(ours[2], theirs[2])
    assert all(value.isfinite().all() for value in ours)
    for mine, other in zip(ours, theirs):
        torch.testing.assert_close(mine, other, atol=1e-4, rtol=1e-4)
    return ours


@pytest.mark.parametrize("seed", range(60))
def test_native_equals_reference(seed: int) -> None:
    agree(without_borders(problem(seed)))


def test_the_random_problems_have_points_seen_by_none_by_one_and_by_several() -> None:
    counts = torch.cat([back_project(*problem(seed))[2] for seed in range(10)])
    assert {0, 1, 2} <= set(counts.tolist())


def test_two_views_by_hand() -> None:
    """A point two metres ahead projects halfway between two pixels of one view and onto a pixel of the other."""
    ramp = torch.arange(4.0).expand(2, 1, 3, 4) * torch.tensor([1.0, 10.0])[:, None, None, None]
    projection = torch.tensor([[[2.0, 0, 1.5, 0], [0, 2, 1, 0], [0, 0, 1, 0]], [[2.0, 0, 1, 0], [0, 2, 1, 0], [0, 0, 1, 1]]])
    for backend in ("native", "reference"):
        mean, depth, count = back_project(ramp, projection[:, :3], torch.tensor([[0.0, 0, 2], [0, 0, -3]]), backend)
        # The second view's principal point moves with depth: column 1 * 2 / 3.
        assert mean[:, 0].tolist() == pytest.approx([(1.5 + 20 / 3) / 2, 0.0])
        assert depth.tolist() == pytest.approx([2.5, 0.0])
        assert count.tolist() == [2, 0]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize("entry", [(0, 0), (1, 3), (2, 2), (2, 3)])
def test_a_view_whose_projection_is_not_finite_sees_nothing(value: float, entry: tuple[int, int]) -> None:
    features, projection, positions = without_borders(problem(2))
    broken = projection.clone()
    broken[0][entry] = value
    _, _, count, gradient = agree((features, broken, positions))
    rest = back_project(features[1:], projection[1:], positions)[2]
    assert torch.equal(count, rest)
    assert not gradient[0].any()


def test_points_on_and_behind_the_camera_plane_are_not_seen() -> None:
    features = torch.rand(1, 3, 5, 5)
    projection = torch.tensor([[[4.0, 0, 2, 0], [0, 4, 2, 0], [0, 0, 1, 0]]])
    positions = torch.tensor([[0.0, 0, 0], [1, 1, 0], [0, 0, -1], [0, 0, -1e-30], [math.nan, 0, 1], [0, 0, 1]])
    mean, depth, count, _ = agree((features, projection, positions))
    assert count.tolist() == [0, 0, 0, 0, 0, 1]
    assert not mean[:5].any()
    assert not depth[:5].any()


def test_corner_pixels_are_seen_and_have_their_own_features() -> None:
    features = torch.rand(1, 4, 6, 9)
    projection = torch.tensor([[[1.0, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]])
    corners = torch.tensor([[0.0, 0, 1], [8, 0, 1], [0, 5, 1], [8, 5, 1]])
    mean, _, count, gradient = agree((features, projection, torch.cat([corners, corners + torch.tensor([9.0, 0, 0])])))
    assert count.tolist() == [1] * 4 + [0] * 4
    torch.testing.assert_close(mean[:4], features[0][:, [0, 0, 5, 5], [0, 8, 0, 8]].T)
    assert int(gradient.any(1).sum()) == 4


def test_nothing_visible_and_nothing_to_see() -> None:
    features, projection, positions = problem(1)
    away = projection.clone()
    away[:, 2] = torch.tensor([0.0, 0, 0, -1])
    no_views = (features[:0], projection[:0], positions)
    for given in ((features, away, positions), (features, projection, positions[:0]), no_views):
        results = agree(given)
        assert not any(value.any() for value in results)
        assert results[0].shape == (len(given[2]), features.shape[1])


@pytest.mark.parametrize("seed", [0, 3])
def test_gradcheck_of_the_reference(seed: int) -> None:
    features, projection, positions = problem(seed, torch.float64)
    few = features[:2, :2, :5, :5].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: back_project(x, projection[:2], positions[:9], "reference")[0], few)


def test_threads_do_not_change_the_result() -> None:
    results = []
    before = torch.get_num_threads()
    for threads in (1, 2, 7):  # more threads than views, so they split the channels
        torch.set_num_threads(threads)
        results.append(with_gradient(problem(8), "native"))
    torch.set_num_threads(before)
    for other in results[1:]:
        assert all(torch.equal(a, b) for a, b in zip(results[0], other))


def test_layouts_and_types_of_what_is_given() -> None:
    features, projection, positions = without_borders(problem(6))
    expected = with_gradient((features, projection, positions), "native")
    bottom = torch.tensor([[[0.0, 0, 0, 1]]]).expand(len(projection), 1, 4)
    strided = positions.T.contiguous().T
    last = features.to(memory_format=torch.channels_last)
    for mine, other in zip(with_gradient((last, torch.cat([projection, bottom], 1), strided), "native"), expected):
        assert torch.equal(mine, other)
    mean, _, _ = back_project(features.bfloat16(), projection, positions)
    assert mean.dtype == torch.float32
    torch.testing.assert_close(mean, expected[0], atol=0.05, rtol=0.05)
    assert back_project(features.double(), projection, positions)[0].dtype == torch.float64


def test_opcheck() -> None:
    features, projection, positions = problem(4)
    torch.library.opcheck(_native_back_project, (features.requires_grad_(), projection, positions))
    mean, _, count = _native_back_project(features.detach(), projection, positions)
    torch.library.opcheck(_native_backward, (mean, projection, positions, count, *features.shape[2:]))


def test_wrong_arguments_are_named() -> None:
    features, projection, positions = problem(0)
    wrong = [
        ("features", (features[0], projection, positions)),
        ("features", (features.int(), projection, positions)),
        ("2 x 2 pixels", (features[..., :1], projection, positions)),
        ("projection", (features, projection[:, :2], positions)),
        ("projection", (features, projection[:0], positions)),
        ("positions", (features, projection, positions[:, :2])),
        ("positions is on meta", (features, projection, positions.to("meta"))),
    ]
    for words, given in wrong:
        with pytest.raises(ValueError, match=words):
            back_project(*given)
    with pytest.raises(ValueError, match="float64"):
        back_project(features.double(), projection, positions, backend="native")


@pytest.mark.gpu
def test_cuda_equals_cpu() -> None:
    features, projection, positions = problem(5)
    here = with_gradient((features, projection, positions), "native")
    leaf = features.cuda().requires_grad_()
    mean, depth, count = back_project(leaf, projection.cuda(), positions.cuda())
    (mean * torch.randn(mean.shape, generator=torch.Generator().manual_seed(0)).cuda()).sum().backward()
    for mine, other in zip((mean, depth, count, leaf.grad), here):
        assert mine is not None
        torch.testing.assert_close(mine.cpu(), other, atol=1e-5, rtol=1e-5)
