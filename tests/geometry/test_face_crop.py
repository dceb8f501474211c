"""Face crops against PRNet's values, and their consistency."""

from pathlib import Path

import numpy as np
import pytest

from deep3dmap.geometry import face_crop

RNG = np.random.default_rng(0)


@pytest.fixture(scope="module")
def vectors(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "prnet" / "crop" / "io.npz") as arrays:
        return dict(arrays)


def test_transforms_equal_the_official_ones(vectors: dict[str, np.ndarray]) -> None:
    left, right, top, bottom = vectors["box_lrtb"] + 0.5
    ours = {
        "kpt_tform": face_crop.crop_from_landmarks(vectors["kpt"].T + 0.5),
        "det_tform": face_crop.crop_from_detector_box(np.array([left, top, right, bottom])),
    }
    for name, similarity in ours.items():
        # The official values are float32, so allow a few ULPs of the largest, a translation in pixels.
        rounding = 4 * np.finfo(np.float32).eps * max(1.0, np.abs(vectors[name]).max())
        official = face_crop.from_integer_centers(vectors[name])
        np.testing.assert_allclose(similarity, official, rtol=1e-6, atol=rounding, err_msg=name)


def test_warp_equals_the_official_crop(vectors: dict[str, np.ndarray]) -> None:
    image = np.repeat(np.repeat(vectors["image_small"], 6, 0), 6, 1).transpose(2, 0, 1) / 255
    crop = face_crop.warp(image, face_crop.from_integer_centers(vectors["kpt_tform"]), 256)
    np.testing.assert_allclose(crop[:, ::4, ::4].transpose(1, 2, 0), vectors["cropped_sub4"], atol=1e-3)


def test_positions_return_to_the_image_as_the_official_ones_do(vectors: dict[str, np.ndarray]) -> None:
    half = np.array([0.5, 0.5, 0])[:, None, None]
    crop = vectors["pos_crop"].transpose(2, 0, 1) + half
    back = face_crop.positions_to_image(crop, face_crop.from_integer_centers(vectors["kpt_tform"])) - half
    np.testing.assert_allclose(back.transpose(1, 2, 0), vectors["pos_image"], rtol=1e-5, atol=1e-3)


def rotated(angle: float, scale: float) -> np.ndarray:
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[a, -b, 20.0], [b, a, -7.0], [0, 0, 1]])


def test_round_trip_keeps_positions_also_with_rotation() -> None:
    similarity = rotated(0.4, 0.7)
    positions = RNG.uniform(0, 256, (3, 5, 5))
    back = face_crop.positions_to_image(face_crop.positions_to_crop(positions, similarity), similarity)
    np.testing.assert_allclose(back, positions, atol=1e-3)
    assert face_crop.scale_of(similarity) == pytest.approx(0.7)


def test_a_pixel_lands_where_the_similarity_says() -> None:
    image = np.zeros((3, 40, 60), np.float32)
    image[:, 10, 30] = 1
    similarity = np.array([[1, 0, -20], [0, 1, -5], [0, 0, 1.0]])
    crop = face_crop.warp(image, similarity, 32)
    assert crop[0, 5, 10] == pytest.approx(1, abs=1e-4)
    assert crop.sum() == pytest.approx(3, abs=1e-3)


def test_outside_the_picture_is_black() -> None:
    similarity = np.array([[1, 0, 100], [0, 1, 100], [0, 0, 1.0]])
    crop = face_crop.warp(np.ones((3, 50, 50), np.float32), similarity, 256)
    assert crop[:, :99].max() == 0
    assert crop[:, 101:149, 101:149].min() == pytest.approx(1)


def test_pixel_centers_move_by_half() -> None:
    similarity = rotated(0.2, 0.5)
    point, half = np.array([12.0, 34.0, 1.0]), np.array([0.5, 0.5, 0])
    moved = face_crop.from_integer_centers(similarity) @ (point + half)
    np.testing.assert_allclose(moved, similarity @ point + half)


def test_detector_box_of_a_square_gives_that_square_back() -> None:
    similarity = face_crop.crop_from_detector_box(face_crop.detector_box_of_square(60, 90, 300.5), 256)
    corner = np.linalg.inv(similarity) @ (0.5, 0.5, 1)
    np.testing.assert_allclose(corner[:2], (60.5, 90.5), atol=0.6)


def test_training_jitter_is_seeded_and_bounded() -> None:
    landmarks = RNG.uniform(100, 300, (68, 2))
    still = face_crop.crop_from_landmarks(landmarks, factor=1.5)
    moved = [face_crop.crop_from_landmarks(landmarks, factor=1.5, rng=np.random.default_rng(3)) for _ in range(2)]
    np.testing.assert_array_equal(*moved)
    assert 0.9 < face_crop.scale_of(still) / face_crop.scale_of(moved[0]) < 1.1


def test_an_empty_box_is_refused() -> None:
    with pytest.raises(ValueError, match="positive sides"):
        face_crop.crop_from_detector_box(np.array([10, 10, 10, 20]))
