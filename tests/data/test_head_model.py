"""The procedural head: symmetric, smooth, without folds, deterministic."""

import hashlib

import numpy as np
import pytest

from deep3dmap.data.scenes.head_model import head_atlas, head_model, landmark_uv
from deep3dmap.data.scenes.head_modes import EXPRESSIONS
from deep3dmap.geometry.morphable_model import MorphableModel
from deep3dmap.render.position_map import position_map

# Landmark i and its mirror image, in iBUG order.
PAIRS = (
    *((i, 16 - i) for i in range(9)),
    *((17 + i, 26 - i) for i in range(5)),
    *((27 + i, 27 + i) for i in range(4)),
    *((31 + i, 35 - i) for i in range(3)),
    *((36, 45), (37, 44), (38, 43), (39, 42), (40, 47), (41, 46)),
    *((48, 54), (49, 53), (50, 52), (51, 51), (55, 59), (56, 58), (57, 57)),
    *((60, 64), (61, 63), (62, 62), (65, 67), (66, 66)),
)


@pytest.fixture(scope="module")
def model() -> MorphableModel:
    return head_model()


def digest(*arrays: np.ndarray) -> str:
    whole = hashlib.sha256()
    for array in arrays:
        whole.update(np.ascontiguousarray(array).tobytes())
    return whole.hexdigest()[:16]


def test_same_seed_same_head_other_seed_other_modes(model: MorphableModel) -> None:
    head_model.cache_clear()
    again, other = head_model(), head_model(seed=1)
    parts = ("mean", "identity_basis", "expression_basis", "albedo_basis", "landmark_weights")
    assert digest(*(getattr(model, p) for p in parts)) == digest(*(getattr(again, p) for p in parts))
    assert digest(model.mean) == digest(other.mean)
    assert digest(model.identity_basis) != digest(other.identity_basis)


def test_sizes(model: MorphableModel) -> None:
    assert (len(model.mean), len(model.faces)) == (65 * 65, 2 * 64 * 64)
    counts = (model.identity_basis.shape[2], model.expression_basis.shape[2], model.albedo_basis.shape[2])
    assert counts == (40, 20, 20)


def test_the_mean_head_is_symmetric(model: MorphableModel) -> None:
    mirrored = model.mean[model.mirror] * (-1, 1, 1)
    np.testing.assert_array_equal(mirrored, model.mean)
    np.testing.assert_array_equal(model.mirror[model.mirror], np.arange(len(model.mean)))


def test_landmarks_are_symmetric(model: MorphableModel) -> None:
    points = model.landmarks(model.mean)
    for one, other in PAIRS:
        np.testing.assert_allclose(points[one], points[other] * (-1, 1, 1), atol=1e-3, err_msg=f"{one} and {other}")
    uv = landmark_uv()
    np.testing.assert_allclose(model.landmarks(model.uv), uv, atol=1e-5)


def test_landmarks_are_where_their_names_say(model: MorphableModel) -> None:
    p = model.landmarks(model.mean)
    assert p[8, 1] == p[:, 1].min()
    assert p[30, 2] == p[:, 2].max()
    assert p[36, 0] < p[39, 0] < 0 < p[42, 0] < p[45, 0]
    assert 85 < p[45, 0] - p[36, 0] < 100
    assert p[62, 1] > p[66, 1]
    assert (np.diff(p[:17, 0]) > 0).all()


def test_no_triangle_is_folded(model: MorphableModel) -> None:
    # Against the normals of a coarse smooth head: the skull itself, an ellipsoid about an axis behind the face.
    rng = np.random.default_rng(0)
    for shape in (model.shape(), *(model.shape(rng.normal(size=40).clip(-2.5, 2.5)) for _ in range(5))):
        first, second, third = shape[model.faces].transpose(1, 0, 2)
        normals = np.cross(second - first, third - first)
        area = np.linalg.norm(normals, axis=1)
        assert area.min() > 0
        outward = (first + second + third) / 3 - (0, 0, -40)
        outward[:, 1] *= 0.25
        front = model.regions["face"][model.faces].all(1)
        assert ((normals * outward).sum(1)[front] > 0).all()


def test_the_surface_is_smooth() -> None:
    # On finer grids, the angles between neighbouring edges flatten everywhere on the face: there is no crease.
    # (The rim of the ear bends by more than a right angle within a few millimetres, finer than these grids.)
    def sharpest(grid: int, axis: int) -> float:
        fine = head_model(grid)
        points = np.moveaxis(fine.mean.reshape(grid, grid, 3).astype(float), axis, 0)
        steps = np.diff(points, axis=0)
        steps /= np.linalg.norm(steps, axis=2, keepdims=True)
        turn = np.arccos((steps[1:] * steps[:-1]).sum(2).clip(-1, 1))
        face = np.moveaxis(fine.regions["face"].reshape(grid, grid), axis, 0)[1:-1]
        return float(turn[face].max())

    for axis in (0, 1):
        assert sharpest(257, axis) < 0.6 * sharpest(65, axis)


def test_identity_modes_are_orthogonal_and_spread_as_stated(model: MorphableModel) -> None:
    first, second, third = model.mean[model.faces].astype(float).transpose(1, 0, 2)
    area = np.bincount(model.faces.ravel(), np.repeat(np.linalg.norm(np.cross(second - first, third - first), axis=1), 3))
    weighted = (model.identity_basis * np.sqrt(area / area.sum())[:, None, None]).reshape(-1, 40)
    np.testing.assert_allclose(weighted.T @ weighted, np.eye(40), atol=1e-4)
    spread = np.sqrt(((model.identity_basis * model.identity_sigma) ** 2).sum((1, 2)))
    assert spread.mean() == pytest.approx(2.5, abs=0.01)


def moved(model: MorphableModel, name: str) -> np.ndarray:
    coefficients = np.zeros(len(EXPRESSIONS))
    coefficients[EXPRESSIONS.index(name)] = 1
    return model.landmarks(model.shape(None, coefficients) - model.mean)


def test_expressions_move_what_they_are_named_after(model: MorphableModel) -> None:
    jaw = moved(model, "jaw_open")
    assert jaw[8, 1] < -15
    assert jaw[66, 1] < -12
    assert abs(jaw[62, 1]) < 4
    assert np.abs(jaw[17:48]).max() < 1
    assert moved(model, "smile_left")[54, 1] > 4
    assert abs(moved(model, "smile_left")[48, 1]) < 0.5
    assert moved(model, "eye_close_left")[43, 1] < -4
    assert moved(model, "brow_up_right")[19, 1] > 4
    assert moved(model, "jaw_left")[8, 0] > 4


@pytest.mark.parametrize("size", [64, 128, 256])
def test_atlas_fits_the_model(model: MorphableModel, size: int) -> None:
    atlas = head_atlas(size)
    rows, columns = atlas.landmark_texels.T
    assert atlas.face_mask[rows, columns].all()
    np.testing.assert_array_equal(atlas.face_mask, atlas.face_mask[:, ::-1])
    assert set(np.unique(atlas.region_weight)) == {0, np.float32(3 / 16), np.float32(4 / 16), 1}
    margin = int(0.03 * size)
    border = np.ones((size, size), bool)
    border[margin : size - margin, margin : size - margin] = False
    assert not atlas.face_mask[border].any()
    drawn = position_map(model.mean, model.faces, model.uv, size)
    assert np.abs(drawn[:, atlas.face_mask]).max(0).min() > 0
    # A texel is about 230 mm / size wide on the face.
    error = np.linalg.norm(atlas.landmarks(drawn) - model.landmarks(model.mean), axis=1)
    assert error.max() < 3 * 230 / size
    exact = atlas.sample(drawn, model.uv[model.regions["face"]])
    distance = np.linalg.norm(exact - model.mean[model.regions["face"]], axis=1)
    assert np.quantile(distance, 0.99) < 600 / size


def test_grid_must_be_odd() -> None:
    with pytest.raises(ValueError, match="odd"):
        head_model(64)
