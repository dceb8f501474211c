"""Designs of procedural objects: parts face outwards, all materials are used, and sizes are similar."""

import numpy as np
import pytest

from deep3dmap.data.scenes.object_designs import DESIGNS, Design
from deep3dmap.data.scenes.rooms_shapes import Quads, joined, triangles
from deep3dmap.data.scenes.solid_shapes import ring, stretched, turned


def designed(name: str) -> Design:
    design = Design()
    DESIGNS[name](design)
    return design


def areas(quads: Quads) -> np.ndarray:
    """Return vector areas (2 Q, 3) of the triangles, outwards if corners are counter-clockwise."""
    corners = quads.corners.reshape(-1, 3)[triangles(quads)]
    return np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]) / 2


@pytest.mark.parametrize("name", DESIGNS)
def test_every_part_is_wound_as_its_normals_say(name: str) -> None:
    for part in designed(name).parts:
        np.testing.assert_allclose(np.linalg.norm(part.normals, axis=-1), 1, atol=1e-9)
        facing = areas(part).reshape(-1, 2, 3).sum(1)
        assert ((part.normals.mean(1) * facing).sum(1) >= -1e-12).all()


@pytest.mark.parametrize("name", ["chair", "robot", "truck", "castle"])
def test_objects_of_solids_are_closed(name: str) -> None:
    for part in designed(name).parts:
        outwards = areas(part)
        # The vector areas of a closed surface sum to zero, and its volume does not depend on the origin.
        np.testing.assert_allclose(outwards.sum(0), 0, atol=1e-9)
        corners = part.corners.reshape(-1, 3)[triangles(part)]
        volume, moved = (np.linalg.det(corners + shift).sum() / 6 for shift in (0.0, 3.0))
        assert volume > 0
        assert moved == pytest.approx(volume, rel=1e-6)


@pytest.mark.parametrize("name", DESIGNS)
def test_objects_are_about_two_metres_large_and_stand_around_the_origin(name: str) -> None:
    corners = designed(name).quads().corners
    low, high = corners.min((0, 1)), corners.max((0, 1))
    assert 1.5 < (high - low).max() < 2.6
    assert (low < 0).all()
    assert (high > 0).all()
    assert np.abs(corners).max() < 1.5


@pytest.mark.parametrize("name", DESIGNS)
def test_every_material_is_used_and_every_part_has_one(name: str) -> None:
    design = designed(name)
    assert {int(number) for number in design.quads().material} == set(range(len(design.materials)))
    assert len(design.materials) > 1


@pytest.mark.parametrize("name", DESIGNS)
def test_an_object_is_the_same_every_time(name: str) -> None:
    first, second = designed(name).quads(), designed(name).quads()
    np.testing.assert_array_equal(first.corners, second.corners)
    np.testing.assert_array_equal(first.material, second.material)


def test_a_part_put_down_keeps_its_texture() -> None:
    design, part = Design(), ring(0.5, 0.1, 0)
    design.add(part, (1.0, 2, 3), degrees=90)
    np.testing.assert_array_equal(design.parts[0].local, part.local)
    # The direction along x now points along y.
    np.testing.assert_allclose(
        design.parts[0].corners, part.corners @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1]]) + [1, 2, 3], atol=1e-12
    )


def test_turning_all_the_way_and_stretching_by_one_change_nothing() -> None:
    part = ring(0.5, 0.1, 0)
    for axis in range(3):
        back = part
        for _ in range(4):
            back = turned(back, axis, 90)
        np.testing.assert_allclose(back.corners, part.corners, atol=1e-12)
        np.testing.assert_allclose(back.normals, part.normals, atol=1e-12)
    np.testing.assert_allclose(stretched(part, (1, 1, 1)).normals, part.normals, atol=1e-12)
    assert len(joined([part, part])) == 2 * len(part)
