"""Pose and frontal view of a cloud against PRNet's own formulas."""

from pathlib import Path

import numpy as np
import pytest

from deep3dmap.geometry.frontalise import UP, frontal_affine, frontalised, pose_of_cloud


@pytest.fixture(scope="module")
def vectors(golden: Path) -> dict[str, np.ndarray]:
    with np.load(golden / "prnet" / "pose_3ddfa" / "io.npz") as arrays:
        return dict(arrays)


def test_the_frontal_affine_map_equals_the_official_one(vectors: dict[str, np.ndarray]) -> None:
    np.testing.assert_allclose(frontal_affine(vectors["posed"], vectors["canonical"]), vectors["frontalize_P"], atol=1e-6)
    np.testing.assert_allclose(frontalised(vectors["posed"], vectors["canonical"]), vectors["frontalized"], atol=1e-4)


def test_the_rotation_is_the_official_one_up_to_its_inconsistent_fit(vectors: dict[str, np.ndarray]) -> None:
    pose = pose_of_cloud(vectors["posed"], vectors["canonical"])
    ours = np.diag(UP) @ pose.rotation @ np.diag(UP)
    turn = ours @ vectors["prnet_R"].T
    # Rounding may leave the trace of equal rotations a little above 3.
    assert np.degrees(np.arccos(np.clip((np.trace(turn) - 1) / 2, -1, 1))) < 0.5
    assert pose.scale == pytest.approx(float(vectors["prnet_s"]), rel=0.01)
