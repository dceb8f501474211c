"""Plane-sweep stereo on a scan with exactly known geometry: a textured wall with a ball in front of it."""

import numpy as np
import pytest
import torch
from evaluating import scores_of
from wall_and_ball import CENTRE, HEIGHT, INTRINSICS, RADIUS, SCAN, SMALL, WALL, WIDTH, given, pose_at, view

from deep3dmap.benchmarks.indoor.protocol import IndoorProtocol
from deep3dmap.core.errors import UserError
from deep3dmap.methods.plane_sweep.consistency import confirmations
from deep3dmap.methods.plane_sweep.cost_volume import NO_MATCH, GreyFrame, best_planes, inverse_depths, matching_scores, warp
from deep3dmap.methods.plane_sweep.frame_choice import key_frames, neighbours, overlap
from deep3dmap.methods.plane_sweep.method import PlaneSweep
from deep3dmap.methods.plane_sweep.options import PlaneSweepConfig
from deep3dmap.methods.plane_sweep.smoothness import EDGE, aggregate


def test_a_neighbour_warped_by_the_true_plane_looks_like_the_reference() -> None:
    wall = GreyFrame(torch.rand(40, 50), torch.diag(torch.tensor([50.0, 50, 1])), torch.eye(4).double())
    same, seen = warp(wall, wall, torch.tensor([0.3, 1.0]))
    assert seen.all()
    torch.testing.assert_close(same, wall.image.expand(2, -1, -1), atol=1e-4, rtol=0)
    moved = wall._replace(world_from_camera=torch.from_numpy(pose_at(0.2)))
    shifted, seen = warp(moved, wall, torch.tensor([0.5]))
    torch.testing.assert_close(shifted[0, :, 5:], wall.image[:, :-5], atol=1e-4, rtol=0)  # 50 * 0.2 * 0.5 pixels
    assert seen[0].sum(1).tolist() == [45] * 40


def test_depth_of_the_wall_and_the_ball_is_found() -> None:
    planes = inverse_depths(0.8, 4.0, 64)
    found = best_planes(matching_scores(view(2), [view(i) for i in (0, 1, 3, 4)], planes, 7), planes)
    truth = torch.from_numpy(SCAN["true_depths"][2])
    error = ((found.depth - truth).abs() / truth)[4:-4, 4:-4]
    assert error.median() < 0.004
    assert (error < 0.02).double().mean() > 0.85, "windows across the edge of the ball see two depths"
    assert found.score.median() > 0.95
    assert found.ratio.median() < 0.5


def test_light_that_changes_between_frames_changes_nothing() -> None:
    planes = inverse_depths(1.0, 4.0, 16)
    other = view(3)
    scores = matching_scores(view(2), [other], planes, 7)
    dimmed = matching_scores(view(2), [other._replace(image=0.5 * other.image + 0.2)], planes, 7)
    assert (scores - dimmed).abs().quantile(0.99) < 0.05


def test_what_too_few_neighbours_see_has_no_match() -> None:
    away = view(4)._replace(world_from_camera=torch.from_numpy(pose_at(50.0)))
    planes = inverse_depths(1.0, 4.0, 4)
    assert (matching_scores(view(2), [away, away], planes, 5) == NO_MATCH).all()
    one, two = (matching_scores(view(2), [view(3), away], planes, 5, least) for least in (1, 2))
    assert (one > NO_MATCH).any()
    assert (two == NO_MATCH).all()


def test_an_occluded_neighbour_is_outvoted() -> None:
    planes = inverse_depths(0.8, 4.0, 32)
    blind = view(1)._replace(image=torch.rand(HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0)))
    found = best_planes(matching_scores(view(2), [blind, view(3)], planes, 7), planes)
    truth = torch.from_numpy(SCAN["true_depths"][2])
    assert (((found.depth - truth).abs() / truth)[4:-4, 4:-12] < 0.03).double().mean() > 0.75


def test_only_confirmed_depth_is_kept() -> None:
    depths = {i: torch.from_numpy(SCAN["true_depths"][i]) for i in range(5)}
    cameras = torch.from_numpy(SCAN["intrinsics"]), torch.from_numpy(SCAN["world_from_camera"])
    assert (confirmations(2, [1, 3], depths, *cameras, 0.02) >= 1).double().mean() > 0.95
    wrong = depths | {2: depths[2] * 1.2}
    assert (confirmations(2, [1, 3], wrong, *cameras, 0.02) >= 1).double().mean() < 0.05
    assert not confirmations(2, [1, 3], depths | {2: torch.zeros(HEIGHT, WIDTH)}, *cameras, 0.02).any()


def test_key_frames_and_neighbours_follow_the_poses() -> None:
    poses = torch.from_numpy(np.stack([pose_at(x) for x in (0, 0.04, 0.2, 0.25, 0.9)] + [pose_at(0.9, turn=0.5)]))
    assert key_frames(poses, 0.15, 90) == [0, 2, 4]
    assert key_frames(poses, 0.15, 20) == [0, 2, 4, 5]
    intrinsics = torch.from_numpy(INTRINSICS).expand(6, 3, 3)
    shares = overlap(0, intrinsics, poses, (HEIGHT, WIDTH), 1.0, 4.0)
    assert shares[0] == 1
    assert bool((shares[:5].diff() <= 0).all())
    assert shares[5] < shares[4]
    assert neighbours(0, shares, poses, range(5), 3, 0.2, 0.7) == [2, 3]
    assert neighbours(0, shares, poses, range(5), 1, 0.2, 0.3) == [2]


def test_the_mesh_lies_on_the_wall_and_the_ball() -> None:
    found = PlaneSweep(PlaneSweepConfig(**SMALL)).reconstruct(given())
    assert (found.frame, found.unit) == ("world", "metre")
    assert found.mesh is not None
    assert found.mesh.colors is not None
    points = found.mesh.vertices
    error = np.minimum(np.abs(points[:, 2] - WALL), np.abs(np.linalg.norm(points - CENTRE, axis=1) - RADIUS))
    assert len(points) > 1000
    assert np.median(error) < 0.01
    assert (error < 0.05).mean() > 0.85, "some points at the edge of the ball and of the images are wrong"
    assert found.notes["swept"] == 5
    score = scores_of(IndoorProtocol(), found, SCAN)
    assert score["complete"] > 0.85
    assert score["abs_rel"] < 0.02


def test_nothing_beyond_reach_is_fused() -> None:
    near, whole = (PlaneSweep(PlaneSweepConfig(**SMALL, reach=reach)).reconstruct(given()).mesh for reach in (WALL - 0.3, 0.0))
    assert near is not None
    assert whole is not None
    assert near.vertices[:, 2].max() < WALL - 0.15 < whole.vertices[:, 2].max(), "the ball alone, not the wall behind it"
    assert len(near.vertices) > 100


def test_larger_frames_are_swept_at_the_wanted_width() -> None:
    found = PlaneSweep(PlaneSweepConfig(**SMALL | {"width": 48, "color": False})).reconstruct(given())
    assert found.mesh is not None
    assert np.median(np.abs(found.mesh.vertices[:, 2] - WALL)) < 0.05


def test_a_scan_that_nothing_confirms_gives_an_empty_mesh() -> None:
    generator = np.random.default_rng(0)
    noise = given() | {"images": [generator.random((3, HEIGHT, WIDTH), np.float32) for _ in range(5)]}
    found = PlaneSweep(PlaneSweepConfig(**SMALL | {"min_score": 0.9})).reconstruct(noise)
    assert found.mesh is not None
    assert found.mesh.is_empty


def test_too_few_frames_are_a_clear_error() -> None:
    method = PlaneSweep(PlaneSweepConfig(**SMALL))
    with pytest.raises(UserError, match="at least two frames"):
        method.reconstruct(given(slice(1)))
    still = given() | {"world_from_camera": np.repeat(np.eye(4)[None], 5, 0)}
    with pytest.raises(UserError, match="no frame has a neighbour"):
        method.reconstruct(still)


@pytest.mark.parametrize("fields", [{"near": 7.0}, {"window": 4}, {"planes": 2}, {"views": 0}, {"baseline": 0}])
def test_senseless_settings_are_refused(fields: dict[str, float]) -> None:
    with pytest.raises(UserError, match="plane_sweep"):
        PlaneSweep(PlaneSweepConfig(**fields))


@pytest.mark.parametrize("seed", range(3))
def test_smoothness_pays_for_steps_along_lines(seed: int) -> None:
    """Compared with Hirschmuller's recursion, written out pixel by pixel and plane by plane."""
    generator = torch.Generator().manual_seed(seed)
    costs, guide = torch.rand(5, 4, 6, generator=generator), torch.rand(4, 6, generator=generator)
    small, large = 0.1, 0.4
    expected = torch.zeros_like(costs)
    for down, right in ((0, 1), (0, -1), (1, 0), (-1, 0)):
        paid = torch.zeros_like(costs)
        for row in range(4) if down >= 0 else range(3, -1, -1):
            for column in range(6) if right >= 0 else range(5, -1, -1):
                before = (row - down, column - right)
                if not (0 <= before[0] < 4 and 0 <= before[1] < 6):
                    paid[:, row, column] = costs[:, row, column]
                    continue
                last = paid[:, before[0], before[1]]
                jump = max(small, large / (1 + abs(float(guide[row, column] - guide[before])) / EDGE))
                for plane in range(5):
                    ways = [float(last[k]) + (0 if k == plane else small if abs(k - plane) == 1 else jump) for k in range(5)]
                    paid[plane, row, column] = costs[plane, row, column] + min(ways) - float(last.min())
        expected += paid
    torch.testing.assert_close(aggregate(costs, small, large, guide), expected)
