"""The pose that five landmarks give, against the older code that made MultiPIE's."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from deep3dmap.geometry.weak_perspective import FIVE_LANDMARKS, fit_affine_camera, pose_from_5_landmarks


@pytest.fixture(scope="module")
def part(load_part: Callable[[str], Any]) -> Any:
    return load_part("multiview_face/pose_from_5_landmarks")


@pytest.fixture(scope="module")
def upright(part: Any) -> np.ndarray:
    landmarks = part.arrays["landmarks"].copy()
    landmarks[:, 1] = 224 - landmarks[:, 1]
    return landmarks


def test_the_affine_camera_has_the_official_rows(part: Any, upright: np.ndarray) -> None:
    chosen = list(FIVE_LANDMARKS)
    assert list(FIVE_LANDMARKS) == part.manifest["settings"]["used landmark indices"]
    affine = fit_affine_camera(part.arrays["template68"][chosen], upright[chosen])
    rows = torch.nn.functional.normalize(affine[:, :3], dim=1)
    np.testing.assert_allclose(rows, part.arrays["R"][:2], atol=1e-5)


def test_scale_rotation_and_translation_equal_the_official_ones(part: Any, upright: np.ndarray) -> None:
    pose = pose_from_5_landmarks(part.arrays["template68"], upright)
    assert float(pose.scale) == pytest.approx(float(part.arrays["s"]), rel=1e-5)
    np.testing.assert_allclose(pose.translation, part.arrays["t"][:2], rtol=1e-5)
    np.testing.assert_allclose(pose.rotation, part.arrays["R_orthonormalised"], atol=1e-6)
    np.testing.assert_allclose(pose.rotation @ pose.rotation.T, np.eye(3), atol=1e-12)


def test_angles_equal_the_official_ones(part: Any, upright: np.ndarray) -> None:
    r = pose_from_5_landmarks(part.arrays["template68"], upright).rotation
    # The older code reads them as Rz Ry Rx.
    angles = torch.stack([torch.atan2(r[2, 1], r[2, 2]), -torch.asin(r[2, 0]), torch.atan2(r[1, 0], r[0, 0])])
    np.testing.assert_allclose(angles, part.arrays["angles"], atol=1e-5)
