"""Shading of surface points: albedo from colours or a texture, times the incident light."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from deep3dmap.ops.rasterize import corner_values
from deep3dmap.render.mesh_renderer import GREY, vertex_normals
from deep3dmap.render.renderer import Lights, Surface
from deep3dmap.render.textures import sample_texture

Shading = Literal["phong", "gouraud", "flat"]


def shade(
    surface: Surface, face_id: Tensor, barycentrics: Tensor, lights: Lights, eye: Tensor, shading: Shading = "phong"
) -> Tensor:
    """Return the RGB (N, 3) of points on faces (N,) at barycentrics (N, 3); eye: (3,) camera centre in world coordinates.

    phong: lighting with interpolated normals. gouraud: lighting at the corners, interpolated; textures are still sampled per
    point. flat: lighting with face normals. Differentiable in vertices, colours, texture, barycentrics and harmonics. Raises
    ValueError for an unknown shading.
    """
    corners = surface.faces[face_id]
    base = albedo(surface, face_id, barycentrics)
    if shading == "gouraud":
        normals = vertex_normals(surface.vertices, surface.faces)
        lit = irradiance(normals, lights, surface.vertices)
        shine = highlight(surface.vertices, normals, lights, eye)
        color = base * _interpolate(lit, corners, barycentrics)
        return color if shine is None else color + _interpolate(shine, corners, barycentrics)
    points = _interpolate(surface.vertices, corners, barycentrics)
    if shading == "phong":
        smooth = vertex_normals(surface.vertices, surface.faces)
        normals = functional.normalize(_interpolate(smooth, corners, barycentrics), dim=1)
    elif shading == "flat":
        normals = face_normals(surface.vertices, surface.faces).index_select(0, face_id)
    else:
        raise ValueError(f"shading must be phong, gouraud or flat, not '{shading}'")
    shine = highlight(points, normals, lights, eye)
    color = base * irradiance(normals, lights, points)
    return color if shine is None else color + shine


def albedo(surface: Surface, face_id: Tensor, barycentrics: Tensor) -> Tensor:
    """Return the albedo (N, 3) at points on faces (N,) at barycentrics (N, 3)."""
    if surface.texture is not None and surface.uv is not None:
        corners = (surface.faces if surface.faces_uv is None else surface.faces_uv)[face_id]
        places = _interpolate(surface.uv.to(barycentrics), corners, barycentrics)
        return sample_texture(surface.texture, places, surface.texels)
    if surface.colors is not None:
        return _interpolate(surface.colors.to(barycentrics), surface.faces[face_id], barycentrics)
    return barycentrics.new_full((len(face_id), 3), GREY)


def irradiance(normals: Tensor, lights: Lights, points: Tensor) -> Tensor:
    """Return the non-negative irradiance (N, 3) at world points (N, 3) with unit normals (N, 3)."""
    if lights.harmonics is not None:
        return (harmonic_basis(normals) @ lights.harmonics.to(normals)).clamp(min=0)
    lambert = (normals * _light_directions(points, lights)).sum(1).clamp(min=0)
    return normals.new_tensor(lights.ambient) + lambert[:, None] * normals.new_tensor(lights.directional)


def harmonic_basis(normals: Tensor) -> Tensor:
    """Return the harmonics 1, y, z, x, xy, yz, 3 z^2 - 1, xz, x^2 - y^2 (N, 9) of unit normals (N, 3)."""
    x, y, z = normals.unbind(-1)
    return torch.stack([torch.ones_like(x), y, z, x, x * y, y * z, 3 * z**2 - 1, x * z, x**2 - y**2], -1)


def highlight(points: Tensor, normals: Tensor, lights: Lights, eye: Tensor) -> Tensor | None:
    """Return the specular term (N, 3) of Phong's model at points (N, 3), or None if the lights have none."""
    if not any(lights.specular) or lights.harmonics is not None:
        return None
    towards = _light_directions(points, lights)
    cosine = (normals * towards).sum(1)
    mirrored = 2 * cosine[:, None] * normals - towards
    seen = (functional.normalize(eye.to(points) - points, dim=1) * mirrored).sum(1).clamp(min=0)
    return torch.where(cosine > 0, seen, 0.0)[:, None] ** lights.shininess * points.new_tensor(lights.specular)


def _light_directions(points: Tensor, lights: Lights) -> Tensor:
    """Return unit vectors from points (N, 3) to the light, (N, 3), or (1, 3) for a directional light."""
    if lights.position is None:
        return functional.normalize(points.new_tensor(lights.direction), dim=0)[None]
    return functional.normalize(points.new_tensor(lights.position) - points, dim=1)


def face_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return unit face normals (F, 3), pointing to the counter-clockwise side; 0 for a face without area."""
    a, b, c = corner_values(vertices, faces).unbind(1)
    return functional.normalize(torch.linalg.cross(b - a, c - a), dim=1)


def _interpolate(values: Tensor, corners: Tensor, barycentrics: Tensor) -> Tensor:
    return (corner_values(values, corners) * barycentrics[..., None]).sum(1)
