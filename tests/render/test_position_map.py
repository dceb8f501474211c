"""Position maps against face3d's values: the full path from a fitted model to the map."""

from pathlib import Path

import numpy as np
import pytest

from deep3dmap.geometry import face_crop
from deep3dmap.geometry.face_pose import HeadPose
from deep3dmap.render.position_map import PositionMapper, position_map

CENTERS = np.array([0.5, 0.5, 0])  # from integer pixel centres to the package's


@pytest.fixture(scope="module")
def vectors(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "prnet" / "position_map" / "io.npz") as arrays:
        return dict(arrays)


def test_whole_target_generation_equals_the_official_one(vectors: dict[str, np.ndarray]) -> None:
    flat = vectors["mu"] + vectors["shape_basis"] @ vectors["shape_para"] + vectors["exp_basis"] @ vectors["exp_para"]
    pose = HeadPose(vectors["angles"], vectors["t3d"], float(vectors["scale"]))
    image = pose.image(flat.reshape(-1, 3), int(vectors["image_h"]), one_based=False)
    np.testing.assert_allclose(image - CENTERS, vectors["image_vertices"], atol=1e-3)
    landmarks = np.trunc(image[vectors["kpt_index"]] - CENTERS) + CENTERS
    similarity = face_crop.crop_from_landmarks(landmarks, 256, face_crop.TRAINING_FACTOR)
    np.testing.assert_allclose(similarity, face_crop.from_integer_centers(vectors["tform"]), atol=1e-6)
    crop = face_crop.positions_to_crop(image.T, similarity).T - CENTERS
    crop[:, 2] -= crop[:, 2].min()
    np.testing.assert_allclose(crop, vectors["crop_vertices"], atol=2e-3)
    size = len(vectors["position_map"])
    drawn = position_map(crop, vectors["triangles"], vectors["uv"], size).transpose(1, 2, 0)
    # face3d uses a different rule for the two outermost texels, which is not replicated.
    np.testing.assert_allclose(drawn[2:-2, 2:-2], vectors["position_map"][2:-2, 2:-2], atol=5e-3)


def square(size: int = 9) -> tuple[np.ndarray, np.ndarray]:
    uv = np.array([[0, 0], [1, 0], [0, 1], [1, 1.0]])
    return np.array([[0, 1, 2], [1, 3, 2]]), uv


def test_every_texel_of_a_full_atlas_is_drawn_and_linear() -> None:
    faces, uv = square()
    drawn = position_map(np.column_stack([uv * 8, [1, 1, 1, 1]]), faces, uv, 9)
    np.testing.assert_allclose(drawn[2], 1, atol=1e-5)
    np.testing.assert_allclose(drawn[0], np.broadcast_to(np.arange(9.0), (9, 9)), atol=1e-4)
    np.testing.assert_allclose(drawn[1], np.broadcast_to(np.arange(8, -1, -1.0)[:, None], (9, 9)), atol=1e-4)


def test_outside_the_triangulation_is_zero() -> None:
    faces, uv = square()
    drawn = position_map(np.ones((4, 3)), faces, 0.25 + uv / 2, 9)
    assert drawn[:, :2].max() == 0
    assert drawn[:, 2:7, 2:7].min() == pytest.approx(1)


def test_seams_take_each_side_from_its_own_vertex() -> None:
    faces, _ = square()
    uv = np.array([[0, 0], [0.4, 0], [0, 1], [0.6, 0], [1, 1], [0.6, 1]])
    mapper = PositionMapper(faces, uv, 16, faces_uv=np.array([[0, 1, 2], [3, 4, 5]]))
    drawn = mapper(np.array([[1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0.0]]))
    assert drawn[0, 15, 0] == pytest.approx(1, abs=1e-3)
    assert drawn[0, 0, 15] == pytest.approx(4, abs=1e-3)
