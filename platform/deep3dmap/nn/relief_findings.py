"""Converts a relief fitted to an image into a reconstruction: depth, mesh, texture, and renderings from other views."""

import io
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Mesh, Reconstruction
from deep3dmap.geometry.relief import relief_faces
from deep3dmap.nn.relief_model import YAW, Explanation, Networks, ReliefModel
from deep3dmap.render.photo_geometric import Relief
from deep3dmap.render.relief_shading import ReliefLight, direction
from deep3dmap.render.visualization import to_pil

YAWS = (-30.0, -15.0, 0.0, 15.0, 30.0)  # degrees
LIGHTS = (-1.0, 0.0, 1.0)  # x of the direction, at y = 0.3


def relit(model: ReliefModel[Networks], found: Explanation) -> Relief:
    """Render the object of one image lit from three directions."""
    views = found.views.repeat(len(LIGHTS), 1)
    x = views.new_tensor(LIGHTS)
    light = ReliefLight(torch.full_like(x, 0.3), torch.full_like(x, 0.7), direction(x, torch.full_like(x, 0.3)))
    return model.show(found.canonical.repeated(len(LIGHTS)), views, light).relief


def turned(found: Explanation) -> Tensor:
    """Return the views (5, 6) of one image, at five yaw angles."""
    views = found.views.repeat(len(YAWS), 1)
    views[:, YAW] = views.new_tensor([math.radians(yaw) for yaw in YAWS])
    return views


def rotated_mesh(model: ReliefModel[Networks], found: Explanation) -> Tensor:
    """Render the textured relief of one image from five views, (5, 3, S, S)."""
    texture = found.texture.clamp(-1, 1).expand(len(YAWS), -1, -1, -1)
    return model.renderer.draw_mesh(texture, found.canonical.depth.expand(len(YAWS), -1, -1), turned(found))


def relief_reconstruction(
    model: ReliefModel[Networks], found: Explanation, strips: Mapping[str, Tensor], notes: dict[str, Any]
) -> Reconstruction:
    """Return depth (0 = not visible), normals and the textured mesh, in the frame of the image's camera.

    strips: images (N, 3, S, S) in [-1, 1] from the method, saved as files alongside albedo, relit and rotated_mesh, or instead.
    """
    camera, seen = model.renderer.camera, found.relief.valid[:, 0]
    points = camera.turn(camera.lift(found.canonical.depth), found.views)[0].reshape(-1, 3)
    colors = _unit(found.texture[0])
    mesh = Mesh(points.cpu().numpy(), relief_faces(camera.size, camera.size).numpy(), colors.flatten(1).T.numpy())
    shown = {
        "albedo": found.canonical.albedo[:1],
        "relit": relit(model, found).image,
        "rotated_mesh": rotated_mesh(model, found),
        **strips,
    }
    uv = texture_places(camera.size)
    return Reconstruction(
        "relief",
        "distance to the object's middle",
        mesh=mesh,
        depth=(found.relief.depth * seen).cpu().numpy(),
        normals=(camera.normals(found.relief.depth).permute(0, 3, 1, 2) * seen[:, None]).cpu().numpy(),
        texture=colors.numpy(),
        vertex_uv=uv,
        files={
            **{f"{name}.png": _png(strip) for name, strip in shown.items()},
            "textured.glb": _glb(mesh, uv, colors),
        },
        notes=notes,
    )


def texture_places(side: int) -> Any:
    """Return the texture coordinates (side * side, 2) of a relief's vertices, u right and v up, in [0, 1]."""
    middles = (np.arange(side, dtype=np.float32) + 0.5) / side
    columns, rows = np.meshgrid(middles, 1 - middles)
    return np.stack([columns, rows], -1).reshape(-1, 2)


def _unit(picture: Tensor) -> Tensor:
    return (picture.detach() / 2 + 0.5).clamp(0, 1).cpu()


def _png(pictures: Tensor) -> bytes:
    """Encode images (N, 3, S, S) in [-1, 1], side by side, as PNG."""
    stream = io.BytesIO()
    to_pil(torch.cat(list(_unit(pictures)), 2)).save(stream, "PNG")
    return stream.getvalue()


def _glb(mesh: Mesh, uv: Any, texture: Tensor) -> bytes:
    """Encode the textured mesh as GLB, with the axes that viewers expect: y up, z towards the viewer."""
    import trimesh

    material = trimesh.visual.material.PBRMaterial(baseColorTexture=to_pil(texture), metallicFactor=0.0, roughnessFactor=1.0)
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    flipped = (mesh.vertices - np.array([0, 0, 1], np.float32)) * np.array([1, -1, -1], np.float32)
    content = trimesh.Trimesh(flipped, mesh.faces, visual=visual, process=False).export(file_type="glb")
    assert isinstance(content, bytes)
    return content
