"""Renderings of an empty room with closed-form depth, angles and visibility."""

import numpy as np
import pytest
import torch

from deep3dmap.data.scenes import rooms_render
from deep3dmap.data.scenes.rooms_camera import pinhole
from deep3dmap.data.scenes.rooms_layout import Room
from deep3dmap.data.scenes.rooms_render import RoomRenderer, SeenSurface
from deep3dmap.data.scenes.rooms_shapes import box, joined, panel, refined
from deep3dmap.data.scenes.rooms_textures import Material
from deep3dmap.geometry.cameras import look_at, unproject

SIZE = np.array([4.0, 5.0, 2.5])
EYE = np.array([1.0, 2.0, 1.2])
INTRINSICS = pinhole(48, 36)
GREY = Material("plain", (0.5, 0.5, 0.5), (0.5, 0.5, 0.5), grain=0.0)


def room(*things: object) -> Room:
    shell = box((0, 0, 0), tuple(SIZE), 0, inside=True)
    quads = joined([shell, *things])  # type: ignore[list-item]
    return Room(tuple(SIZE), quads, [GREY], np.array([[2.0, 2.5, 2.3]]), np.array([1.5]))  # type: ignore[arg-type]


def pose(target: tuple[float, float, float]) -> np.ndarray:
    return look_at(EYE, target).numpy()


def walls(view: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return depth and cosine (36, 48) of the rays to the shell, from slab intersections of a box seen from inside."""
    rows, columns = np.mgrid[:36, :48] + 0.5
    camera = np.stack([columns, rows, np.ones_like(rows)], -1) @ np.linalg.inv(INTRINSICS).T
    rays = camera @ view[:3, :3].T
    with np.errstate(divide="ignore"):
        reach = np.maximum((0 - EYE) / rays, (SIZE - EYE) / rays)
    axis = reach.argmin(-1)[..., None]
    cosine = np.abs(np.take_along_axis(rays, axis, -1)[..., 0]) / np.linalg.norm(rays, axis=-1)
    return reach.min(-1), cosine


@pytest.mark.parametrize("target", [(3.5, 4.0, 1.0), (0.5, 0.2, 0.3), (1.5, 4.5, 2.3)])
def test_depth_and_angle_are_those_of_the_walls(target: tuple[float, float, float]) -> None:
    frame = RoomRenderer(room(), 0.5).frame(pose(target), INTRINSICS, 36, 48)
    depth, cosine = walls(pose(target))
    np.testing.assert_allclose(frame.depth, depth, rtol=1e-4)
    steady = np.ones((36, 48), bool)
    for shift, axis in ((1, 0), (-1, 0), (1, 1), (-1, 1)):
        steady &= np.abs(np.roll(cosine, shift, axis) - cosine) < 0.1  # not at the room's edges
    np.testing.assert_allclose(frame.cosine[steady], cosine[steady], atol=2e-3)
    assert frame.image.shape == (3, 36, 48)
    assert frame.image.min() > 0
    assert frame.image.max() <= 1


def test_grey_walls_have_the_brightness_of_their_light() -> None:
    """What is grey shows the square root of albedo squared times light, alike in all channels; the floor under the lamp is
    brighter than the corner beside it."""
    view = pose((2.0, 2.5, 0.0))
    frame = RoomRenderer(room(), 0.5).frame(view, INTRINSICS, 36, 48)
    np.testing.assert_allclose(frame.image[0], frame.image[1], atol=1e-6)
    np.testing.assert_allclose(frame.image[0], frame.image[2], atol=1e-6)
    assert frame.image[0].max() <= 0.5 * np.sqrt(1.5 / 0.8 + 0.4)
    points = unproject(frame.depth.astype(np.float64), INTRINSICS, view).numpy()
    away = np.linalg.norm(points[..., :2] - (2.0, 2.5), axis=-1)
    floor = points[..., 2] < 0.01
    assert frame.image[0][floor & (away < 0.3)].min() > frame.image[0][floor & (away > 1.5)].max()


def test_the_mesh_is_what_was_seen_and_no_more() -> None:
    renderer = RoomRenderer(room(), 0.25)
    renderer.frame(pose((1.0, 5.0, 1.2)), INTRINSICS, 36, 48)
    mesh = renderer.visible_mesh()
    assert mesh.vertices[:, 1].min() > 2.0, "nothing behind the camera"
    wall = mesh.vertices[np.isclose(mesh.vertices[:, 1], 5.0)]
    # The wall three metres ahead: everything the image covers, up to one piece.
    half = 3 * 24 / INTRINSICS[0, 0]
    assert wall[:, 0].max() == pytest.approx(min(4.0, 1.0 + half), abs=0.26)
    assert wall[:, 0].min() == pytest.approx(0.0, abs=1e-6)
    before = len(mesh.faces)
    renderer.frame(pose((1.0, 5.0, 1.2)), INTRINSICS, 36, 48)
    assert len(renderer.visible_mesh().faces) == before
    renderer.frame(pose((1.0, -5.0, 1.2)), INTRINSICS, 36, 48)
    assert len(renderer.visible_mesh().faces) > before
    assert renderer.visible_mesh().vertices[:, 1].min() == pytest.approx(0.0, abs=1e-6)


def test_what_stands_behind_something_is_not_seen() -> None:
    screen = panel([(0.0, 3.0, 0.0), (4.0, 3.0, 0.0), (4.0, 3.0, 2.5), (0.0, 3.0, 2.5)], 0)
    renderer = RoomRenderer(room(screen), 0.25)
    renderer.frame(pose((1.0, 5.0, 1.2)), INTRINSICS, 36, 48)
    assert renderer.visible_mesh().vertices[:, 1].max() == pytest.approx(3.0, abs=0.26)


def test_pieces_are_marked_by_the_quad_that_shows_at_their_centre() -> None:
    square = panel([(-1, -1, 2), (1, -1, 2), (1, 1, 2), (-1, 1, 2)], 0)
    intrinsics = np.array([[8.0, 0, 8], [0, 8, 8], [0, 0, 1]])
    surface = SeenSurface(square, 0.5)
    pieces, _ = refined(square, 0.5)
    left = torch.full((16, 16), -1)
    left[:, :8] = 0  # the square is visible only in the left half of the image
    surface.mark(np.eye(4), intrinsics, left)
    seen = surface.quads().corners.mean(1)
    expected = pieces.corners.mean(1)
    expected = expected[expected[:, 0] < 0]
    np.testing.assert_allclose(sorted(map(tuple, seen)), sorted(map(tuple, expected)))
    surface.mark(np.eye(4), intrinsics, torch.full((16, 16), 7))
    assert len(surface.quads()) == len(expected), "another quad stands before it"
    surface.mark(np.eye(4), intrinsics, torch.zeros(16, 16, dtype=torch.int64))
    assert len(surface.quads()) == len(pieces)


def test_the_samples_of_pixels_are_the_four_within_each() -> None:
    samples = rooms_render._samples_of(torch.tensor([0, 2, 4]), 3)
    assert samples.view(3, 4).tolist() == [[0, 1, 6, 7], [4, 5, 10, 11], [14, 15, 20, 21]]
