"""Vectorised CUDA kernels against the CPU, for sizes and memory offsets that are not divisible by four."""

import pytest
import torch
from torch import Tensor

from deep3dmap.ops import back_project, integrate, rasterize
from deep3dmap.ops.rasterize_soft import rasterize_soft

pytestmark = pytest.mark.gpu


def shifted(values: Tensor, by: int) -> Tensor:
    """Return the values on the GPU, at an offset of `by` elements from the start of the allocation."""
    return torch.cat([values.new_zeros(by), values.reshape(-1)]).cuda()[by:].view(values.shape)


@pytest.mark.parametrize("colored", [False, True])
@pytest.mark.parametrize(
    ("shape", "by"),
    [((5, 7, 12), 0), ((5, 7, 13), 0), ((33, 9, 64), 0), ((33, 9, 64), 1), ((2, 3, 1028), 0), ((70, 1, 1), 0), ((0, 4, 4), 0)],
)
def test_a_volume_of_any_shape(shape: tuple[int, int, int], by: int, colored: bool) -> None:
    random = torch.Generator().manual_seed(1)
    depth, image = torch.rand(48, 64, generator=random) + 0.7, torch.rand(3, 48, 64, generator=random)
    depth[::7], depth[1, :9], depth[2, :9] = 0, torch.nan, torch.inf
    here = [torch.ones(shape), torch.zeros(shape), torch.zeros(3, *shape)]
    there = [shifted(one, by) for one in here]
    side = max(shape)
    intrinsics = torch.tensor([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]])
    origin = torch.tensor([-shape[0] / side, -shape[1] / side, 0.25])
    for _ in range(3):
        for (tsdf, weight, color), seen, painted in ((here, depth, image), (there, depth.cuda(), image.cuda())):
            colors = {"color": color, "image": painted} if colored else {}
            integrate(tsdf, weight, seen, intrinsics, torch.eye(4), origin, 2 / side, 0.2, **colors)  # type: ignore[arg-type]
    assert 0 in shape or bool((here[1] > 0).any())
    for one, other in zip(there, here, strict=True):
        torch.testing.assert_close(one.cpu(), other, atol=1e-6, rtol=0)


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize(
    ("points", "views", "channels", "by"),
    [(1, 1, 1, 0), (129, 9, 24, 0), (1000, 9, 24, 1), (257, 17, 7, 0), (500, 40, 80, 0), (0, 3, 4, 0), (300, 0, 4, 0)],
)
def test_features_of_any_number(points: int, views: int, channels: int, by: int, deterministic: bool) -> None:
    random = torch.Generator().manual_seed(1)
    features, positions = torch.rand(views, 30, 40, channels, generator=random), torch.rand(points, 3, generator=random) * 2 - 1
    projection = torch.tensor([[20.0, 0, 20, 0], [0, 20, 15, 0], [0, 0, 1, 1.5]]).expand(views, 3, 4).clone()
    projection[:, 0, 3] = torch.rand(views, generator=random) * 8
    gradient, found = torch.randn(points, channels, generator=random), []
    before = torch.are_deterministic_algorithms_enabled()
    torch.use_deterministic_algorithms(deterministic)
    try:
        for maps, device in ((features, "cpu"), (shifted(features, by), "cuda")):
            leaf = maps.permute(0, 3, 1, 2).requires_grad_()
            seen = back_project(leaf, projection.to(device), positions.to(device))
            found.append((*seen, *torch.autograd.grad(seen[0], leaf, gradient.to(device))))
    finally:
        torch.use_deterministic_algorithms(before)
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(other.detach().cpu(), one.detach(), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("perspective", [True, False])
@pytest.mark.parametrize(("count", "spread"), [(0, 1.0), (5, 300.0), (12, 400.0), (3000, 5.0), (60_000, 3.0), (60_000, 40.0)])
def test_faces_of_any_size(count: int, spread: float, perspective: bool) -> None:
    random = torch.Generator().manual_seed(1)
    centre = torch.rand(count, 1, 3, generator=random) * torch.tensor([200.0, 203, 1]) + torch.tensor([0.0, 0, 1])
    corners = centre + torch.randn(count, 3, 3, generator=random) * torch.tensor([spread, spread, 0.1])
    vertices, faces = corners.reshape(-1, 3), torch.arange(3 * count).reshape(count, 3)
    here = rasterize(vertices, faces, 203, 200, perspective=perspective)
    there = rasterize(vertices.cuda(), faces.cuda(), 203, 200, perspective=perspective)
    assert all(torch.equal(one.cpu(), other) for one, other in zip(there, here, strict=True))


def test_ids_that_are_not_there_are_refused() -> None:
    vertices, faces = torch.rand(30, 3).cuda(), torch.tensor([[0, 1, 2], [3, 4, 30]]).cuda()
    for draw in (rasterize, rasterize_soft):
        with pytest.raises(ValueError, match=r"faces index vertices 0..30, but there are 30"):
            draw(vertices, faces, 8, 8)  # type: ignore[operator]
