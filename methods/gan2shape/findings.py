"""What a fit found, as a reconstruction: depth, mesh, texture, and pictures from other views under other lights."""

import io
import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Mesh, Reconstruction
from deep3dmap.geometry.relief import relief_faces
from deep3dmap.methods.gan2shape.samplers import YAW
from deep3dmap.methods.gan2shape.shape_model import Explanation, ShapeModel
from deep3dmap.methods.gan2shape.steps import Projector
from deep3dmap.render.pictures import to_pil
from deep3dmap.render.relief_shading import ReliefLight, direction

YAWS = (-30.0, -15.0, 0.0, 15.0, 30.0)  # degrees
LIGHTS = (-1.0, 0.0, 1.0)  # x of the direction, at y = 0.3


@dataclass(frozen=True)
class Findings:
    """The explanation of a picture, and the generator's. latent: (1, D). own: (1, 3, S, S), its picture of that."""

    model: ShapeModel
    found: Explanation
    projector: Projector
    latent: Tensor
    own: Tensor

    def relit(self) -> Tensor:
        """Return the object lit from three sides, (3, 3, S, S)."""
        views = self.found.views.repeat(len(LIGHTS), 1)
        x = views.new_tensor(LIGHTS)
        light = ReliefLight(torch.full_like(x, 0.3), torch.full_like(x, 0.7), direction(x, torch.full_like(x, 0.3)))
        return self.model.show(self.found.canonical.repeated(len(LIGHTS)), views, light).relief.image

    def turned(self) -> Tensor:
        """Return the object's views (5, 6), at five yaws."""
        views = self.found.views.repeat(len(YAWS), 1)
        views[:, YAW] = views.new_tensor([math.radians(yaw) for yaw in YAWS])
        return views

    def rotated_mesh(self) -> Tensor:
        """Return the textured relief from five sides."""
        count = len(YAWS)
        texture = self.found.texture.clamp(-1, 1).expand(count, -1, -1, -1)
        return self.model.renderer.draw_mesh(texture, self.found.canonical.depth.expand(count, -1, -1), self.turned())

    def rotated_gan(self) -> Tensor:
        """Return what the generator makes of the object from five sides."""
        given = self.found.canonical.repeated(len(YAWS))
        light = ReliefLight(*(part.expand(len(YAWS), *part.shape[1:]) for part in self.found.light))
        pseudo = self.model.show(given, self.turned(), light).relief.image
        return self.projector.project(self.model, pseudo, self.latent, self.own).images


def relief_reconstruction(findings: Findings, notes: dict[str, Any]) -> Reconstruction:
    """Return depth (0 = not seen), normals, and the mesh with its texture, in the frame of the picture's camera."""
    found, camera = findings.found, findings.model.renderer.camera
    seen = found.relief.valid[:, 0]
    side = camera.size
    points = camera.turn(camera.lift(found.canonical.depth), found.views)[0].reshape(-1, 3)
    colors = _unit(found.texture[0])
    faces = relief_faces(side, side).numpy()
    mesh = Mesh(points.cpu().numpy(), faces, colors.flatten(1).T.numpy())
    strips = {
        "input_by_gan": findings.own,
        "albedo": found.canonical.albedo,
        "relit": findings.relit(),
        "rotated_mesh": findings.rotated_mesh(),
        "rotated_gan": findings.rotated_gan(),
    }
    uv = texture_places(side)
    return Reconstruction(
        "relief",
        "distance to the object's middle",
        mesh=mesh,
        depth=(found.relief.depth * seen).cpu().numpy(),
        normals=(camera.normals(found.relief.depth).permute(0, 3, 1, 2) * seen[:, None]).cpu().numpy(),
        texture=colors.numpy(),
        vertex_uv=uv,
        files={
            **{f"{name}.png": _png(strip) for name, strip in strips.items()},
            "textured.glb": _glb(mesh, uv, colors),
        },
        notes=notes,
    )


def texture_places(side: int) -> Any:
    """Return the places (side * side, 2) of a relief's vertices in its picture, u right and v up, in [0, 1]."""
    middles = (np.arange(side, dtype=np.float32) + 0.5) / side
    columns, rows = np.meshgrid(middles, 1 - middles)
    return np.stack([columns, rows], -1).reshape(-1, 2)


def _unit(picture: Tensor) -> Tensor:
    return (picture.detach() / 2 + 0.5).clamp(0, 1).cpu()


def _png(pictures: Tensor) -> bytes:
    """Return pictures (N, 3, S, S) in [-1, 1], side by side, as PNG."""
    stream = io.BytesIO()
    to_pil(torch.cat(list(_unit(pictures)), 2)).save(stream, "PNG")
    return stream.getvalue()


def _glb(mesh: Mesh, uv: Any, texture: Tensor) -> bytes:
    """Return the mesh with its texture in the axes that viewers expect: y up, z towards the viewer."""
    import trimesh

    material = trimesh.visual.material.PBRMaterial(baseColorTexture=to_pil(texture), metallicFactor=0.0, roughnessFactor=1.0)
    visual = trimesh.visual.TextureVisuals(uv=uv, material=material)
    flipped = (mesh.vertices - np.array([0, 0, 1], np.float32)) * np.array([1, -1, -1], np.float32)
    content = trimesh.Trimesh(flipped, mesh.faces, visual=visual, process=False).export(file_type="glb")
    assert isinstance(content, bytes)
    return content
