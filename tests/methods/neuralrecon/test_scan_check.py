"""Findings about scans whose poses violate the network's conventions, and the levelling of scans."""

import numpy as np
import pytest
from sphere_scan import look_from

from deep3dmap.core import UserError
from deep3dmap.methods.neuralrecon.fragments import FragmentConfig
from deep3dmap.methods.neuralrecon.scan_check import LOWEST_CAMERA, check_poses, level_scan, up_direction

CONFIG = FragmentConfig(image_size=(64, 48), views=4)
INTRINSICS = np.array([[60.0, 0, 32], [0, 60, 24], [0, 0, 1]])


def walk(count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """A walk along the walls of a room, looking towards its centre and slightly down."""
    turns = np.linspace(0, 2 * np.pi, count, endpoint=False)
    eyes = np.stack([1.5 * np.cos(turns), 1.5 * np.sin(turns), 1.5 + 0.1 * np.sin(3 * turns)], 1)
    poses = np.stack([look_from(eye, np.array([0.0, 0.0, 0.8 + 0.3 * np.sin(5 * t)])) for eye, t in zip(eyes, turns)])
    return np.repeat(INTRINSICS[None], count, 0), poses


def kinds(poses: np.ndarray, intrinsics: np.ndarray | None = None) -> set[str]:
    intrinsics = walk(len(poses))[0] if intrinsics is None else intrinsics
    return {finding.kind for finding in check_poses(intrinsics, poses, CONFIG)}


def test_a_good_scan_has_no_findings() -> None:
    assert kinds(walk()[1]) == set()


def test_a_camera_below_the_volume_is_reported_in_metres() -> None:
    intrinsics, poses = walk()
    poses[:, 2, 3] -= 3.2
    (finding,) = check_poses(intrinsics, poses, CONFIG)
    assert finding.kind == "height"
    assert "m below" in finding.message
    poses[:, 2, 3] += 3.2 + 6
    assert kinds(poses) == {"height"}


def test_inverted_poses_are_recognised() -> None:
    assert "inverted" in kinds(np.linalg.inv(walk()[1]))


def test_a_world_with_y_down_is_recognised_and_levelled() -> None:
    _, poses = walk()
    y_down = np.eye(4)
    y_down[:3, :3] = [[1, 0, 0], [0, 0, -1], [0, 1, 0]]
    turned = y_down @ poses
    assert "not_upright" in kinds(turned)
    level = level_scan(turned)
    np.testing.assert_allclose(level[:3, :3] @ level[:3, :3].T, np.eye(3), atol=1e-9)
    upright = level @ turned
    assert kinds(upright) == set()
    assert upright[:, 2, 3].min() == pytest.approx(LOWEST_CAMERA)
    tilt = np.degrees(np.arccos((level[:3, :3] @ y_down[:3, :3])[2, 2]))
    assert tilt < 3


def test_up_is_found_within_a_few_degrees_in_any_world() -> None:
    generator = np.random.default_rng(1)
    _, poses = walk()
    for _ in range(5):
        rotation = np.linalg.qr(generator.normal(size=(3, 3)))[0]
        rotation *= np.sign(np.linalg.det(rotation))
        turned = poses.copy()
        turned[:, :3] = rotation @ poses[:, :3]
        assert up_direction(turned) @ rotation[:, 2] > np.cos(np.radians(5))


def test_poses_that_are_no_numbers() -> None:
    intrinsics, poses = walk()
    poses[3] = np.nan
    assert "not_finite" in kinds(poses)
    with pytest.raises(UserError, match="no pose of the scan is finite"):
        level_scan(np.full((4, 4, 4), np.nan))
    assert "too_few" in {finding.kind for finding in check_poses(intrinsics[:2], poses[:2], CONFIG)}


def test_views_that_look_away_from_each_other() -> None:
    turns = np.linspace(0, 2 * np.pi, 8, endpoint=False)
    eyes = np.stack([30.0 * np.arange(8), np.zeros(8), np.full(8, 1.5)], 1)
    aims = eyes + np.stack([np.cos(turns), np.sin(turns), np.full(8, -0.2)], 1)
    away = np.stack([look_from(eye, aim) for eye, aim in zip(eyes, aims)])
    assert "no_overlap" in kinds(away)
