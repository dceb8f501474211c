"""Conversions of cameras against pytorch3d's own five types."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from deep3dmap.geometry.camera_conventions import (
    Pinhole,
    Pytorch3dCamera,
    field_of_view_focal,
    from_pytorch3d,
    orbit,
    pytorch3d_screen_camera,
    to_pytorch3d,
)
from deep3dmap.geometry.cameras import transform
from deep3dmap.geometry.weak_perspective import euler_xyz_of_rotation, rotation_of_euler_xyz

HEIGHT, WIDTH = 48, 64
NDC = {  # focal lengths and principal points in NDC of the cameras that state them so
    "fov_persp": (field_of_view_focal(45), (0.0, 0.0)),
    "fov_ortho": (1 / 1.2, (0.0, 0.0)),
    "persp_ndc": (1.7, (0.1, -0.05)),
}
SCREEN = {"persp_screen": ((70.0, 72.0), (30.0, 25.0)), "ortho_screen": ((20.0, 21.0), (30.0, 25.0))}


@pytest.fixture(scope="module")
def part(load_part: Callable[[str], Any]) -> Any:
    return load_part("multiview_face/cameras")


def camera(part: Any, name: str) -> Pinhole:
    pose = part.tensor("lookat1_R")[0], part.tensor("lookat1_T")[0]
    if name in SCREEN:
        return pytorch3d_screen_camera(*pose, *SCREEN[name])
    focal, principal = NDC[name]
    return from_pytorch3d(Pytorch3dCamera(*pose, torch.full((2,), focal), torch.tensor(principal)), HEIGHT, WIDTH)


def pixels(seen: Pinhole, points: Tensor, orthographic: bool) -> Tensor:
    view = transform(points.double(), seen.camera_from_world)
    homogeneous = torch.cat([view[:, :2], torch.ones(len(view), 1)], 1) if orthographic else view / view[:, 2:]
    return (homogeneous @ seen.intrinsics.T)[:, :2]


@pytest.mark.parametrize("index", [0, 1, 2])
def test_look_at_equals_the_official_one(part: Any, index: int) -> None:
    distance, elevation, azimuth = part.arrays[f"lookat{index}_dea"].tolist()
    ours = to_pytorch3d(np.eye(3), orbit(distance, elevation, azimuth), HEIGHT, WIDTH)
    np.testing.assert_allclose(ours.rotation, part.arrays[f"lookat{index}_R"][0], atol=1e-6)
    np.testing.assert_allclose(ours.translation, part.arrays[f"lookat{index}_T"][0], atol=1e-6)


@pytest.mark.parametrize("name", [*NDC, *SCREEN])
def test_points_are_seen_where_pytorch3d_sees_them(part: Any, name: str) -> None:
    ours, points = camera(part, name), part.tensor("points")
    flipped = transform(points.double(), ours.camera_from_world) * torch.tensor([-1, -1, 1])
    np.testing.assert_allclose(flipped, part.arrays[f"{name}_view"], atol=1e-5)
    seen = pixels(ours, points, "ortho" in name)
    np.testing.assert_allclose(seen, part.arrays[f"{name}_screen"][:, :2], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", [*NDC, *SCREEN])
def test_device_coordinates_are_pytorch3d_s(part: Any, name: str) -> None:
    theirs = to_pytorch3d(*camera(part, name), HEIGHT, WIDTH)
    view = part.tensor("points").double() @ theirs.rotation + theirs.translation
    divided = view[:, :2] if "ortho" in name else view[:, :2] / view[:, 2:]
    ndc = theirs.focal * divided + theirs.principal
    np.testing.assert_allclose(ndc, part.arrays[f"{name}_ndc"][:, :2], rtol=1e-4, atol=1e-5)


def test_euler_angles(part: Any) -> None:
    rotation = rotation_of_euler_xyz(part.tensor("euler_xyz"))
    np.testing.assert_allclose(rotation, part.arrays["euler_xyz_R"], atol=1e-6)
    np.testing.assert_allclose(euler_xyz_of_rotation(rotation), part.arrays["euler_back"], atol=1e-5)
