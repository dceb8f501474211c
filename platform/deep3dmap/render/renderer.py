"""The common interface of all renderers: surfaces or fields, cameras and lights in; images, depth, normals, silhouettes out.

The outputs with gradients are listed in the class attribute `differentiable`; all others are returned detached.
"""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor

Output = Literal["image", "depth", "normals", "silhouette"]
Projection = Literal["perspective", "orthographic"]
Texels = Literal["areas", "points"]
Color = tuple[float, float, float]


@dataclass(frozen=True)
class Surface:
    """A triangle mesh in world coordinates and its appearance.

    vertices: (V, 3) float. faces: (F, 3) int64, counter-clockwise from outside. colors: (V, 3) RGB in [0, 1], or None.
    texture: (3, h, w) RGB in [0, 1], its first row at v = 1, with uv (Vt, 2) in [0, 1], v up, and faces_uv (F, 3) into `uv`
    (None: same as `faces`). A texture takes precedence over colours; with neither, the surface is grey. texels: areas, which
    together cover [0, 1], or points, of which the outermost are at 0 and 1, that is, align_corners=False or True.
    Raises ValueError for wrong shapes and types.
    """

    vertices: Tensor
    faces: Tensor
    colors: Tensor | None = None
    texture: Tensor | None = None
    uv: Tensor | None = None
    faces_uv: Tensor | None = None
    texels: Texels = "areas"

    def __post_init__(self) -> None:
        if self.texels not in ("areas", "points"):
            raise ValueError(f"texels must be areas or points, not '{self.texels}'")
        if self.vertices.dim() != 2 or self.vertices.shape[1] != 3 or not self.vertices.is_floating_point():
            raise ValueError(f"vertices must be float (V, 3), got {self.vertices.dtype} {tuple(self.vertices.shape)}")
        if self.faces.dim() != 2 or self.faces.shape[1] != 3 or self.faces.dtype != torch.int64:
            raise ValueError(f"faces must be int64 (F, 3), got {self.faces.dtype} {tuple(self.faces.shape)}")
        if self.colors is not None and self.colors.shape != self.vertices.shape:
            raise ValueError(f"colors must be {tuple(self.vertices.shape)}, got {tuple(self.colors.shape)}")
        if (self.texture is None) != (self.uv is None):
            raise ValueError("texture and uv must be given together, one of them is missing")
        if self.texture is not None and (self.texture.dim() != 3 or self.texture.shape[0] != 3):
            raise ValueError(f"texture must be (3, h, w), got {tuple(self.texture.shape)}")
        if self.faces_uv is not None and self.faces_uv.shape != self.faces.shape:
            raise ValueError(f"faces_uv must be {tuple(self.faces.shape)}, got {tuple(self.faces_uv.shape)}")


@dataclass(frozen=True)
class View:
    """A differentiable camera. OpenCV axes: x right, y down, z forward; pixel centres at +0.5.

    intrinsics: (3, 3) pixels; an orthographic view applies them to camera x and y without dividing by z, so the focal length is
    the scale in pixels per unit (weak perspective). camera_from_world: (4, 4). near: depth of the near plane, in world units.
    Raises ValueError for wrong shapes and sizes.
    """

    intrinsics: Tensor
    camera_from_world: Tensor
    height: int
    width: int
    projection: Projection = "perspective"
    near: float = 0.01

    def __post_init__(self) -> None:
        if self.intrinsics.shape != (3, 3) or self.camera_from_world.shape != (4, 4):
            shapes = f"{tuple(self.intrinsics.shape)} and {tuple(self.camera_from_world.shape)}"
            raise ValueError(f"intrinsics must be (3, 3) and camera_from_world (4, 4), got {shapes}")
        if self.height < 1 or self.width < 1:
            raise ValueError(f"height and width must be positive, got {self.height} and {self.width}")


@dataclass(frozen=True)
class Lights:
    """Ambient light and one directional or point light, or spherical harmonics instead of both.

    ambient, directional, specular: RGB. direction: from the surface towards the light, in world axes. position: of a point
    light in the world, replacing the direction; without distance attenuation, like PyTorch3D's PointLights.
    harmonics: (9, 3) irradiance coefficients of the real harmonics 1, y, z, x, xy, yz, 3 z^2 - 1, xz, x^2 - y^2 of the world
    normal, constants included; image = albedo * sum (Ramamoorthi and Hanrahan, 2001).
    """

    ambient: Color = (0.5, 0.5, 0.5)
    directional: Color = (0.5, 0.5, 0.5)
    direction: Color = (0.0, 0.0, 1.0)
    specular: Color = (0.0, 0.0, 0.0)
    shininess: float = 64.0
    harmonics: Tensor | None = None
    position: Color | None = None


UNLIT = Lights(ambient=(1.0, 1.0, 1.0), directional=(0.0, 0.0, 0.0))
DAYLIGHT = Lights()


@dataclass(frozen=True)
class Rendering:
    """The output of a renderer.

    image: (3, H, W) RGB over the background. depth: (H, W) along the optical axis, 0 where empty. normals: (3, H, W) unit, in
    camera axes, 0 where empty. silhouette: (H, W) coverage in [0, 1]. face_id: (H, W) int64, nearest face, -1 where empty;
    None if not available, as for fields.
    """

    image: Tensor
    depth: Tensor
    normals: Tensor
    silhouette: Tensor
    face_id: Tensor | None = None


class Renderer(ABC):
    """Renders surfaces. A renderer has no state besides its settings, which `options()` returns."""

    name: ClassVar[str]
    differentiable: ClassVar[frozenset[Output]]
    reference: ClassVar[str]

    @abstractmethod
    def render(self, surface: Surface, view: View, lights: Lights = DAYLIGHT, background: Color = (1.0, 1.0, 1.0)) -> Rendering:
        """Render a surface from a view; raises ValueError for face indices out of range.

        Triangles that are degenerate, behind the camera or have non-finite vertices are skipped.
        """

    def options(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return {}


@dataclass(frozen=True)
class FieldSamples:
    """Densities (N,) per unit length and RGB (N, 3) in [0, 1] at N points; optional world normals (N, 3)."""

    density: Tensor
    color: Tensor
    normals: Tensor | None = None
