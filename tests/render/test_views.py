"""Cameras around a mesh see all of it, and overviews select the open side."""

import numpy as np
import pytest
import torch

from deep3dmap.geometry.cameras import invert, project
from deep3dmap.render.mesh_renderer import render_mesh
from deep3dmap.render.views import orbit, overview

CUBE = torch.tensor([[x, y, z] for x in (-1.0, 1) for y in (-2.0, 2) for z in (-0.5, 0.5)])


@pytest.mark.parametrize("elevation", [-20.0, 0.0, 30.0, 90.0])
@pytest.mark.parametrize(("width", "height"), [(200, 100), (90, 160)])
def test_an_orbit_sees_every_corner_and_fills_the_picture(elevation: float, width: int, height: int) -> None:
    widest = 0.0
    for intrinsics, pose in orbit(CUBE + 5, 5, elevation_degrees=elevation, width=width, height=height):
        pixels, depth = project(CUBE.double() + 5, intrinsics, invert(pose))
        assert (depth > 0).all()
        assert (pixels >= 0).all()
        assert (pixels <= torch.tensor([width, height])).all()
        spread = (pixels - torch.tensor([width / 2, height / 2])).abs() / torch.tensor([width / 2, height / 2])
        widest = max(widest, float(spread.max()))
    assert widest > 0.85


def test_an_orbit_goes_around_up() -> None:
    up = (0.0, 1.0, 0.0)
    eyes = torch.stack(
        [view.world_from_camera[:3, 3] for view in orbit(CUBE, 4, elevation_degrees=30, width=9, height=9, up=up)]
    )
    assert torch.allclose(eyes[:, 1], eyes[0, 1].expand(4))
    assert torch.allclose(eyes.mean(0)[[0, 2]], torch.zeros(2, dtype=torch.float64), atol=1e-9)
    assert eyes[0, 1] == pytest.approx(float(eyes[0].norm()) / 2)


def test_stray_vertices_do_not_shrink_the_mesh() -> None:
    many = torch.rand(5000, 3, generator=torch.Generator().manual_seed(0))
    near = orbit(many, 1, elevation_degrees=0, width=50, height=50)[0]
    stray = orbit(torch.cat([many, torch.tensor([[900.0, 0, 0]])]), 1, elevation_degrees=0, width=50, height=50)[0]
    assert torch.allclose(near.world_from_camera, stray.world_from_camera, atol=0.05)


def test_no_vertices_are_refused() -> None:
    with pytest.raises(ValueError, match="no vertices"):
        orbit(torch.zeros(0, 3), 1, elevation_degrees=0, width=9, height=9)


def test_the_overview_of_a_corner_looks_into_it() -> None:
    # Two walls and a floor that face the open side of the corner, +x +y +z.
    vertices = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], np.float32)
    faces = np.array([[0, 1, 2], [0, 2, 3], [0, 3, 1]])
    intrinsics, pose = overview(vertices, faces, width=80, height=60)
    assert (pose[:3, 3] > 0.5).all()
    seen = render_mesh(vertices, faces, intrinsics, pose, 60, 80, cull="back")
    assert set(seen.face_id.unique().tolist()) == {-1, 0, 1, 2}


@pytest.mark.parametrize(("width", "height"), [(200, 100), (90, 160)])
def test_the_overview_is_centred_and_full(width: int, height: int) -> None:
    points = CUBE + torch.tensor([7.0, -3.0, 2.0])
    intrinsics, pose = overview(points, torch.tensor([[0, 2, 6], [1, 3, 7]]), width=width, height=height)
    pixels, _ = project(points.double(), intrinsics, invert(pose))
    low, high = pixels.amin(0), pixels.amax(0)
    size = torch.tensor([width, height], dtype=torch.float64)
    assert ((low >= 0) & (high <= size)).all()
    assert ((high - low) / size).max() > 0.9
    fullest = int(((high - low) / size).argmax())
    assert float((low + high)[fullest]) == pytest.approx(float(size[fullest]), abs=0.5)
