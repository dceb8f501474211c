"""The hamlet on its meadow: the ground is level at the buildings, objects stand on it, and camera positions are free."""

import numpy as np
import pytest

from deep3dmap.data.scenes.rooms_shapes import Quads
from deep3dmap.data.scenes.terrain_layout import (
    BUILDINGS,
    CAMERA_RING,
    HAMLET,
    REACH,
    WOODS,
    Ground,
    TerrainModel,
    design_terrain,
)


@pytest.fixture(scope="module", params=[0, 1])
def terrain(request: pytest.FixtureRequest) -> TerrainModel:
    return design_terrain(np.random.default_rng(request.param))


def ground_of(terrain: TerrainModel) -> Quads:
    """Return the meadow: the first part with the first material, all quads from the left to the right edge."""
    count = 160 * 160
    return Quads(*(getattr(terrain.quads, name)[:count] for name in ("corners", "normals", "material", "local")))


def height_below(ground: Quads, places: np.ndarray) -> np.ndarray:
    from scipy.interpolate import LinearNDInterpolator

    corners = ground.corners.reshape(-1, 3)
    near = corners[np.abs(corners[:, :2]).max(1) < 200]
    return np.asarray(LinearNDInterpolator(near[:, :2], near[:, 2])(places))


def test_the_ground_is_level_in_the_middle_and_rises_to_hills() -> None:
    ground = Ground(np.random.default_rng(0))
    grid = np.linspace(-REACH, REACH, 161)
    x, y = np.meshgrid(grid, grid)
    height, away = ground(x, y), np.hypot(x, y)
    assert height.shape == x.shape
    assert height[away < 45].min() >= 0
    assert height[away < 45].max() <= 0.8
    assert height.max() > 15, "hills"
    rise = np.clip((away - 45) / 250, 0, 1) ** 1.5
    assert (height <= rise * 69 + 0.8).all()
    np.testing.assert_array_equal(ground(x[3], y[3]), ground(x, y)[3])


def test_the_ground_has_no_steps() -> None:
    ground = Ground(np.random.default_rng(1))
    angle = np.linspace(0, 2 * np.pi, 20000)
    for radius in (20.0, 44.99, 60.0, 300.0):
        heights = ground(radius * np.cos(angle), radius * np.sin(angle))
        slope = np.abs(np.diff(heights)) / (radius * angle[1])
        assert slope.max() < 1.6, radius


def test_the_way_of_the_camera_is_free(terrain: TerrainModel) -> None:
    """Between hamlet and woods, nothing taller than a bush stands on the meadow, up to the nearest possible boulders."""
    things = terrain.quads.corners[160 * 160 :].reshape(-1, 3)
    away = np.hypot(things[:, 0], things[:, 1])
    level = height_below(ground_of(terrain), things[:, :2])
    on_the_way = (away > CAMERA_RING[0]) & (away < CAMERA_RING[1])
    assert (things[on_the_way, 2] - level[on_the_way]).max(initial=0) < 1.0
    assert (away < HAMLET + 8).any()
    assert ((away > WOODS[0]) & (away < WOODS[1] + 10)).any()


def test_things_stand_on_the_ground_and_reach_into_it(terrain: TerrainModel) -> None:
    things = terrain.quads.corners[160 * 160 :].reshape(-1, 3)
    above = things[:, 2] - height_below(ground_of(terrain), things[:, :2])
    hamlet = np.hypot(things[:, 0], things[:, 1]) < CAMERA_RING[0]
    assert -1.0 < above[hamlet].min() < -0.05, "sunk in, by no more than the meadow falls along a wall"
    assert above.min() > -3.5, "roots only"
    tallest = above[hamlet].max()
    assert 4 < tallest < 2.5 * max(size for _, size in BUILDINGS)


def test_materials_and_bounds_cover_what_there_is(terrain: TerrainModel) -> None:
    assert terrain.quads.material.min() == 0
    assert terrain.quads.material.max() == len(terrain.materials) - 1
    corners = terrain.quads.corners.reshape(-1, 3)
    near = corners[(np.abs(corners[:, :2]) <= 50).all(1)]
    assert (near >= terrain.bounds[0]).all()
    assert (near <= terrain.bounds[1]).all()
    assert np.abs(corners[:, :2]).max() == REACH
    np.testing.assert_allclose(np.linalg.norm(terrain.quads.normals, axis=-1), 1, atol=1e-6)
