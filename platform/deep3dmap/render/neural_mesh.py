"""The Neural 3D Mesh Renderer behind the common interface: hard images with long-range approximate edge gradients."""

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
from deep3dmap.render.surface_checks import replace_invalid_vertices


@dataclass(frozen=True)
class NeuralMeshRenderer(Renderer):
    """Kato, Ushiku and Harada, Neural 3D Mesh Renderer, CVPR 2018.

    Image and silhouette use the paper's approximate gradient with respect to the projected vertices, see
    `ops.neural_mesh.follow_edges`; it is not a true derivative and reaches across the whole image. Gradients with respect to
    colours, texture and light are exact. Depth and normals are those at the pixel centres, with exact gradients for fixed
    visibility.

    epsilon: added to distances in the gradient, in units of half the image size. anti_aliasing: render image and silhouette at
    twice the size and average 2 x 2. far: largest depth that is rendered.
    Faces with a corner nearer than the view's `near` are skipped.
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
            raise ValueError(f"epsilon and far must be positive, got {self.epsilon} and {self.far}")

    def options(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return asdict(self)

    def render(self, surface: Surface, view: View, lights: Lights = DAYLIGHT, background: Color = (1.0, 1.0, 1.0)) -> Rendering:
        """Render a surface from a view."""
        surface = replace_invalid_vertices(surface)
        camera = to_camera(surface.vertices, view)
        pixels = to_pixels(camera, view)
        perspective = view.projection == "perspective"
        # Orthographic depths may have any sign, and nothing is too near.
        near = math.nextafter(view.near, 0.0) if perspective else -self.far
        paint = _make_shader(surface, lights, eye_of(view).to(camera), self.shading)
        picture = render_neural_mesh(
            pixels, surface.faces, view.height, view.width, paint=paint,
            background=background, near=near, far=self.far, epsilon=self.epsilon, anti_aliasing=self.anti_aliasing,
            perspective=perspective,
        )  # fmt: skip
        both_sides = torch.cat([surface.faces, surface.faces.flip(1)])
        seen = find_faces(pixels, both_sides, view.height, view.width, near=near, far=self.far, perspective=perspective)
        depth = depth_of_faces(pixels, both_sides, seen, perspective=perspective)
        face_id = _merge_reversed_faces(seen, len(surface.faces)).face_id
        normals = camera.new_zeros(*face_id.shape, 3)
        normals[face_id >= 0] = face_normals(camera, surface.faces).index_select(0, face_id[face_id >= 0])
        return Rendering(picture.image, depth, normals.permute(2, 0, 1), picture.silhouette, face_id)


def _make_shader(surface: Surface, lights: Lights, eye: Tensor, shading: Shading) -> Paint:
    """Return the function that shades fragments of the surface's faces and their reversed copies."""

    def paint(fragments: Fragments, faces: Tensor) -> Tensor:
        seen = _merge_reversed_faces(fragments, len(surface.faces))
        hit = seen.face_id >= 0
        image = surface.vertices.new_zeros(*hit.shape, 3)
        weights = seen.barycentrics[hit].to(surface.vertices)
        image[hit] = shade(surface, seen.face_id[hit], weights, lights, eye, shading)
        return image.permute(2, 0, 1)

    return paint


def _merge_reversed_faces(seen: Fragments, count: int) -> Fragments:
    """Convert fragments of `count` faces and their reversed copies to fragments of the original faces."""
    back = seen.face_id >= count
    face_id = torch.where(back, seen.face_id - count, seen.face_id)
    return Fragments(seen.depth, face_id, torch.where(back[..., None], seen.barycentrics.flip(-1), seen.barycentrics))
