"""Quadrilateral surfaces and their renderings: closed-form areas, volumes, normals and light."""

import numpy as np
import pytest
import trimesh

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.scenes.rooms_shapes import Quads, box, joined, panel, sphere, triangles
from deep3dmap.data.scenes.rooms_textures import Material
from deep3dmap.data.scenes.solid_render import Daylight, SolidRenderer
from deep3dmap.data.scenes.solid_shapes import height_field, mesh_of, ring, stretched, turned
from deep3dmap.data.scenes.sphere_cameras import square_intrinsics
from deep3dmap.geometry.cameras import look_at

PAINT = [Material("plain", (0.6, 0.4, 0.2), (0.6, 0.4, 0.2), grain=0.0)]


def as_trimesh(quads: Quads) -> trimesh.Trimesh:
    mesh = mesh_of(quads, np.zeros((4 * len(quads), 3), np.float32))
    return trimesh.Trimesh(mesh.vertices, mesh.faces, process=False)


def test_turning_moves_corners_and_normals_and_leaves_textures_on_the_part() -> None:
    plate = panel([(0, 0, 0), (1, 0, 0), (1, 2, 0), (0, 2, 0)], 3)
    up = turned(plate, 0, 90.0, (0.0, 0.0, 5.0))
    np.testing.assert_allclose(up.corners[0], [(0, 0, 5), (1, 0, 5), (1, 0, 7), (0, 0, 7)], atol=1e-12)
    np.testing.assert_allclose(up.normals[0], np.tile([0, -1, 0], (4, 1)), atol=1e-12)
    np.testing.assert_array_equal(up.local, plate.local)
    for axis in range(3):
        there_and_back = turned(turned(plate, axis, 37.0), axis, -37.0)
        np.testing.assert_allclose(there_and_back.corners, plate.corners, atol=1e-12)


def test_a_stretched_ball_has_the_normals_of_an_ellipsoid() -> None:
    factors = np.array([2.0, 0.5, 1.5])
    ball = sphere(1.0, 0.0, 0, 48)
    egg = stretched(ball, tuple(factors))
    points = ball.normals * factors  # position of the surface according to the ball's normals
    expected = points / factors**2
    expected /= np.linalg.norm(expected, axis=-1, keepdims=True)
    np.testing.assert_allclose(egg.normals, expected, atol=1e-9)
    assert as_trimesh(egg).volume == pytest.approx(4 / 3 * np.pi * factors.prod(), rel=0.02)


def test_a_ring_is_a_torus() -> None:
    whole = ring(2.0, 0.5, 0, segments=96, around=48)
    body = as_trimesh(whole)
    assert body.is_watertight
    assert body.euler_number == 0
    assert body.volume == pytest.approx(2 * np.pi**2 * 2 * 0.25, rel=0.01)
    assert body.area == pytest.approx(4 * np.pi**2 * 2 * 0.5, rel=0.01)
    circle = whole.corners * (1, 1, 0)
    circle *= 2.0 / np.linalg.norm(circle, axis=-1, keepdims=True)
    np.testing.assert_allclose(whole.normals, (whole.corners - circle) / 0.5, atol=1e-9)
    quarter = as_trimesh(ring(2.0, 0.5, 0, arc=(0.0, 90.0), segments=24, around=48))
    assert quarter.area == pytest.approx(body.area / 4, rel=1e-6)
    assert not quarter.is_watertight, "its ends are open"


@pytest.mark.parametrize("growth", [1.0, 1.8])
def test_a_height_field_lies_on_its_function(growth: float) -> None:
    """Central differences are exact for a paraboloid."""
    field = height_field(lambda x, y: 0.02 * x * x - 0.03 * x * y + 1, 10.0, 20, 0, growth)
    x, y, z = np.moveaxis(field.corners, -1, 0)
    np.testing.assert_allclose(z, 0.02 * x * x - 0.03 * x * y + 1, atol=1e-12)
    normals = np.stack([-0.04 * x + 0.03 * y, 0.03 * x, np.ones_like(x)], -1)
    np.testing.assert_allclose(field.normals, normals / np.linalg.norm(normals, axis=-1, keepdims=True), atol=1e-6)
    assert len(field) == 400
    assert (x.min(), x.max(), y.min(), y.max()) == (-10, 10, -10, 10)
    areas = np.abs((x[:, 1] - x[:, 0]) * (y[:, 3] - y[:, 0]))
    assert (areas.max() > 5 * areas.min()) == (growth > 1)
    assert areas.sum() == pytest.approx(400)


def test_meshes_join_what_touches_unless_its_material_differs() -> None:
    cube = box((0, 0, 0), (1, 1, 1), 0)
    assert len(as_trimesh(cube).vertices) == 8
    painted = Quads(cube.corners, cube.normals, np.arange(6), cube.local)
    assert len(as_trimesh(painted).vertices) == 24
    ball = as_trimesh(sphere(1.0, 0.0, 0, 24))
    assert ball.euler_number == 2, "poles are single vertices and their empty triangles are gone"
    assert len(triangles(cube)) == 12


def above(height: float, size: int = 20) -> Camera:
    pose = look_at((0.0, 0.0, height), (0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0)).numpy()
    return Camera(square_intrinsics(size, 2 * np.arctan(0.5)), pose, size, size)


def test_a_plate_is_drawn_in_the_light_that_falls_on_it() -> None:
    """A plate four units below the camera is lit by the sun at sixty degrees; it fills the middle half of the image."""
    plate = panel([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], 0)
    light = Daylight(sun=(3**0.5, 0.0, 1.0), direct=0.6, sky=0.4, ground=0.5, gloss=0.0)
    picture = SolidRenderer(plate, PAINT, light, supersample=2).picture(above(4.0))
    inside = np.zeros((20, 20), bool)
    inside[5:15, 5:15] = True
    np.testing.assert_array_equal(picture.mask, inside)
    np.testing.assert_allclose(picture.depth, np.where(inside, 4.0, 0), atol=1e-5)
    expected = np.array([0.6, 0.4, 0.2]) * (0.6 * 0.5 + 0.4)
    np.testing.assert_allclose(picture.image[:, 7, 9], expected, atol=1e-5)
    assert (picture.image[:, ~inside] == 0).all()


def test_highlights_stand_where_the_sun_is_mirrored() -> None:
    plate = panel([(-1, -1, 0), (1, -1, 0), (1, 1, 0), (-1, 1, 0)], 0)
    sun = (0.2, 0.0, 1.0)
    dull, glossy = (
        SolidRenderer(plate, PAINT, Daylight(sun=sun, gloss=gloss), 1).picture(above(4.0, 40)) for gloss in (0.0, 0.3)
    )
    gain = (glossy.image - dull.image).mean(0)
    row, column = np.unravel_index(gain.argmax(), gain.shape)
    # Blinn: the peak is where the normal bisects the angle; from four units up, that is x = 0.8, which is pixel 28.
    assert abs(column + 0.5 - 28) <= 1
    assert abs(row + 0.5 - 20) <= 1
    assert gain.max() == pytest.approx(0.3, abs=0.01)


def test_only_what_a_view_showed_is_in_the_mesh() -> None:
    cube = box((-0.5, -0.5, -0.5), (0.5, 0.5, 0.5), 0)
    hidden = panel([(-0.2, -0.2, -2), (0.2, -0.2, -2), (0.2, 0.2, -2), (-0.2, 0.2, -2)], 0)
    renderer = SolidRenderer(joined([cube, hidden]), PAINT, Daylight(gloss=0.0))
    renderer.picture(above(4.0))
    top: Mesh = renderer.visible_mesh()
    assert len(top.faces) == 2
    np.testing.assert_allclose(top.vertices[:, 2], 0.5)
    assert top.colors is not None
    pose = look_at((4.0, 0.0, 0.0), (0.0, 0.0, 0.0)).numpy()
    renderer.picture(Camera(square_intrinsics(20, 0.5), pose, 20, 20))
    assert len(renderer.visible_mesh().faces) == 4
