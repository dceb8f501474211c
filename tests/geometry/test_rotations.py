"""Conversions between rotation representations, against closed forms."""

import numpy as np
import pytest
import torch

from deep3dmap.geometry import rotations

QUARTER = np.array([[0.0, -1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]])


def test_a_quarter_turn_about_z_in_every_form() -> None:
    vector, quaternion = [0.0, 0.0, np.pi / 2], [np.sqrt(0.5), 0.0, 0.0, np.sqrt(0.5)]
    assert np.allclose(rotations.matrix_of_axis_angle(vector), QUARTER)
    assert np.allclose(rotations.matrix_of_quaternion(quaternion), QUARTER)
    assert np.allclose(rotations.axis_angle_of_matrix(QUARTER), vector)
    assert np.allclose(rotations.quaternion_of_matrix(QUARTER), quaternion)


def test_stacks_go_there_and_back() -> None:
    vectors = np.random.default_rng(0).uniform(-1, 1, (4, 5, 3))
    matrices = rotations.matrix_of_axis_angle(vectors)
    assert matrices.shape == (4, 5, 3, 3)
    assert np.allclose(rotations.axis_angle_of_matrix(matrices), vectors)
    quaternions = rotations.quaternion_of_matrix(matrices)
    assert quaternions.shape == (4, 5, 4)
    assert (quaternions[..., 0] >= 0).all()
    assert np.allclose(rotations.matrix_of_quaternion(-3 * quaternions), matrices)


@pytest.mark.parametrize("angle", [0.0, 1e-7, 0.5, np.pi])
def test_the_angle_between_rotations(angle: float) -> None:
    turned = rotations.matrix_of_axis_angle([0.0, angle, 0.0])
    assert rotations.angle_between(QUARTER, torch.from_numpy(QUARTER) @ turned).item() == pytest.approx(angle, abs=1e-12)


def test_one_rotation_against_a_stack() -> None:
    stack = rotations.matrix_of_axis_angle([[0.1, 0, 0], [0, 0.2, 0]])
    assert rotations.angle_between(np.eye(3), stack).tolist() == pytest.approx([0.1, 0.2])


@pytest.mark.parametrize("wrong", [np.diag([1.0, 1.0, -1.0]), 2 * np.eye(3), np.eye(4)])
def test_what_is_no_rotation_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(ValueError, match="rotation"):
        rotations.angle_between(np.eye(3), wrong)


def test_a_zero_quaternion_is_refused() -> None:
    with pytest.raises(ValueError, match="zero norm"):
        rotations.matrix_of_quaternion([0.0, 0.0, 0.0, 0.0])
