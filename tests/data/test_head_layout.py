"""The grid of the procedural head and the shape of the body: inverses, symmetries and closed-form distances."""

import numpy as np
import pytest

from deep3dmap.data.scenes.body_shape import BONES, axis_offset, body_surface, bone_distances, field, rest_joints
from deep3dmap.data.scenes.head_backdrop import smooth_noise
from deep3dmap.data.scenes.head_layout import (
    bump,
    grid_faces,
    grid_mirror,
    grid_uv,
    head_share,
    jaw_height,
    skull,
    smoothstep,
    surface_of_uv,
    uv_of_surface,
)
from deep3dmap.data.scenes.head_subject import MAX_SIGMA, truncated_normal

NAMES = ("pelvis", "left_hip", "right_hip", "left_elbow", "right_elbow", "head")


def test_atlas_and_skull_are_inverse_to_each_other() -> None:
    uv = np.random.default_rng(0).uniform(0.03, 0.97, (500, 2))
    np.testing.assert_allclose(uv_of_surface(*surface_of_uv(uv)), uv, atol=2e-4)
    angle, height = surface_of_uv(np.array([[0.0, 0.0], [0.03, 0.03], [1.0, 1.0], [0.97, 0.97]]))
    assert (angle[0], height[0]) == (angle[1], height[1]), "the margin continues the edge"
    assert (angle[2], height[2]) == (angle[3], height[3])
    assert angle[0] == pytest.approx(-angle[2])


@pytest.mark.parametrize("grid", [17, 33])
def test_the_grid_is_its_own_mirror_image(grid: int) -> None:
    uv, mirror, faces = grid_uv(grid), grid_mirror(grid), grid_faces(grid)
    np.testing.assert_array_equal(mirror[mirror], np.arange(grid * grid))
    np.testing.assert_allclose(uv[mirror], np.stack([1 - uv[:, 0], uv[:, 1]], 1), atol=1e-15)

    # Mirrored triangles are triangles of the grid with the opposite winding.
    def rolled(triangles: np.ndarray) -> set[tuple[int, ...]]:
        return {tuple(np.roll(face, -int(face.argmin()))) for face in triangles}

    assert rolled(mirror[faces][:, ::-1]) == rolled(faces)
    assert len(faces) == 2 * (grid - 1) ** 2
    first, second = (uv[faces[:, k]] - uv[faces[:, 0]] for k in (1, 2))
    assert (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0] > 0).all(), "counter-clockwise with v up"


def test_the_skull_is_symmetric_and_its_neck_an_ellipse() -> None:
    angle = np.linspace(-1.9, 1.9, 41)
    for height in (-150.0, -60.0, 0.0, 80.0):
        points = skull(angle, np.full(41, height))
        np.testing.assert_allclose(points[::-1] * (-1, 1, 1), points, atol=1e-9)
        np.testing.assert_allclose(np.arctan2(points[:, 0], points[:, 2]), angle, atol=1e-9)
    neck = skull(angle, np.full(41, -132.0))
    assert (head_share(angle, np.full(41, -132.0)) == 0).all()
    np.testing.assert_allclose((neck[:, 0] / 56) ** 2 + ((neck[:, 2] + 30) / 58) ** 2, 1)
    assert (head_share(angle, jaw_height(angle) + 4) == 1).all()


def test_steps_and_bumps() -> None:
    x = np.linspace(-1, 3, 401)
    step = smoothstep(x, 0.0, 2.0)
    assert step[x <= 0].max() == 0
    assert step[x >= 2].min() == 1
    np.testing.assert_allclose(step + smoothstep(2 - x, 0.0, 2.0), 1, atol=1e-12)
    assert np.gradient(step, x).max() == pytest.approx(0.75, abs=1e-3)
    assert bump(np.array(3.0), np.array(4.0), (3.0, 4.0), (1.0, 2.0)) == 1
    assert bump(np.array(4.0), np.array(4.0), (3.0, 4.0), (1.0, 2.0)) == pytest.approx(np.exp(-1))
    assert bump(np.array(3.0), np.array(6.0), (3.0, 4.0), (1.0, 2.0)) == pytest.approx(np.exp(-1))


def test_chance_stays_within_its_bounds() -> None:
    values = truncated_normal(np.random.default_rng(0), 20000)
    assert np.abs(values).max() <= MAX_SIGMA
    # Variance of a normal distribution truncated at 2.5: 1 - 2 a phi(a) / (2 Phi(a) - 1).
    density, inside = np.exp(-(MAX_SIGMA**2) / 2) / np.sqrt(2 * np.pi), 0.98758067
    assert values.var() == pytest.approx(1 - 2 * MAX_SIGMA * density / inside, abs=0.03)
    noise = np.stack([smooth_noise(64, 8, np.random.default_rng(seed)) for seed in range(40)])
    assert noise.shape == (40, 3, 64, 64)
    assert abs(noise.mean()) < 0.05
    assert np.abs(np.diff(noise, axis=-1)).max() < np.abs(noise).max(), "neighbouring pixels are alike"


def test_bones_are_round_and_mirrored() -> None:
    joints = rest_joints(NAMES)
    np.testing.assert_allclose(joints[2], joints[1] * (-1, 1, 1))
    np.testing.assert_allclose(joints[4], joints[3] * (-1, 1, 1))
    rng = np.random.default_rng(0)
    points = rng.uniform((-0.9, 0, -0.2), (0.9, 1.8, 0.2), (200, 3))
    here, there = (np.sort(bone_distances(side), 1) for side in (points, points * (-1, 1, 1)))
    np.testing.assert_allclose(here, there, atol=1e-12)
    for index, bone in enumerate(BONES):
        ends = np.array([bone.start, bone.end])
        at_ends = bone_distances(ends)[:, index]
        np.testing.assert_allclose(at_ends, -np.array(bone.radii) * min(bone.stretch), atol=1e-12)


def test_offsets_point_away_from_the_axes() -> None:
    points = np.array([(0.3, 1.391, -0.027 + 0.3), (-0.3, 1.391, -0.027 + 0.3), (0.101, 0.7, 0.3)])
    offset = axis_offset(points)
    assert (offset[:, 2] > 0.2).all()
    np.testing.assert_allclose(offset[1], offset[0] * (-1, 1, 1), atol=1e-12)


def test_the_body_is_closed_symmetric_and_on_its_level_set() -> None:
    import trimesh

    points, faces = body_surface()
    body = trimesh.Trimesh(points, faces, process=False)
    assert body.is_watertight
    assert body.body_count == 1
    assert 0.03 < body.volume < 0.12, "cubic metres of a person"
    assert points[:, 1].min() == 0
    assert points[:, 1].max() == pytest.approx(1.75, abs=0.1)
    # Meshing shifted it vertically to the floor; undoing the shift, it lies on its level set to half a millimetre.
    misses = [np.abs(field(points + np.array([0, down, 0]))).mean() for down in np.linspace(-0.02, 0.02, 21)]
    assert min(misses) < 1e-3
