"""Face metrics on points with known errors; comparisons with reference values are in tests/golden."""

import math

import numpy as np
import pytest
import torch

from deep3dmap.geometry.face_pose import rotation_of_angles
from deep3dmap.metrics import face

GENERATOR = torch.Generator().manual_seed(0)
LANDMARKS = 100 * torch.rand(68, 3, generator=GENERATOR, dtype=torch.float64)


def test_size_is_the_geometric_mean_of_the_sides() -> None:
    corners = torch.tensor([[10.0, 10, 0], [50, 10, 7], [50, 100, 3]])
    assert float(face.box_size(corners)) == pytest.approx(60)


def test_a_shift_gives_its_length_over_the_size() -> None:
    shifted = LANDMARKS + torch.tensor([3.0, 4.0, 12.0])
    assert float(face.normalized_mean_error(shifted[:, :2], LANDMARKS[:, :2], 50)) == pytest.approx(0.1)
    assert float(face.normalized_mean_error(shifted, LANDMARKS, 50)) == pytest.approx(0.26)
    assert float(face.normalized_mean_error(face.align_mean_depth(shifted, LANDMARKS), LANDMARKS, 50)) == pytest.approx(0.1)


def test_wrong_shapes_and_sizes_are_refused() -> None:
    with pytest.raises(ValueError, match="differ in shape"):
        face.normalized_mean_error(LANDMARKS, LANDMARKS[:, :2], 1)
    with pytest.raises(ValueError, match="positive"):
        face.normalized_mean_error(LANDMARKS, LANDMARKS, 0.0)


@pytest.mark.parametrize(("degrees", "name"), [(0, "0_30"), (-30, "0_30"), (30.1, "30_60"), (-60, "30_60"), (61, "60_90")])
def test_bins_are_closed_above_and_blind_to_the_side(degrees: float, name: str) -> None:
    assert face.yaw_bin(math.radians(degrees)) == name


def test_a_yaw_beyond_ninety_degrees_counts_as_the_last_bin() -> None:
    assert face.yaw_bin(math.radians(100)) == "60_90"


def test_mean_of_bins_weighs_bins_and_not_faces() -> None:
    means, mean = face.mean_of_bins([("0_30", 1.0), ("0_30", 3.0), ("60_90", 8.0)])
    assert means == {"0_30": 2.0, "60_90": 8.0}
    assert mean == 5.0
    with pytest.raises(ValueError, match="no faces"):
        face.mean_of_bins([])


def turned(points: torch.Tensor, angles: np.ndarray) -> torch.Tensor:
    """Rotate points of the model space, y up, with 300W-LP's convention; returns image axes, y down."""
    flip = torch.tensor([1.0, -1.0, 1.0], dtype=torch.float64)
    return points @ torch.from_numpy(rotation_of_angles(angles)).T * flip


@pytest.mark.parametrize("difference", [(0.0, 0.0, 0.0), (0.1, -0.2, 0.3)])
def test_pose_error_is_the_mean_difference_of_the_angles(difference: tuple[float, ...]) -> None:
    pose = np.array([0.1, -0.5, 0.2])
    predicted = 0.7 * turned(LANDMARKS, pose + difference) + 20
    error = face.pose_error(predicted, turned(LANDMARKS, pose), pose)
    assert error == pytest.approx(math.degrees(np.abs(difference).mean()), abs=1e-6)


def test_pose_error_goes_the_short_way_round() -> None:
    pose, other = np.array([0.0, 0.0, 3.1]), np.array([0.0, 0.0, -3.1])
    error = face.pose_error(turned(LANDMARKS, other), turned(LANDMARKS, pose), pose)
    assert error == pytest.approx(math.degrees(2 * math.pi - 6.2) / 3, abs=1e-6)


def bumpy_sheet(size: int) -> torch.Tensor:
    x, y = torch.meshgrid(*[torch.linspace(-50, 50, size, dtype=torch.float64)] * 2, indexing="ij")
    z = 40 * torch.exp(-((x + 10) ** 2 + y**2) / 400) + 15 * torch.exp(-((x - 25) ** 2 + (y - 20) ** 2) / 200)
    return torch.stack([x, y, z], -1).reshape(-1, 3)


def test_reconstruction_error_is_blind_to_similarities_and_sees_shape() -> None:
    truth = bumpy_sheet(60)
    landmarks = truth[:: len(truth) // 68][:68]
    flatter = truth * torch.tensor([1.0, 1.0, 0.5], dtype=torch.float64)
    flat_landmarks = flatter[:: len(truth) // 68][:68]
    move = torch.from_numpy(rotation_of_angles(np.array([0.3, 0.2, -0.4])))
    same = face.reconstruction_error(1.7 * truth @ move.T + 9, truth, 1.7 * landmarks @ move.T + 9, landmarks)
    other = face.reconstruction_error(0.6 * flatter @ move.T, truth, 0.6 * flat_landmarks @ move.T, landmarks)
    assert same == pytest.approx(0, abs=1e-6)
    assert other * face.interocular_distance(landmarks) > 1


def test_reconstruction_error_refuses_nothing() -> None:
    with pytest.raises(ValueError, match="must have points"):
        face.reconstruction_error(torch.zeros(0, 3), LANDMARKS, LANDMARKS, LANDMARKS)


def test_surface_points_fill_the_triangles() -> None:
    vertices = torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0]])
    points = face.surface_points(vertices, torch.tensor([[0, 1, 2]]), at_least=200)
    assert len(points) > 200
    assert float(points.min()) >= 0
    assert float(points[:, :2].sum(1).max()) <= 1 + 1e-6
    distances = torch.cdist(torch.tensor([[0.3, 0.3, 0.0]]), points)
    assert float(distances.min()) < 0.05


def test_surface_points_keep_a_dense_mesh_as_it_is() -> None:
    vertices = torch.rand(50, 3)
    assert face.surface_points(vertices, torch.tensor([[0, 1, 2]]), at_least=50) is vertices
    with pytest.raises(ValueError, match="no vertices"):
        face.surface_points(torch.zeros(0, 3), torch.zeros(0, 3).long())
