"""The Neural 3D Mesh Renderer's rasteriser against GAN2Shape's use of it: depth of a relief, its gradient, textured views."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from deep3dmap.ops.neural_mesh import render_neural_mesh
from deep3dmap.ops.neural_mesh_paint import cubes_from_corners, paint_cubes
from deep3dmap.render.neural_mesh import NeuralMeshRenderer
from deep3dmap.render.renderer import Surface, View

Load = Callable[[str], Any]
EMPTY = 1.2


@pytest.fixture(scope="module")
def part(load_part: Load) -> Any:
    return load_part("gan2shape/renderer64")


def relief_faces(rows: int, columns: int) -> Tensor:
    """Two triangles for each cell of a grid of vertices, all first ones before all second ones."""
    index = torch.arange(rows * columns).reshape(rows, columns)
    first = torch.stack([index[:-1, :-1], index[1:, :-1], index[:-1, 1:]], -1)
    second = torch.stack([index[:-1, 1:], index[1:, :-1], index[1:, 1:]], -1)
    return torch.cat([first.reshape(-1, 3), second.reshape(-1, 3)])


def warped(part: Any, depth: Tensor, item: int) -> Tensor:
    """Lift a depth map, seen at whole pixels, and turn it about the point one unit before the camera; (H * W, 3)."""
    side = depth.shape[0]
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    rays = torch.stack([columns, rows, torch.ones_like(rows)], -1).float() @ part.tensor("inv_K")[0].T
    pivot = torch.tensor([0.0, 0.0, part.manifest["settings"]["rot_center_depth"]])
    points = (rays * depth[..., None]).reshape(-1, 3) - pivot
    return points @ part.tensor("rot_mat")[item].T + pivot + part.tensor("trans_xyz")[item]


def to_pixels(part: Any, points: Tensor) -> Tensor:
    seen = points @ part.tensor("K")[0].T
    return torch.cat([seen[:, :2] / seen[:, 2:], points[:, 2:]], 1)


def cubes_of(image: Tensor, faces: Tensor) -> Tensor:
    """Texture cubes (F, 2, 2, 2, 3) of the colours (3, h, w) of a relief, as the official code makes them.

    It takes the corners of a cell along its rows and the faces down its columns, so two corners of each face are exchanged.
    """
    corners = image.permute(1, 2, 0).reshape(-1, 3)[faces]
    half = len(faces) // 2
    return cubes_from_corners(torch.cat([corners[:half, [0, 2, 1]], corners[half:, [1, 0, 2]]]))


def test_faces_and_texture_cubes(part: Any) -> None:
    faces = relief_faces(4, 5)
    assert torch.equal(faces, part.tensor("faces_4x5").long())
    torch.testing.assert_close(cubes_of(part.tensor("im")[0, :, :4, :5], faces), part.tensor("texture_cubes_4x5")[0])


@pytest.mark.parametrize("item", [0, 1])
def test_depth_and_its_gradient(part: Any, item: int) -> None:
    depth = part.tensor("depth")[item].clone().requires_grad_()
    points = warped(part, depth, item)
    torch.testing.assert_close(points.detach(), part.tensor("warped_grid_3d")[item].reshape(-1, 3), atol=1e-6, rtol=1e-6)
    drawn = render_neural_mesh(to_pixels(part, points), relief_faces(64, 64), 64, 64, near=0.1, far=100.0)
    # Where a quarter of a pixel shows the background at 100, the mean lies beyond all of the surface: such pixels are empty.
    seen = drawn.depth.clamp(0.8, EMPTY)
    stable = part.tensor("stable_depth")[item] == 1
    assert stable.float().mean() > 0.99
    torch.testing.assert_close(seen[stable], part.tensor("warped_depth")[item][stable], atol=1e-5, rtol=0)
    (seen * part.tensor("cot_depth")[item]).sum().backward()
    assert depth.grad is not None
    expected = part.tensor("grad_depth_of_warped_depth")[item]
    close = (depth.grad - expected).abs() <= 1e-3 * expected.abs().max()
    assert close.float().mean() > 0.99
    assert float((depth.grad - expected).norm() / expected.norm()) < 1e-2


@pytest.mark.parametrize("item", [0, 1])
def test_a_textured_relief(part: Any, item: int) -> None:
    faces = relief_faces(64, 64)
    paint = paint_cubes(cubes_of(part.tensor("im")[item], faces))
    pixels = to_pixels(part, part.tensor("warped_grid_3d")[item].reshape(-1, 3))
    drawn = render_neural_mesh(pixels, faces, 64, 64, paint=paint, background=(1.0, 1.0, 1.0), near=0.1, far=10.0)
    stable = part.tensor("stable_mesh")[item] == 1
    assert stable.float().mean() > 0.98
    assert (drawn.image - part.tensor("given_view_mesh")[item]).abs()[:, stable].max() < 1e-5


@pytest.mark.parametrize("item", [0, 1])
def test_the_renderer_sees_the_same(part: Any, item: int) -> None:
    """Its depth is sampled once in a pixel, that of the reference is the mean of four samples."""
    points = part.tensor("warped_grid_3d")[item].reshape(-1, 3)
    view = View(part.tensor("K")[0], torch.eye(4), 64, 64, near=0.1)
    drawn = NeuralMeshRenderer(far=10.0).render(Surface(points, relief_faces(64, 64)), view)
    reference = part.tensor("warped_depth")[item]
    stable = part.tensor("stable_depth")[item] == 1
    assert torch.equal((drawn.silhouette == 1)[stable], (reference < EMPTY)[stable])
    inside = stable & (reference < EMPTY)
    error = (drawn.depth - reference).abs()[inside]
    assert error.median() < 1e-4
    assert error.quantile(0.95) < 2e-3
