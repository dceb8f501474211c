"""Cameras that show a whole mesh from outside: orbits, and the side from which most of the surface is visible."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import look_at
from deep3dmap.render.mesh_renderer import render_mesh

Direction = tuple[float, float, float]


class Viewpoint(NamedTuple):
    """A camera. intrinsics: (3, 3). world_from_camera: (4, 4)."""

    intrinsics: Tensor
    world_from_camera: Tensor


def orbit(
    vertices: Any, count: int, *, elevation_degrees: float, width: int, height: int, up: Direction = (0.0, 0.0, 1.0)
) -> list[Viewpoint]:
    """Return `count` cameras evenly spaced around a mesh, at an elevation of `elevation_degrees`, that see all of it.

    vertices: (V, 3). All cameras have the same distance from the centre of the bounding box. Outlier vertices may be outside
    the image. Raises ValueError if there are no vertices.
    """
    centre, points = _centre_and_inliers(vertices)
    focal = 1.2 * min(width, height)
    intrinsics = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    directions = _directions(count, elevation_degrees, up)
    poses = [look_at(direction, torch.zeros(3), _safe_up(direction, up)) for direction in directions]
    distance = max(_distance(points - centre, pose[:3, :3], focal, width, height) for pose in poses)
    for pose, direction in zip(poses, directions):
        pose[:3, 3] = centre + distance * direction
    return [Viewpoint(intrinsics, pose) for pose in poses]


def overview(
    vertices: Any, faces: Any, *, width: int, height: int, up: Direction = (0.0, 0.0, 1.0), elevation_degrees: float = 35.0
) -> Viewpoint:
    """Return a camera that sees the front of the largest surface area, with the mesh filling the image.

    For a room rendered with cull="back" this is the side from which the view into it is least obstructed.
    """
    corners = torch.as_tensor(vertices).double()[torch.as_tensor(faces).long()]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    views = orbit(vertices, 12, elevation_degrees=elevation_degrees, width=width, height=height, up=up)
    intrinsics, pose = max(views, key=lambda view: float((-area @ view.world_from_camera[:3, 2]).clamp(min=0).sum()))
    return _fill_image(Viewpoint(intrinsics, pose), vertices, width, height)


def view_from(vertices: Any, direction: Direction, *, width: int, height: int, up: Direction = (0.0, 0.0, 1.0)) -> Viewpoint:
    """Return a camera that looks at a mesh from a direction, with the mesh filling the image. vertices: (V, 3), not empty."""
    focal = 1.2 * min(width, height)
    intrinsics = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    towards = torch.tensor(direction, dtype=torch.float64)
    return _fill_image(Viewpoint(intrinsics, look_at(towards, torch.zeros(3), _safe_up(towards, up))), vertices, width, height)


def _fill_image(view: Viewpoint, vertices: Any, width: int, height: int) -> Viewpoint:
    pose = view.world_from_camera
    pose[:3, 3] = _find_filling_eye(_centre_and_inliers(vertices)[1], pose[:3, :3], float(view.intrinsics[0, 0]), width, height)
    return view


def turntable(
    vertices: Any, faces: Any, colors: Any = None, count: int = 4, *, elevation_degrees: float = 15.0, size: int = 320,
    up: Direction = (0.0, 0.0, 1.0), look_inside: bool = False, supersample: int = 1,
) -> list[Tensor]:  # fmt: skip
    """Render a mesh from `count` sides, each (3, size, size). look_inside: skip faces seen from behind."""
    if len(faces) == 0:
        return [torch.ones(3, size, size)] * count
    views = orbit(vertices, count, elevation_degrees=elevation_degrees, width=size, height=size, up=up)
    return [
        render_mesh(
            vertices, faces, *view, size, size, colors=colors, cull="back" if look_inside else "none", supersample=supersample
        ).image
        for view in views
    ]


def _centre_and_inliers(vertices: Any) -> tuple[Tensor, Tensor]:
    """Return the centre (3,) and the vertices (N, 3) float64 without outliers, possibly subsampled."""
    points = torch.as_tensor(vertices).double()
    if len(points) == 0:
        raise ValueError("the mesh has no vertices")
    points = points[:: max(1, len(points) // 100_000)]
    low, high = torch.quantile(points, torch.tensor([0.01, 0.99], dtype=torch.float64), dim=0)
    room = 0.1 * float((high - low).norm()) + 1e-9
    points = points[((points >= low - room) & (points <= high + room)).all(1)]
    return (points.amin(0) + points.amax(0)) / 2, points


def _directions(count: int, elevation_degrees: float, up: Direction) -> list[Tensor]:
    """Return unit vectors (3,) from the mesh to the cameras."""
    axis = torch.nn.functional.normalize(torch.tensor(up, dtype=torch.float64), dim=0)
    helper = torch.eye(3, dtype=torch.float64)[int(axis.abs().argmin())]
    first = torch.nn.functional.normalize(torch.linalg.cross(axis, helper), dim=0)
    second = torch.linalg.cross(axis, first)
    elevation = torch.tensor(elevation_degrees, dtype=torch.float64).deg2rad()
    # Offset from the axes by half a step, because three-quarter views show more than frontal ones.
    angles = 2 * torch.pi * (torch.arange(count, dtype=torch.float64) + 0.5) / count
    sides = [angle.cos() * first + angle.sin() * second for angle in angles]
    return [elevation.cos() * side + elevation.sin() * axis for side in sides]


def _safe_up(direction: Tensor, up: Direction) -> Tensor:
    axis = torch.tensor(up, dtype=torch.float64)
    straight_down = torch.linalg.cross(direction, axis).norm() < 1e-6 * axis.norm()
    return torch.eye(3, dtype=torch.float64)[int(axis.abs().argmin())] if straight_down else axis


def _distance(offsets: Tensor, rotation: Tensor, focal: float, width: int, height: int) -> float:
    """Return the distance from the centre at which a camera with world_from_camera `rotation` sees all offsets (N, 3)."""
    x, y, z = (offsets @ rotation).unbind(1)
    needed = torch.maximum(x.abs() * focal / (width / 2), y.abs() * focal / (height / 2)) - z
    return 1.06 * float(needed.amax()) + 1e-6


def _find_filling_eye(points: Tensor, rotation: Tensor, focal: float, width: int, height: int) -> Tensor:
    """Return the position at which a camera with `rotation` sees points (N, 3) centred and as large as possible.

    A point is in view if |x - ex| <= t (z - ez) for the eye e in camera axes, with t = width / 2 / focal, and likewise for y.
    The constraints for both signs bound ez, and ex is the midpoint between them.
    """
    x, y, z = (points @ rotation).unbind(1)
    middle, depth = [], []
    for values, size in ((x, width), (y, height)):
        t = size / 2 / focal / 1.06
        above, below = (values - t * z).amax(), (-values - t * z).amax()
        middle.append((above - below) / 2)
        depth.append((above + below) / (2 * t))
    return rotation @ torch.stack([*middle, -torch.stack(depth).amax() - 1e-6])
