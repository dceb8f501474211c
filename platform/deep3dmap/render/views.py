"""Cameras that show a whole mesh: orbits, and a look from above into a room."""

from typing import NamedTuple

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import look_at
from deep3dmap.render.mesh_renderer import render_mesh


class View(NamedTuple):
    """A camera. intrinsics: (3, 3). world_from_camera: (4, 4)."""

    intrinsics: Tensor
    world_from_camera: Tensor


def orbit(
    vertices: Tensor,
    count: int,
    *,
    elevation_degrees: float,
    width: int,
    height: int,
    up: tuple[float, float, float] = (0.0, 0.0, 1.0),
) -> list[View]:
    """Return `count` cameras evenly around a mesh, which see all of it from `elevation_degrees` above the horizon of `up`."""
    points = vertices.double()
    lower, upper = torch.quantile(
        points[:: max(1, len(points) // 100_000)], torch.tensor([0.005, 0.995], dtype=torch.float64), dim=0
    )
    centre, radius = (lower + upper) / 2, float((upper - lower).norm()) / 2
    axis = torch.nn.functional.normalize(torch.tensor(up, dtype=torch.float64), dim=0)
    helper = torch.eye(3, dtype=torch.float64)[int(axis.abs().argmin())]
    first = torch.nn.functional.normalize(torch.linalg.cross(axis, helper), dim=0)
    second = torch.linalg.cross(axis, first)
    focal = 1.2 * min(width, height)
    distance = radius * focal / (0.5 * min(width, height)) * 0.92
    lens = torch.tensor([[focal, 0, width / 2], [0, focal, height / 2], [0, 0, 1]], dtype=torch.float64)
    elevation = torch.tensor(elevation_degrees).deg2rad()
    views = []
    for index in range(count):
        angle = torch.tensor(2 * torch.pi * (index + 0.5) / count)
        side = torch.cos(angle) * first + torch.sin(angle) * second
        eye = centre + distance * (torch.cos(elevation) * side + torch.sin(elevation) * axis)
        views.append(View(lens, look_at(eye, centre, axis)))
    return views


def turntable(
    vertices: Tensor, faces: Tensor, colors: Tensor | None, count: int = 4, *, elevation_degrees: float = 15.0, size: int = 320,
    up: tuple[float, float, float] = (0.0, 0.0, 1.0), look_inside: bool = False,
) -> list[Tensor]:  # fmt: skip
    """Render a mesh from `count` sides, each (3, size, size). look_inside: leave out walls seen from behind."""
    if len(faces) == 0:
        return [torch.ones(3, size, size)] * count
    views = orbit(vertices, count, elevation_degrees=elevation_degrees, width=size, height=size, up=up)
    cull = "back" if look_inside else "none"
    return [render_mesh(vertices, faces, *view, size, size, colors=colors, cull=cull).image for view in views]  # type: ignore[arg-type]
