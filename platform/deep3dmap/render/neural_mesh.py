"""The Neural 3D Mesh Renderer behind the common interface: hard pictures whose edges pull on the mesh from afar."""

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from deep3dmap.ops.neural_mesh import Paint, depth_of_faces, find_faces, render_neural_mesh
from deep3dmap.ops.rasterize import Fragments
from deep3dmap.render.projection import eye_of, to_camera, to_pixels
from deep3dmap.render.renderer import DAYLIGHT, Color, Lights, Output, Renderer, Rendering, Surface, View
from deep3dmap.render.shading import Shading, face_normals, shade
from deep3dmap.render.surface_checks import drawable


@dataclass(frozen=True)
class NeuralMeshRenderer(Renderer):
    """Kato, Ushiku and Harada, Neural 3D Mesh Renderer, CVPR 2018.

    Image and silhouette get the paper's approximate gradient to the place of the vertices in the picture, see
    `ops.neural_mesh.follow_edges`, which is no derivative and reaches across the whole image; to colours, texture and light
    theirs is exact. Depth and normals are those at the pixels' centres, with their exact gradient where visibility is held.

    epsilon: added to distances in the gradient, where half of the image's side is 1. anti_aliasing: draw the image and the
    silhouette at twice the size and average 2 x 2. far: what is farther is not drawn.
    Faces with a corner nearer than the view's `near` are left out.
    """

    shading: Shading = "phong"
    epsilon: float = 1e-3
    anti_aliasing: bool = True
    far: float = 1e6

    name: ClassVar[str] = "neural_mesh"
    differentiable: ClassVar[frozenset[Output]] = frozenset(("image", "depth", "normals", "silhouette"))
    approximate: ClassVar[frozenset[Output]] = frozenset(("image", "silhouette"))
    reference: ClassVar[str] = "Kato, Ushiku and Harada, Neural 3D Mesh Renderer, CVPR 2018"

    def __post_init__(self) -> None:
        if not self.epsilon > 0 or not self.far > 0:
            raise ValueError(f"epsilon and far are positive, got {self.epsilon} and {self.far}")

    def options(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    def render(self, surface: Surface, view: View, lights: Lights = DAYLIGHT, background: Color = (1.0, 1.0, 1.0)) -> Rendering:
        """Draw one surface as one view sees it."""
        surface = drawable(surface)
        camera = to_camera(surface.vertices, view)
        pixels = to_pixels(camera, view)
        perspective = view.projection == "perspective"
        # Depths of an orthographic view may have any sign, and nothing of it is too near.
        near = math.nextafter(view.near, 0.0) if perspective else -self.far
        paint = _paint(surface, lights, eye_of(view).to(camera), self.shading)
        picture = render_neural_mesh(
            pixels, surface.faces, view.height, view.width, paint=paint,
            background=background, near=near, far=self.far, epsilon=self.epsilon, anti_aliasing=self.anti_aliasing,
            perspective=perspective,
        )  # fmt: skip
        both_sides = torch.cat([surface.faces, surface.faces.flip(1)])
        seen = find_faces(pixels, both_sides, view.height, view.width, near=near, far=self.far, perspective=perspective)
        depth = depth_of_faces(pixels, both_sides, seen, perspective=perspective)
        face_id = _given(seen, len(surface.faces)).face_id
        normals = camera.new_zeros(*face_id.shape, 3)
        normals[face_id >= 0] = face_normals(camera, surface.faces).index_select(0, face_id[face_id >= 0])
        return Rendering(picture.image, depth, normals.permute(2, 0, 1), picture.silhouette, face_id)


def _paint(surface: Surface, lights: Lights, eye: Tensor, shading: Shading) -> Paint:
    """Return what colours the fragments of the surface's faces and their backs."""

    def paint(fragments: Fragments, faces: Tensor) -> Tensor:
        seen = _given(fragments, len(surface.faces))
        there = seen.face_id >= 0
        image = surface.vertices.new_zeros(*there.shape, 3)
        weights = seen.barycentrics[there].to(surface.vertices)
        image[there] = shade(surface, seen.face_id[there], weights, lights, eye, shading)
        return image.permute(2, 0, 1)

    return paint


def _given(seen: Fragments, count: int) -> Fragments:
    """Return fragments of `count` faces and their reversed copies as fragments of the faces alone."""
    back = seen.face_id >= count
    face_id = torch.where(back, seen.face_id - count, seen.face_id)
    return Fragments(seen.depth, face_id, torch.where(back[..., None], seen.barycentrics.flip(-1), seen.barycentrics))
