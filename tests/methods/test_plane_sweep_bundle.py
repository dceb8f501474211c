"""Recovery of slightly wrong poses from corners seen in several frames of an exactly known scan."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from scipy.spatial.transform import Rotation
from wall_and_ball import SCAN, SMALL, given

from deep3dmap.methods.plane_sweep.bundle import adjust_poses
from deep3dmap.methods.plane_sweep.frame_choice import overlapping
from deep3dmap.methods.plane_sweep.options import PlaneSweepConfig
from deep3dmap.methods.plane_sweep.pose_corrections import bundled_poses
from deep3dmap.methods.plane_sweep.rotation_refinement import rotate_cameras
from deep3dmap.methods.plane_sweep.scaled_scan import ScaledScan
from deep3dmap.methods.plane_sweep.tracks import Corners, Tracks, detect_corners, join_matches, match_corners

INTRINSICS = np.array([[525.0, 0, 320], [0, 525, 240], [0, 0, 1]])


def scan(frames: int = 12, points: int = 400) -> tuple[np.ndarray, Tracks]:
    """A walk past a slab of points, and all observations within the pictures."""
    rng = np.random.default_rng(0)
    places = rng.uniform((-2.5, -1.2, 1.5), (2.5, 1.2, 3.5), (points, 3))
    poses = np.tile(np.eye(4), (frames, 1, 1))
    poses[:, :3, 3] = np.stack([np.linspace(-0.8, 0.8, frames), 0.1 * np.sin(np.arange(frames)), np.zeros(frames)], 1)
    poses[:, :3, :3] = Rotation.from_rotvec(rng.normal(0, 0.05, (frames, 3))).as_matrix()
    camera = np.einsum("vji,vnj->vni", poses[:, :3, :3], places[None] - poses[:, None, :3, 3])
    pixels = camera @ INTRINSICS.T
    pixels = pixels[..., :2] / pixels[..., 2:]
    frame, point = np.nonzero(((pixels > 0) & (pixels < (640, 480))).all(-1))
    observations = pixels[frame, point] + rng.normal(0, 0.5, (len(frame), 2))
    return poses, Tracks(frame, point, observations).select(np.ones(len(frame), bool))


def spoilt(poses: np.ndarray) -> np.ndarray:
    wrong = poses.copy()
    turns = np.random.default_rng(1).normal(0, 0.007, (len(poses), 3))
    wrong[:, :3, :3] = Rotation.from_rotvec(turns - turns.mean(0)).as_matrix() @ poses[:, :3, :3]
    return wrong


def error(poses: np.ndarray, true: np.ndarray) -> float:
    """Error of rotations in radians, without the part shared by all frames."""
    turns = Rotation.from_matrix(poses[:, :3, :3] @ true[:, :3, :3].transpose(0, 2, 1)).as_rotvec()
    return float(np.linalg.norm(turns - turns.mean(0), axis=1).mean())


def test_turned_frames_are_turned_back_though_some_observations_are_wrong() -> None:
    poses, tracks = scan()
    wrong = spoilt(poses)
    pixels = tracks.pixels.copy()
    pixels[::17] += 200
    found = adjust_poses(tracks._replace(pixels=pixels), np.tile(INTRINSICS, (len(poses), 1, 1)), wrong)
    assert error(wrong, poses) > 0.008
    assert error(found, poses) < 0.25 * error(wrong, poses)
    assert np.linalg.norm(found[:, :3, 3] - poses[:, :3, 3], axis=1).max() < 0.01


def test_right_poses_stay_and_poses_without_tracks_too() -> None:
    poses, tracks = scan()
    found = adjust_poses(tracks, np.tile(INTRINSICS, (len(poses), 1, 1)), poses)
    assert error(found, poses) < 0.001
    nothing = Tracks(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 2)))
    np.testing.assert_array_equal(adjust_poses(nothing, np.tile(INTRINSICS, (len(poses), 1, 1)), poses), poses)


def test_the_method_adjusts_poses_by_what_its_frames_show() -> None:
    wrong = torch.from_numpy(SCAN["world_from_camera"])
    wrong = rotate_cameras(wrong, torch.from_numpy(np.random.default_rng(1).normal(0, 0.006, (5, 3)))).numpy()
    config = PlaneSweepConfig(**SMALL, bundle_views=4)  # type: ignore[arg-type]
    found = bundled_poses(ScaledScan.of({**given(), "world_from_camera": wrong}, 640), config)
    assert error(found, SCAN["world_from_camera"]) < 0.55 * error(wrong, SCAN["world_from_camera"])
    assert np.linalg.norm(found[:, :3, 3] - wrong[:, :3, 3], axis=1).max() < 0.02


def test_pairs_are_those_that_share_most() -> None:
    shares = [
        torch.tensor(row) for row in ([1.0, 0.9, 0.6, 0.1], [0.9, 1.0, 0.8, 0.2], [0.6, 0.8, 1.0, 0.7], [0.1, 0.2, 0.7, 1.0])
    ]
    assert overlapping(shares, 1, 0.5) == [(0, 1), (1, 2), (2, 3)]
    assert overlapping(shares, 3, 0.5) == [(0, 1), (0, 2), (1, 2), (2, 3)]
    assert overlapping(shares, 3, 0.95) == []


def test_corners_of_a_shifted_picture_are_matched_and_false_ones_are_not() -> None:
    """The same plane seen from 20 cm aside, shifted by the disparity of its depth; the pose is wrong by half a degree."""
    rng = np.random.default_rng(2)
    wide = gaussian_filter(rng.random((200, 340)), 2.0)
    wide = (wide - wide.min()) / (wide.max() - wide.min())
    first, second = detect_corners(wide[:, :300]), detect_corners(wide[:, 40:])
    intrinsics = np.array([[400.0, 0, 150], [0, 400, 100], [0, 0, 1]])
    all_intrinsics, poses = np.stack([intrinsics, intrinsics]), np.stack([np.eye(4), np.eye(4)])
    poses[1][0, 3] = 0.2
    poses[1][:3, :3] = Rotation.from_rotvec((0.009, 0, 0)).as_matrix()
    pairs = match_corners(first, second, all_intrinsics, poses)
    assert len(pairs) > 50
    shift = first.pixels[pairs[:, 0]] - second.pixels[pairs[:, 1]]
    assert (np.abs(shift - (40, 0)) < 1).all(1).mean() > 0.97
    elsewhere = Corners(rng.permutation(second.pixels), second.words)
    assert len(match_corners(first, elsewhere, all_intrinsics, poses)) < 0.1 * len(pairs), (
        "but for those that chance puts on the line"
    )


def test_tracks_join_what_pairs_match_and_leave_out_what_contradicts_itself() -> None:
    found = [Corners(np.arange(6.0).reshape(3, 2) + 10 * f, np.zeros((3, 128), np.float32)) for f in range(3)]
    pairs = {(0, 1): np.array([[0, 0], [1, 1]]), (1, 2): np.array([[0, 2], [1, 1]]), (0, 2): np.array([[2, 1]])}
    tracks = join_matches(pairs, found)
    assert tracks.frame.tolist() == [0, 1, 2]
    assert len(set(tracks.point.tolist())) == 1
    assert tracks.pixels[:, 0].tolist() == pytest.approx([0, 10, 24])
