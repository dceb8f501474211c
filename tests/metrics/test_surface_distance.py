"""Distances between surfaces and silhouettes, against closed forms of simple shapes."""

import numpy as np
import pytest
import torch

from deep3dmap.geometry.alignment import Similarity3D, umeyama
from deep3dmap.geometry.cameras import look_at
from deep3dmap.geometry.closest_points import ClosestPoints
from deep3dmap.geometry.icosphere import icosphere
from deep3dmap.metrics import silhouette as outlines
from deep3dmap.metrics import surface_distance as metric

SPHERE, FACES = icosphere(4)
CUBE = np.array([[x, y, z] for x in (0.0, 1) for y in (0.0, 1) for z in (0.0, 1)])
# Two triangles per side, counter-clockwise from outside.
_SIDES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
CUBE_FACES = np.array([triangle for a, b, c, d in _SIDES for triangle in ((a, b, c), (a, c, d))])
COUNT = 4000


def distances(truth: np.ndarray, predicted: np.ndarray, faces: np.ndarray = FACES) -> torch.Tensor:
    return ClosestPoints(predicted, faces)(metric.sample_surface(truth, faces, COUNT).points).distance


def test_a_surface_lies_on_itself() -> None:
    assert distances(SPHERE, SPHERE).max() < 1e-9


def test_a_larger_sphere_is_farther_by_the_difference_of_radii() -> None:
    found = metric.distance_summary(distances(SPHERE, 1.25 * SPHERE))
    assert found["mean"] == pytest.approx(0.25, rel=5e-3)
    assert found["median"] == pytest.approx(0.25, rel=5e-3)
    assert found["std"] < 2e-3


def test_a_shifted_sphere_is_half_the_shift_away_on_average() -> None:
    # The distance of a point at angle t is |d cos t| to first order, with mean d / 2 over the sphere.
    found = metric.distance_summary(distances(SPHERE, SPHERE + np.array([0.02, 0, 0])))
    assert found["mean"] == pytest.approx(0.01, rel=0.03)
    assert found["std"] == pytest.approx(0.02 * np.sqrt(1 / 3 - 1 / 4), rel=0.03)


def test_a_cube_of_twice_the_size() -> None:
    # About the centre: every point on the inner cube is half an edge away from a side of the outer one.
    outer = 2 * (CUBE - 0.5) + 0.5
    inward = distances(CUBE, outer, CUBE_FACES)
    np.testing.assert_allclose(inward.numpy(), 0.5, atol=1e-12)
    # In the other direction edges and corners are farther: mean of sqrt(1/4 + a^2 + b^2), a, b the overhang, by quadrature.
    axis = (np.arange(1000) + 0.5) / 1000 * 2 - 0.5
    over = np.maximum(0, np.maximum(-axis, axis - 1))
    expected = np.sqrt(0.25 + over[:, None] ** 2 + over[None] ** 2).mean()
    assert float(distances(outer, CUBE, CUBE_FACES).mean()) == pytest.approx(expected, rel=2e-3)


def test_points_are_spread_by_area_and_the_same_every_time() -> None:
    points = metric.sample_surface(CUBE * [1, 1, 3], CUBE_FACES, COUNT)
    areas = np.array([1.0] * 12) * 1.5
    areas[[8, 9, 10, 11]] = 0.5
    np.testing.assert_allclose(np.bincount(points.face, minlength=12) / COUNT, areas / areas.sum(), atol=0.001)
    again = metric.sample_surface(CUBE * [1, 1, 3], CUBE_FACES, COUNT)
    assert torch.equal(points.points, again.points)
    chosen = np.arange(12) < 4
    assert int(metric.sample_surface(CUBE, CUBE_FACES, COUNT, chosen=chosen).face.max()) == 3
    np.testing.assert_allclose(points.points.mean(0).numpy(), [0.5, 0.5, 1.5], atol=0.02)


def test_normals_of_parallel_opposite_and_tilted_planes() -> None:
    up = torch.tensor([[0.0, 0, 3]])
    assert metric.normal_angles(up, 2 * up).item() == 0
    assert metric.normal_angles(up, -up).item() == pytest.approx(180)
    tilted = torch.tensor([[0.0, np.sin(0.3), np.cos(0.3)]])
    assert metric.normal_angles(up, tilted).item() == pytest.approx(np.degrees(0.3))
    outwards = metric.face_directions(SPHERE, FACES)
    assert metric.normal_angles(outwards, torch.from_numpy(SPHERE[FACES].mean(1))).max() < 0.5


def test_a_rigid_motion_is_undone_by_alignment() -> None:
    shape = SPHERE * np.array([1.0, 0.7, 0.4])
    angle = 0.15
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    surface = ClosestPoints(shape @ turn.T + np.array([0.05, -0.02, 0.03]), FACES)
    scan = metric.sample_surface(shape, FACES, 1000).points
    motion = metric.align_to_surface(scan, surface, iterations=100, tolerance=0.0)
    assert surface(scan).distance.mean() > 0.02
    assert surface(motion.apply(scan)).distance.mean() < 1e-3
    np.testing.assert_allclose(motion.rotation.numpy(), turn, atol=0.01)
    assert motion.scale == 1.0


def test_only_a_similarity_undoes_a_scale_and_corresponding_points_give_it_its_start() -> None:
    shape = SPHERE * np.array([1.0, 0.7, 0.4])
    surface = ClosestPoints(1.5 * shape, FACES)
    scan = metric.sample_surface(shape, FACES, 1000).points
    rigid = metric.align_to_surface(scan, surface)
    assert surface(rigid.apply(scan)).distance.mean() > 0.1
    start = umeyama(torch.from_numpy(shape[::100]), torch.from_numpy(1.5 * shape[::100]))
    found = metric.align_to_surface(scan, surface, start, scale=True)
    assert found.scale == pytest.approx(1.5, rel=1e-6)
    kept = metric.align_to_surface(scan, surface, start)
    assert kept.scale == pytest.approx(1.5)
    assert surface(kept.apply(scan)).distance.mean() < 1e-6


def test_alignment_never_makes_it_worse() -> None:
    scan = metric.sample_surface(SPHERE, FACES, 500).points
    motion = metric.align_to_surface(scan, ClosestPoints(SPHERE, FACES), Similarity3D.identity())
    np.testing.assert_allclose(motion.apply(scan).numpy(), scan.numpy(), atol=1e-12)


def test_vertices_of_one_topology() -> None:
    moved = SPHERE + np.array([0.3, 0, 0.4])
    assert metric.vertex_error(moved, SPHERE) == pytest.approx(0.5)
    assert metric.vertex_error(moved, SPHERE, align=True) < 1e-9
    assert metric.vertex_error(1.1 * SPHERE, SPHERE, align=True) == pytest.approx(0.1)
    with pytest.raises(ValueError, match="one topology"):
        metric.vertex_error(SPHERE[:-1], SPHERE)


def test_f_score_of_known_shares() -> None:
    scores = metric.f_score(torch.tensor([0.0, 2, 2, 2]), torch.tensor([0.0, 0.5]), 1.0)
    assert scores == {"precision": 0.25, "recall": 1.0, "f_score": pytest.approx(0.4)}
    assert metric.f_score(torch.ones(2), torch.ones(2), 0.5)["f_score"] == 0


def test_the_summary_is_that_of_numpy() -> None:
    assert metric.distance_summary(torch.tensor([1.0, 2, 3, 10])) == {
        "mean": 4.0,
        "median": 2.5,
        "std": pytest.approx(12.5**0.5),
    }
    with pytest.raises(ValueError, match="no distances"):
        metric.distance_summary(torch.zeros(0))
    with pytest.raises(ValueError, match="no area"):
        metric.sample_surface(np.zeros((3, 3)), [[0, 1, 2]], 5)
    assert metric.box_diagonal(CUBE) == pytest.approx(3**0.5)


def camera(size: int = 200) -> tuple[np.ndarray, np.ndarray]:
    pose = look_at((0.0, 0, 10), (0, 0, 0), (0, 1, 0)).numpy()
    return np.array([[size, 0, size / 2], [0, size, size / 2], [0, 0, 1.0]]), pose


def test_the_outline_of_a_sphere_is_a_disc() -> None:
    intrinsics, pose = camera()
    seen = outlines.silhouette(SPHERE * 2, FACES, intrinsics, pose, 200, 200)
    radius = 200 * 2 / np.sqrt(10**2 - 2**2)
    assert int(seen.sum()) == pytest.approx(np.pi * radius**2, rel=0.01)
    smaller = outlines.silhouette(SPHERE, FACES, intrinsics, pose, 200, 200)
    share = (1 / np.sqrt(99)) ** 2 / (2 / np.sqrt(96)) ** 2
    assert outlines.intersection_over_union(seen, smaller) == pytest.approx(share, rel=0.02)
    found = outlines.silhouette_ious(
        SPHERE, FACES, [seen.float() * 0.9, smaller], [intrinsics, intrinsics], [pose, pose], [0, 1]
    )
    assert found == [pytest.approx(share, rel=0.02), 1.0]


def test_masks_by_hand() -> None:
    first, second = torch.tensor([[1.0, 0.6, 0.4, 0.0]]), np.array([[True, False, True, False]])
    assert outlines.intersection_over_union(first, second) == pytest.approx(1 / 3)
    assert outlines.intersection_over_union(np.zeros((2, 2)), np.zeros((2, 2))) == 1.0
    assert outlines.intersection_over_union(np.zeros((2, 2)), np.ones((2, 2))) == 0.0
    with pytest.raises(ValueError, match="differ in shape"):
        outlines.intersection_over_union(first, np.ones((2, 2)))


def test_no_mesh_has_no_outline() -> None:
    intrinsics, pose = camera()
    assert not outlines.silhouette(np.zeros((0, 3)), np.zeros((0, 3), np.int64), intrinsics, pose, 20, 20).any()
