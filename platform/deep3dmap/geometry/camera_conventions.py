"""Conversions between this package's pinhole cameras and those of other programs; docs/conventions.md has an overview.

A camera consists of intrinsics (3, 3) in pixels with centres at +0.5, and camera_from_world (4, 4) with OpenCV axes: x right,
y down, z forward. An orthographic camera has the same matrices; as it does not divide by z, its focal length is a scale in
pixels per unit. All results are float64 and differentiable in arguments given as tensors.
"""

import math
from typing import Any, NamedTuple

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import invert, look_at


class Pinhole(NamedTuple):
    """intrinsics: (3, 3) pixels, centres at +0.5. camera_from_world: (4, 4), OpenCV axes."""

    intrinsics: Tensor
    camera_from_world: Tensor


class Pytorch3dCamera(NamedTuple):
    """A camera of pytorch3d, in its normalised device coordinates (NDC): x left, y up, short side of the image [-1, 1].

    rotation: (3, 3), translation: (3,); ROW vectors: view = x @ rotation + translation, with x left, y up, z forward.
    focal, principal: (2,); ndc = focal * view / z + principal (without / z for an orthographic camera).
    """

    rotation: Tensor
    translation: Tensor
    focal: Tensor
    principal: Tensor


class NeuralRendererCamera(NamedTuple):
    """A camera as the rasteriser of hiroharu-kato/neural_renderer expects it: a LEFT-handed view, x right, y up, z forward.

    rotation: (3, 3) with determinant -1 for a right-handed world, translation: (3,); view = x @ rotation^T + translation.
    scale, offset: (2,); scale * view / z + offset lies in [-1, 1] within the image, y up.
    """

    rotation: Tensor
    translation: Tensor
    scale: Tensor
    offset: Tensor


def to_pytorch3d(intrinsics: Any, camera_from_world: Any, height: int, width: int) -> Pytorch3dCamera:
    """Convert a camera to pytorch3d; raises ValueError for a camera with skew."""
    matrix, pose = _to_doubles(intrinsics, camera_from_world)
    focal, centre = _focal_and_centre(matrix)
    short, size = min(height, width), matrix.new_tensor([width, height])
    rotation, translation = _flip_axes(pose, (-1, -1, 1))
    return Pytorch3dCamera(rotation.T, translation, 2 * focal / short, (size - 2 * centre) / short)


def from_pytorch3d(camera: Pytorch3dCamera, height: int, width: int) -> Pinhole:
    """Invert `to_pytorch3d`."""
    rotation, translation, focal, principal = _to_doubles(*camera)
    short, size = min(height, width), focal.new_tensor([width, height])
    intrinsics = _intrinsics(focal * short / 2, (size - principal * short) / 2)
    return Pinhole(intrinsics, _pose(*_flip_axes(_pose(rotation.T, translation), (-1, -1, 1))))


def pytorch3d_screen_camera(rotation: Any, translation: Any, focal: Any, principal: Any) -> Pinhole:
    """Convert a pytorch3d camera with in_ndc=False: focal length (2,) and principal point (2,) in pixels, centres at +0.5."""
    rotation, translation, focal, principal = _to_doubles(rotation, translation, focal, principal)
    return Pinhole(_intrinsics(focal, principal), _pose(*_flip_axes(_pose(rotation.T, translation), (-1, -1, 1))))


def field_of_view_focal(degrees: float) -> float:
    """Return the NDC focal length of a pytorch3d FoVPerspectiveCameras with this field of view over the short side."""
    return 1 / math.tan(math.radians(degrees) / 2)


def orbit(distance: float, elevation: float, azimuth: float) -> Tensor:
    """Return camera_from_world (4, 4) of pytorch3d's look_at_view_transform: around the origin of a world with y up.

    distance: world units. elevation, azimuth: degrees. Azimuth 0 looks along -z, 90 along -x. Raises ValueError at the poles,
    where `up` is degenerate.
    """
    e, a = math.radians(elevation), math.radians(azimuth)
    eye = [distance * math.cos(e) * math.sin(a), distance * math.sin(e), distance * math.cos(e) * math.cos(a)]
    return invert(look_at(eye, (0.0, 0.0, 0.0), up=(0.0, 1.0, 0.0)))


def opengl_pose(world_from_camera: Any) -> Tensor:
    """Convert a pose (..., 4, 4) between OpenCV camera axes and OpenGL's (x right, y up, looking along -z), in both directions.

    For OpenGL, pyrender, Blender and NeRF's transforms.json.
    """
    pose = torch.as_tensor(world_from_camera, dtype=torch.float64)
    return pose * pose.new_tensor([1.0, -1.0, -1.0, 1.0])


def opengl_projection(intrinsics: Any, height: int, width: int, near: float, far: float) -> Tensor:
    """Return OpenGL's clip matrix (4, 4) for these intrinsics: clip = matrix @ (x, y, z, 1) in OpenGL camera axes.

    After division by w the image is [-1, 1]^2, x right, y up, depth -1 at `near` and 1 at `far`. Supports skew. Raises
    ValueError unless 0 < near < far.
    """
    if not 0 < near < far:
        raise ValueError(f"near and far must satisfy 0 < near < far, got {near} and {far}")
    (matrix,) = _to_doubles(intrinsics)
    across, down = 2 * matrix[0] / width, 2 * matrix[1] / height
    zero = matrix.new_zeros(())
    # The rows act on (x, -y, -z) of the OpenGL camera; w is the depth -z.
    return torch.stack(
        [
            torch.stack([across[0], -across[1], 1 - across[2], zero]),
            torch.stack([zero, down[1], down[2] - 1, zero]),
            matrix.new_tensor([0, 0, -(far + near) / (far - near), -2 * far * near / (far - near)]),
            matrix.new_tensor([0, 0, -1, 0]),
        ]
    )


def to_neural_renderer(intrinsics: Any, camera_from_world: Any, height: int, width: int) -> NeuralRendererCamera:
    """Convert a camera to neural_renderer's view; raises ValueError for a camera with skew.

    For square images, its `projection` mode takes intrinsics, camera_from_world[:3, :3] and [:3, 3] unchanged.
    """
    matrix, pose = _to_doubles(intrinsics, camera_from_world)
    focal, centre = _focal_and_centre(matrix)
    size, up = matrix.new_tensor([width, height]), matrix.new_tensor([1.0, -1.0])
    rotation, translation = _flip_axes(pose, (1, -1, 1))
    return NeuralRendererCamera(rotation, translation, 2 * focal / size, up * (2 * centre / size - 1))


def from_neural_renderer(camera: NeuralRendererCamera, height: int, width: int) -> Pinhole:
    """Invert `to_neural_renderer`."""
    rotation, translation, scale, offset = _to_doubles(*camera)
    size, up = scale.new_tensor([width, height]), scale.new_tensor([1.0, -1.0])
    intrinsics = _intrinsics(scale * size / 2, (up * offset + 1) * size / 2)
    return Pinhole(intrinsics, _pose(*_flip_axes(_pose(rotation, translation), (1, -1, 1))))


def from_weak_perspective(scale: Any, rotation: Any, translation: Any, height: int, distance: float) -> Pinhole:
    """Convert face3d's scaled orthographic camera s R x + t, with y up and z towards the viewer, to an orthographic one.

    scale: pixels per unit. rotation: (3, 3). translation: (2,) or (3,) pixels; its z has no effect. height: rows of the image;
    face3d has pixel centres at integers, counted from the bottom row. distance: of the camera from the model's origin in model
    units, chosen to make all depths positive; it does not change the image.
    """
    scale, rotation, translation = _to_doubles(scale, rotation, translation)
    centre = torch.stack([translation[0] + 0.5, height - 0.5 - translation[1]])
    flip = rotation.new_tensor([1.0, -1.0, -1.0])
    return Pinhole(_intrinsics(scale.expand(2), centre), _pose(flip[:, None] * rotation, flip.new_tensor([0, 0, distance])))


def to_weak_perspective(camera: Pinhole, height: int) -> tuple[Tensor, Tensor, Tensor]:
    """Invert `from_weak_perspective`; returns scale (), rotation (3, 3) and translation (3,) with z = 0.

    Raises ValueError if the two focal lengths differ or the camera has skew.
    """
    intrinsics, pose = _to_doubles(*camera)
    focal, centre = _focal_and_centre(intrinsics)
    if abs(focal[0] - focal[1]) > 1e-9 * focal.abs().max():
        raise ValueError(f"a weak perspective camera must have one scale for both axes, got {focal.tolist()}")
    moved = centre + focal * pose[:2, 3]
    flip = pose.new_tensor([1.0, -1.0, -1.0])
    translation = torch.stack([moved[0] - 0.5, height - 0.5 - moved[1], moved.new_zeros(())])
    return focal[0], flip[:, None] * pose[:3, :3], translation


def _to_doubles(*values: Any) -> list[Tensor]:
    return [torch.as_tensor(value, dtype=torch.float64) for value in values]


def _focal_and_centre(intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    if abs(intrinsics[0, 1]) > 1e-9 * intrinsics[0, 0].abs():
        raise ValueError("these intrinsics have skew, which the target camera model does not support")
    return torch.stack([intrinsics[0, 0], intrinsics[1, 1]]), intrinsics[:2, 2]


def _intrinsics(focal: Tensor, centre: Tensor) -> Tensor:
    return torch.cat([torch.cat([torch.diag(focal), centre[:, None]], 1), focal.new_tensor([[0, 0, 1]])])


def _pose(rotation: Tensor, translation: Tensor) -> Tensor:
    return torch.cat([torch.cat([rotation, translation[:, None]], 1), rotation.new_tensor([[0, 0, 0, 1]])])


def _flip_axes(camera_from_world: Tensor, signs: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
    """Return rotation and translation with the camera axes reversed where the sign is -1."""
    flip = camera_from_world.new_tensor(signs)
    return flip[:, None] * camera_from_world[:3, :3], flip * camera_from_world[:3, 3]
