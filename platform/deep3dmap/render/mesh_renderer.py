"""A basic z-buffer renderer with Lambert shading. Not differentiable."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import invert, scale_intrinsics, transform
from deep3dmap.ops.rasterize import Cull, Fragments, corner_values, interpolate, rasterize, rasterize_camera

GREY = 0.82
AMBIENT = 0.35


class MeshImages(NamedTuple):
    """The rendered maps of a mesh.

    image: (3, H, W) RGB in [0, 1]. depth: (H, W) metres, 0 = empty. normals: (3, H, W) in camera axes.
    face_id: (H, W), -1 = empty.
    """

    image: Tensor
    depth: Tensor
    normals: Tensor
    face_id: Tensor


def render_mesh(
    vertices: Any,
    faces: Any,
    intrinsics: Any,
    world_from_camera: Any,
    height: int,
    width: int,
    *,
    colors: Any = None,
    cull: Cull = "none",
    light: tuple[float, float, float] | None = None,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    supersample: int = 1,
) -> MeshImages:
    """Render a mesh in world coordinates with a pinhole camera and a soft light at the camera.

    vertices: (V, 3) world. faces: (F, 3). intrinsics: (3, 3) pixels, centres at +0.5. world_from_camera: (4, 4), OpenCV axes.
    colors: (V, 3) RGB in [0, 1], mildly shaded; neutral grey by default. Accepts numpy arrays and tensors.
    cull: see `rasterize`. light: direction in the world towards a distant light, replacing the one at the camera.
    supersample: samples per pixel and axis of the image, which smooths its edges; the other maps are sampled at pixel centres.
    """
    points, triangles = torch.as_tensor(vertices).float(), torch.as_tensor(faces).long()
    camera_from_world = invert(torch.as_tensor(world_from_camera, dtype=torch.float64)).to(points)
    camera = transform(points, camera_from_world).contiguous()
    matrix = torch.as_tensor(intrinsics, dtype=torch.float64)
    towards_eye = torch.nn.functional.normalize(-camera, dim=1)
    towards_light = None if light is None else camera_from_world[:3, :3] @ points.new_tensor(light)

    def draw(factor: int) -> MeshImages:
        fine = scale_intrinsics(matrix, factor, factor).float()
        seen = rasterize_camera(camera, triangles, fine, height * factor, width * factor, cull=cull)
        return _shade(seen, camera, triangles, towards_eye, towards_light, colors, background)

    images = draw(1)
    return images if supersample == 1 else images._replace(image=_average_samples(draw(supersample).image, supersample))


def render_in_image(
    vertices: Any,
    faces: Any,
    height: int,
    width: int,
    *,
    colors: Any = None,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
    supersample: int = 1,
) -> MeshImages:
    """Render a mesh given in image pixels, as produced by the face methods: x right, y down, z larger = nearer.

    vertices: (V, 3). colors, supersample: as in `render_mesh`. The returned depth is -z.
    """
    points, triangles = torch.as_tensor(vertices).float(), torch.as_tensor(faces).long()
    camera = (points * torch.tensor([1.0, 1.0, -1.0])).contiguous()
    towards_eye = torch.tensor([[0.0, 0.0, -1.0]]).expand_as(camera)

    def draw(factor: int) -> MeshImages:
        fine = (camera * torch.tensor([factor, factor, 1.0])).contiguous()
        seen = rasterize(fine, triangles, height * factor, width * factor, perspective=False)
        return _shade(seen, camera, triangles, towards_eye, None, colors, background)

    images = draw(1)
    return images if supersample == 1 else images._replace(image=_average_samples(draw(supersample).image, supersample))


def _average_samples(image: Tensor, factor: int) -> Tensor:
    return torch.nn.functional.avg_pool2d(image[None], factor)[0]


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return area-weighted unit vertex normals (V, 3), pointing to the side from which faces are counter-clockwise."""
    corners = corner_values(vertices, faces)
    cross = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = torch.zeros_like(vertices)
    for corner in range(3):
        summed.index_add_(0, faces[:, corner], cross)
    return torch.nn.functional.normalize(summed, dim=1)


def _shade(
    seen: Fragments,
    camera: Tensor,
    faces: Tensor,
    towards_eye: Tensor,
    towards_light: Tensor | None,
    colors: Any,
    background: tuple[float, float, float],
) -> MeshImages:
    covered = seen.face_id >= 0
    normals = torch.nn.functional.normalize(_interpolate_vertex_values(seen, faces, vertex_normals(camera, faces)), dim=0)
    eye = _interpolate_vertex_values(seen, faces, towards_eye)
    facing = (normals * eye).sum(0)
    light = eye if towards_light is None else torch.nn.functional.normalize(towards_light, dim=0)[:, None, None]
    # Surfaces are lit from both sides, so that reconstructions with inverted faces are still visible.
    cosine = ((normals * light).sum(0) * torch.where(facing < 0, -1.0, 1.0)).clamp(min=0)
    lambert = AMBIENT + (1 - AMBIENT) * cosine
    if colors is None:
        image = (GREY * lambert).expand(3, -1, -1)
    else:
        image = _interpolate_vertex_values(seen, faces, torch.as_tensor(colors).float()) * (0.5 + 0.5 * lambert)
    image = torch.where(covered, image.clamp(0, 1), torch.tensor(background)[:, None, None])
    return MeshImages(image, seen.depth, normals, seen.face_id)


def _interpolate_vertex_values(seen: Fragments, faces: Tensor, values: Tensor) -> Tensor:
    """Interpolate vertex values (V, C) to (C, H, W); zeros if the mesh has no faces."""
    return interpolate(seen, faces, values) if len(faces) else values.new_zeros(values.shape[1], *seen.face_id.shape)
