"""Recovery of small rotation errors from the pictures of an exactly known scan: a wall with a ball in front of it."""

import numpy as np
import pytest
import torch
from wall_and_ball import SCAN, SMALL, given, view

from deep3dmap.geometry.rotations import angle_between, matrix_of_axis_angle
from deep3dmap.methods.plane_sweep.depth_maps import estimate_depths, key_overlaps
from deep3dmap.methods.plane_sweep.options import PlaneSweepConfig
from deep3dmap.methods.plane_sweep.pose_corrections import turned_poses
from deep3dmap.methods.plane_sweep.rotation_refinement import PairRotation, agreed_turns, rotate_cameras, turn_onto
from deep3dmap.methods.plane_sweep.scaled_scan import ScaledScan

DEPTHS = torch.from_numpy(np.stack(SCAN["true_depths"]))
POSES = torch.from_numpy(SCAN["world_from_camera"])


@pytest.mark.parametrize("wrong", [(0.01, 0.0, 0.0), (0.0, -0.01, 0.0), (0.0, 0.0, 0.01), (0.004, 0.006, -0.008)])
def test_a_frame_is_turned_back(wrong: tuple[float, float, float]) -> None:
    """The other frame's picture is correct and only its pose is rotated; with true depths, the inverse rotation is found."""
    turn = torch.tensor(wrong, dtype=torch.float64)
    other = view(3)._replace(world_from_camera=rotate_cameras(POSES[3:4], turn[None])[0])
    found = turn_onto(view(2), DEPTHS[2], other)
    assert found is not None
    torch.testing.assert_close(found, -turn, atol=3e-4, rtol=0)


def test_frames_that_show_something_else_are_not_turned() -> None:
    assert turn_onto(view(2), torch.zeros_like(DEPTHS[2]), view(3)) is None, "no depth"
    noise = view(3)._replace(image=torch.rand(DEPTHS.shape[1:], generator=torch.Generator().manual_seed(0)))
    assert turn_onto(view(2), DEPTHS[2], noise) is None, "nothing alike"
    behind = POSES[3] @ torch.diag(torch.tensor([-1.0, 1, -1, 1], dtype=torch.float64))
    assert turn_onto(view(2), DEPTHS[2], view(3)._replace(world_from_camera=behind)) is None, "looks away"


def test_turns_of_pairs_agree_on_those_of_frames() -> None:
    """A chain with loops: rotations shared by all frames are unobservable, the rest is recovered; a wrong pair is outvoted."""
    truth = torch.from_numpy(np.random.default_rng(0).normal(0, 0.003, (12, 3)))
    truth -= truth.mean(0)
    pairs = [(i, (i + step) % 12) for i in range(12) for step in (1, 2, 3)]
    exact = [PairRotation(i, j, truth[j] - truth[i]) for i, j in pairs]
    found = agreed_turns(exact, 12)
    torch.testing.assert_close(found, truth, atol=2e-4, rtol=0)
    spoilt = [turn._replace(vector=turn.vector + 0.03) if place == 5 else turn for place, turn in enumerate(exact)]
    torch.testing.assert_close(agreed_turns(spoilt, 12), truth, atol=8e-4, rtol=0)


def test_correcting_brings_rotations_and_depths_nearer_to_the_truth() -> None:
    wrong = torch.from_numpy(np.random.default_rng(1).normal(0, 0.006, (5, 3)))
    spoilt = {**given(), "world_from_camera": rotate_cameras(POSES, wrong).numpy()}
    config = PlaneSweepConfig(**SMALL, pose_rounds=2, pose_width=96)  # type: ignore[arg-type]
    corrected = turned_poses(ScaledScan.of(spoilt, 96), config)

    def misfit(poses: torch.Tensor) -> float:
        """Misfit of relative rotations between frames in radians; a rotation shared by all frames does not count."""
        steps, true = (p[:-1, :3, :3].transpose(1, 2) @ p[1:, :3, :3] for p in (poses, POSES))
        return float(angle_between(steps, true).mean())

    assert misfit(corrected) < 0.5 * misfit(torch.from_numpy(spoilt["world_from_camera"]))
    torch.testing.assert_close(corrected[:, :3, 3], POSES[:, :3, 3])
    error = {}
    for name, poses in (("as given", torch.from_numpy(spoilt["world_from_camera"])), ("corrected", corrected)):
        scan = ScaledScan.of({**spoilt, "world_from_camera": poses.numpy()}, 96)
        depths = estimate_depths(scan, key_overlaps(scan, config), config)
        error[name] = np.mean([float((d - DEPTHS[k]).abs()[d > 0].median()) for k, d in depths.items()])
    assert error["corrected"] < 0.85 * error["as given"]


def test_turning_leaves_places_alone() -> None:
    turns = torch.tensor([[0.0, 0.0, np.pi / 2]] * 5, dtype=torch.float64)
    moved = rotate_cameras(POSES, turns)
    torch.testing.assert_close(moved[:, :3, 3], POSES[:, :3, 3])
    torch.testing.assert_close(moved[0, :3, :3], matrix_of_axis_angle(turns[0]) @ POSES[0, :3, :3])
