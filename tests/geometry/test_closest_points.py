"""Closest points of a mesh: exact on faces, edges and corners, for any triangles."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from deep3dmap.geometry import closest_points
from deep3dmap.geometry.closest_points import ClosestPoints, closest_on_triangles
from deep3dmap.geometry.icosphere import icosphere

TRIANGLE = np.array([[0.0, 0, 0], [2, 0, 0], [0, 2, 0]])


@pytest.mark.parametrize(
    ("point", "closest"),
    [
        ((0.5, 0.5, 3.0), (0.5, 0.5, 0.0)),  # above the inside
        ((1.0, -1.0, 0.0), (1.0, 0.0, 0.0)),  # beyond a side
        ((2.0, 2.0, 1.0), (1.0, 1.0, 0.0)),  # beyond the long side
        ((-1.0, -2.0, 5.0), (0.0, 0.0, 0.0)),  # beyond a corner
        ((5.0, 0.1, 0.0), (2.0, 0.0, 0.0)),
    ],
)
def test_one_triangle(point: tuple[float, ...], closest: tuple[float, ...]) -> None:
    found = ClosestPoints(TRIANGLE, [[0, 1, 2]])(np.array([point]))
    np.testing.assert_allclose(found.point[0].numpy(), closest, atol=1e-12)
    assert found.distance[0].item() == pytest.approx(np.linalg.norm(np.subtract(point, closest)))
    assert found.face.tolist() == [0]


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 10**6), st.sampled_from([0.05, 1.0, 30.0]), st.booleans())
def test_a_search_finds_what_trying_all_finds(seed: int, spread: float, degenerate: bool) -> None:
    generator = np.random.default_rng(seed)
    vertices = generator.normal(size=(40, 3)) * np.exp(generator.normal(size=(40, 1)))
    faces = generator.integers(0, 40, (60, 3))
    if degenerate:
        faces[::3, 1] = faces[::3, 0]
    points = generator.normal(size=(30, 3)) * spread
    every = closest_on_triangles(np.repeat(points, 60, 0), np.tile(vertices[faces], (30, 1, 1)))
    least = np.linalg.norm(every.reshape(30, 60, 3) - points[:, None], axis=2).min(1)
    found = ClosestPoints(vertices, faces)(points)
    np.testing.assert_allclose(found.distance.numpy(), least, rtol=1e-12, atol=1e-12)
    on_it = closest_on_triangles(found.point.numpy(), vertices[faces[found.face.numpy()]])
    np.testing.assert_allclose(on_it, found.point.numpy(), atol=1e-9 * (1 + np.abs(vertices).max()))


def test_no_point_of_a_triangle_is_closer_than_the_closest() -> None:
    generator = np.random.default_rng(0)
    corners, points = generator.normal(size=(50, 3, 3)), generator.normal(size=(50, 3)) * 2
    least = np.linalg.norm(closest_on_triangles(points, corners) - points, axis=1)
    on_triangles = np.einsum("sk,nkc->snc", generator.dirichlet((1, 1, 1), 500), corners)
    assert (np.linalg.norm(on_triangles - points, axis=2) >= least - 1e-12).all()


def test_a_sphere_and_blocks_of_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    vertices, faces = icosphere(3)
    outside = np.random.default_rng(1).normal(size=(200, 3))
    outside *= 1.5 / np.linalg.norm(outside, axis=1, keepdims=True)
    found = ClosestPoints(vertices, faces)(outside)
    assert ((found.distance >= 0.5) & (found.distance < 0.51)).all()
    monkeypatch.setattr(closest_points, "MAX_PAIRS", 100)
    again = ClosestPoints(vertices, faces)(outside)
    assert torch.equal(again.distance, found.distance)
    assert torch.equal(again.face, found.face)


def test_no_points_have_no_closest_ones() -> None:
    found = ClosestPoints(TRIANGLE, [[0, 1, 2]])(np.zeros((0, 3)))
    assert (found.distance.shape, found.point.shape, found.face.shape) == ((0,), (0, 3), (0,))


@pytest.mark.parametrize(
    ("vertices", "faces", "words"),
    [
        (TRIANGLE, np.zeros((0, 3), np.int64), "no faces"),
        (TRIANGLE[:, :2], [[0, 1, 2]], "must be"),
        (TRIANGLE * np.nan, [[0, 1, 2]], "non-finite"),
        (TRIANGLE, [[0, 1, 3]], "index"),
    ],
)
def test_a_mesh_without_an_answer_is_refused(vertices: np.ndarray, faces: np.ndarray, words: str) -> None:
    with pytest.raises((ValueError, IndexError), match=words):
        ClosestPoints(vertices, faces)


@pytest.mark.parametrize("points", [np.zeros((2, 2)), np.full((1, 3), np.inf)])
def test_points_without_an_answer_are_refused(points: np.ndarray) -> None:
    with pytest.raises(ValueError, match="points"):
        ClosestPoints(TRIANGLE, [[0, 1, 2]])(points)
