"""The simple renderer: a z-buffer with Lambert shading. What it draws is not differentiable."""

from typing import Any, NamedTuple

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import invert, transform
from deep3dmap.ops.rasterize import Cull, Fragments, interpolate, rasterize, rasterize_camera

GREY = 0.75
AMBIENT = 0.35


class MeshImages(NamedTuple):
    """What a camera sees of a mesh.

    image: (3, H, W) RGB in [0, 1]. depth: (H, W) metres, 0 = empty. normals: (3, H, W) camera axes.
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
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> MeshImages:
    """Render a mesh in the world as a pinhole camera sees it, lit from the camera.

    vertices: (V, 3) world. faces: (F, 3). intrinsics: (3, 3) pixels, centres at +0.5. world_from_camera: (4, 4).
    colors: (V, 3) RGB in [0, 1], neutral grey without. numpy arrays and tensors are taken.
    """
    points, triangles = torch.as_tensor(vertices).float(), torch.as_tensor(faces).long()
    camera = transform(points, invert(torch.as_tensor(world_from_camera, dtype=torch.float64))).contiguous()
    seen = rasterize_camera(camera, triangles, torch.as_tensor(intrinsics).float(), height, width, cull=cull)
    towards_eye = torch.nn.functional.normalize(-camera, dim=1)
    return _shade(seen, camera, triangles, towards_eye, colors, background)


def render_in_image(
    vertices: Any,
    faces: Any,
    height: int,
    width: int,
    *,
    colors: Any = None,
    background: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> MeshImages:
    """Render a mesh given in the pixels of an image, as the face methods make them: x right, y down, z larger = nearer.

    vertices: (V, 3). The depth that is returned is -z.
    """
    points, triangles = torch.as_tensor(vertices).float(), torch.as_tensor(faces).long()
    camera = (points * torch.tensor([1.0, 1.0, -1.0])).contiguous()
    seen = rasterize(camera, triangles, height, width, perspective=False)
    towards_eye = torch.tensor([[0.0, 0.0, -1.0]]).expand_as(camera)
    return _shade(seen, camera, triangles, towards_eye, colors, background)


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Return area-weighted unit normals (V, 3), pointing to where the faces are counter-clockwise."""
    corners = vertices[faces]
    cross = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    summed = torch.zeros_like(vertices)
    for corner in range(3):
        summed.index_add_(0, faces[:, corner], cross)
    return torch.nn.functional.normalize(summed, dim=1)


def _shade(
    seen: Fragments, camera: Tensor, faces: Tensor, towards_eye: Tensor, colors: Any, background: tuple[float, float, float]
) -> MeshImages:
    covered = seen.face_id >= 0
    normals = interpolate(seen, faces, vertex_normals(camera, faces)) if len(faces) else camera.new_zeros(3, *covered.shape)
    normals = torch.nn.functional.normalize(normals, dim=0)
    eye = interpolate(seen, faces, towards_eye) if len(faces) else normals
    # Surfaces are lit from both sides: a reconstruction whose faces look the wrong way is still seen.
    lambert = AMBIENT + (1 - AMBIENT) * (normals * eye).sum(0).abs()
    if colors is None:
        image = (GREY * lambert).expand(3, -1, -1)
    else:
        albedo = interpolate(seen, faces, torch.as_tensor(colors).float())
        image = albedo * (0.5 + 0.5 * lambert)
    image = torch.where(covered, image.clamp(0, 1), torch.tensor(background)[:, None, None])
    return MeshImages(image, seen.depth, normals, seen.face_id)
