"""The articulated body: rotations and kinematic chain against closed forms, gradients, and the procedural body's shape."""

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.data.scenes.procedural_body import BETAS, body_model
from deep3dmap.geometry.body_model import JOINTS, PARENTS, BodyModel, BodyTemplate
from deep3dmap.geometry.joint_limits import beyond_limits
from deep3dmap.geometry.linear_blend_skinning import chain, rotations_of_vectors, skin
from deep3dmap.geometry.rotations import matrix_of_axis_angle


@pytest.fixture(scope="module")
def body() -> BodyTemplate:
    return BodyTemplate(body_model())


def test_rotations_equal_scipys_and_are_smooth_at_zero() -> None:
    vectors = torch.tensor([[0.0, 0, 0], [1e-6, 0, 0], [0.3, -1.2, 0.7], [0, math.pi, 0], [5.0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(rotations_of_vectors(vectors), matrix_of_axis_angle(vectors.numpy()), atol=1e-12, rtol=0)
    vectors[3] *= 0.9
    assert torch.autograd.gradcheck(rotations_of_vectors, vectors.requires_grad_())


def test_chain_of_three_bones_in_a_plane() -> None:
    # A planar arm: angles add up, so positions are sums of unit vectors at the accumulated angles.
    angles, lengths = torch.tensor([0.3, -0.8, 1.1], dtype=torch.float64), (0.5, 0.4, 0.3)
    joints = torch.tensor([[0.0, 0, 0], [0.5, 0, 0], [0.9, 0, 0], [1.2, 0, 0]], dtype=torch.float64)[None]
    turns = torch.zeros(1, 4, 3, dtype=torch.float64)
    turns[0, :3, 2] = angles
    rotations, positions = chain(rotations_of_vectors(turns), joints, (-1, 0, 1, 2))
    total, expected = angles.cumsum(0), [torch.zeros(3, dtype=torch.float64)]
    for angle, length in zip(total, lengths):
        expected.append(expected[-1] + length * torch.stack([angle.cos(), angle.sin(), torch.zeros_like(angle)]))
    torch.testing.assert_close(positions[0], torch.stack(expected))
    torch.testing.assert_close(rotations[0, 3], rotations_of_vectors(torch.stack([angles[0] * 0, angles[0] * 0, total[2]])))
    with pytest.raises(ValueError, match="must come before it"):
        chain(rotations_of_vectors(turns), joints, (-1, 0, 3, 2))


def test_skinning_blends_what_two_joints_do() -> None:
    joints = torch.tensor([[[0.0, 0, 0], [1, 0, 0]]])
    turns = torch.zeros(1, 2, 3)
    turns[0, 1, 2] = math.pi / 2
    rotations, positions = chain(rotations_of_vectors(turns), joints, (-1, 0))
    vertices = torch.tensor([[[2.0, 0, 0], [2, 0, 0], [2, 0, 0]]])
    weights = torch.tensor([[1.0, 0], [0, 1], [0.5, 0.5]])
    moved = skin(vertices, weights, rotations, positions, joints)[0]
    torch.testing.assert_close(moved, torch.tensor([[2.0, 0, 0], [1, 1, 0], [1.5, 0.5, 0]]), atol=1e-6, rtol=0)


def test_procedural_body_is_closed_and_regular(body: BodyTemplate) -> None:
    model = body.model
    assert 6000 <= len(model.rest) <= 8000
    edges = np.sort(model.faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), 1)
    unique, count = np.unique(edges, axis=0, return_counts=True)
    assert (count == 2).all()
    assert len(model.rest) - len(unique) + len(model.faces) == 2
    volume = np.linalg.det(model.rest[model.faces].astype(float)).sum() / 6
    assert 0.05 < volume < 0.09
    assert 1.6 < np.ptp(model.rest[:, 1]) < 1.85
    assert ((model.weights > 0).sum(1) <= 4).all()
    assert body.groups == {"betas": len(BETAS), "body_pose": 63, "global_orient": 3, "translation": 3}
    assert len(JOINTS) == len(PARENTS) == 22


def test_at_rest_and_as_a_whole(body: BodyTemplate) -> None:
    torch.testing.assert_close(body.vertices(body.neutral(2))[1], body.mean(), atol=1e-6, rtol=0)
    turn = torch.tensor([[0.2, 1.0, -0.4]])
    moved = body.vertices({"global_orient": turn, "translation": torch.tensor([[1.0, 2, 3]])})
    # The body rotates about its root joint, as in SMPL.
    root = (body.joint_regressor @ body.mean())[0]
    expected = (body.mean() - root) @ rotations_of_vectors(turn)[0].T + root + torch.tensor([1.0, 2, 3])
    torch.testing.assert_close(moved[0], expected, atol=1e-5, rtol=0)


def test_a_knee_takes_along_what_is_below_it(body: BodyTemplate) -> None:
    pose = torch.zeros(1, 63)
    pose[0, 3 * (JOINTS.index("left_knee") - 1)] = 1.5
    before, after = body.joints({})[0], body.joints({"body_pose": pose})[0]
    moved = {JOINTS[joint] for joint in ((after - before).norm(dim=1) > 1e-4).nonzero()[:, 0]}
    assert moved == {"left_ankle", "left_foot"}
    assert after[JOINTS.index("left_ankle"), 2] < before[JOINTS.index("left_ankle"), 2] - 0.3
    regressed = body.landmarks(body.vertices({"body_pose": pose}))[0]
    assert (regressed - after).norm(dim=1).max() < 0.04


def test_shape_moves_the_joints_along(body: BodyTemplate) -> None:
    betas = torch.zeros(1, 10)
    betas[0, BETAS.index("arms")] = 2
    moved = body.joints({"betas": betas})[0] - body.joints({})[0]
    assert 0.02 < moved[JOINTS.index("left_wrist"), 0] < 0.05
    assert -0.05 < moved[JOINTS.index("right_wrist"), 0] < -0.02
    assert moved[JOINTS.index("left_ankle")].norm() < 1e-3


def test_gradients_in_float64() -> None:
    body = BodyTemplate(body_model()).double()
    torch.manual_seed(0)
    given = [0.3 * torch.randn(1, size, dtype=torch.float64) for size in (3, 12, 3)]
    pick = torch.tensor([5, 3000, 7000])

    def chosen(betas: Tensor, pose: Tensor, orient: Tensor) -> Tensor:
        return body.vertices({"betas": betas, "body_pose": pose, "global_orient": orient})[:, pick]

    assert torch.autograd.gradcheck(chosen, [one.requires_grad_() for one in given], fast_mode=True)


def test_prior_and_limits(body: BodyTemplate) -> None:
    pose = torch.zeros(2, 63)
    knee, elbow = 3 * (JOINTS.index("left_knee") - 1), 3 * (JOINTS.index("right_elbow") - 1) + 1
    pose[0, knee], pose[0, elbow] = 1.0, 1.0
    pose[1, knee], pose[1, elbow] = -0.5, -0.5
    torch.testing.assert_close(beyond_limits(pose), torch.tensor([0.0, 0.5]))
    free = body.prior({"global_orient": torch.ones(1, 3), "translation": torch.ones(1, 3)})
    assert free.item() == 0
    assert body.prior({"betas": torch.full((1, 10), 2.0)}).item() == pytest.approx(40)
    assert body.prior({"body_pose": pose})[0] > 0


def test_saved_and_loaded(tmp_path: Path) -> None:
    body_model().save(tmp_path / "body.npz")
    np.testing.assert_array_equal(BodyModel.load(tmp_path / "body.npz").weights, body_model().weights)
    (tmp_path / "bad.npz").write_bytes(b"PK")
    with pytest.raises(UserError, match=r"bad\.npz"):
        BodyModel.load(tmp_path / "bad.npz")
