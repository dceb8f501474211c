"""Rendering of a coloured surface in calibrated views, with Lambertian shading under light fixed in the world."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter
from torch import Tensor

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.geometry.cameras import project, scale_intrinsics, transform
from deep3dmap.ops.rasterize import Fragments, interpolate_at, rasterize_camera

Array = NDArray[np.float64]
VISIBILITY_TOLERANCE = 0.006  # distance in metres behind the rendered surface up to which a point counts as visible


@dataclass(frozen=True)
class LitSurface:
    """A surface with lighting.

    vertices: (V, 3) world metres. faces: (F, 3). light: (V, 3) irradiance, where 1 renders a white surface as white. look:
    (V, C) attributes interpolated to each pixel, which color_of maps from (C, H, W) to albedo (3, H, W) in linear RGB.
    """

    vertices: Array
    faces: NDArray[np.int64]
    light: Array
    look: Array
    color_of: Callable[[Tensor], Tensor]


class DrawnView(NamedTuple):
    """image: (3, H, W) RGB in [0, 1]. mask: (H, W) coverage. depth: (H s, W s) metres at the samples, 0 = empty."""

    image: NDArray[np.float32]
    mask: NDArray[np.float32]
    depth: NDArray[np.float32]


def draw_view(surface: LitSurface, camera: Camera, backdrop: NDArray[np.float32], supersample: int, gamma: float) -> DrawnView:
    """Render one view over `backdrop` (3, H, W), with `supersample` samples per pixel side and display gamma (1 = linear)."""
    faces = torch.from_numpy(surface.faces)
    points = transform(torch.from_numpy(surface.vertices), camera.camera_from_world).float().contiguous()
    intrinsics = scale_intrinsics(camera.intrinsics, supersample, supersample)
    seen = rasterize_camera(points, faces, intrinsics, camera.height * supersample, camera.width * supersample)
    attributes = torch.from_numpy(np.concatenate([surface.light, surface.look], 1).astype(np.float32))

    def lit(drawn: Tensor) -> Tensor:
        return (surface.color_of(drawn[3:]) * drawn[:3]).clamp(1e-6, 1) ** (1 / gamma)

    layers = drawn_layers(seen, faces, attributes, lit, supersample).numpy()
    return DrawnView(layers[:3] + (1 - layers[3]) * backdrop, layers[3], seen.depth.numpy())


def drawn_layers(
    seen: Fragments, faces: Tensor, attributes: Tensor, color_of: Callable[[Tensor], Tensor], supersample: int
) -> Tensor:
    """Return premultiplied colour and coverage, (4, H, W), of fragments (H s, W s).

    color_of maps attributes (C, 1, N) of the N covered samples, arranged as an image of one row, to colours (3, 1, N).
    """
    shown = (seen.face_id >= 0).flatten().nonzero()[:, 0]
    drawn = interpolate_at(seen.face_id.view(-1)[shown], seen.barycentrics.view(-1, 3)[shown], faces, attributes)
    samples = torch.zeros(4, *seen.face_id.shape)
    flat = samples.view(4, -1)
    flat[:3, shown] = color_of(drawn.T[:, None])[:, 0]
    flat[3, shown] = 1
    return torch.nn.functional.avg_pool2d(samples[None], supersample)[0]


def project_points(points: Array, camera: Camera) -> tuple[NDArray[np.float32], Array]:
    """Return the pixels (N, 2) of world points (N, 3) and their depth (N,) in metres."""
    pixels, depth = project(points, camera.intrinsics, camera.camera_from_world)
    return pixels.numpy().astype(np.float32), depth.numpy()


def inside(pixels: NDArray[np.float32], camera: Camera) -> NDArray[np.bool_]:
    """Return whether pixels (N, 2) are inside the image, (N,)."""
    return np.asarray(((pixels >= 0) & (pixels < (camera.width, camera.height))).all(1))


def visible(points: Array, normals: Array, view: DrawnView, camera: Camera) -> NDArray[np.bool_]:
    """Return whether surface points (N, 3) with unit normals (N, 3) face the camera and are unoccluded, (N,)."""
    pixels, depth = project_points(points, camera)
    factor = len(view.depth) // camera.height
    # Use the farthest sample around the pixel: near an outline, the point's own sample may show an occluder.
    farthest = maximum_filter(view.depth, 3)
    x, y = (np.floor(pixels * factor).astype(int).clip(0, np.array(view.depth.shape[::-1]) - 1)).T
    eye = camera.world_from_camera[:3, 3] - points
    facing = (normals * eye).sum(1) > 0.05 * np.linalg.norm(eye, axis=1)
    return inside(pixels, camera) & facing & (depth > 0) & (depth < farthest[y, x] + VISIBILITY_TOLERANCE)
