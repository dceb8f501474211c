"""Thumbnails of a scene from the viewpoint of one of its photographs: input, prediction, truth and error."""

import io
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.method import Views
from deep3dmap.core.preview import PREDICTION, SIGNS, WORST_COLOR, Preview
from deep3dmap.geometry.cameras import scale_intrinsics
from deep3dmap.geometry.relief import ReliefCamera
from deep3dmap.ops.rasterize import Cull
from deep3dmap.render.camera_orbit import mean_up
from deep3dmap.render.mesh_renderer import MeshImages, render_in_image, render_mesh
from deep3dmap.render.views import overview, view_from
from deep3dmap.render.visualization import ERROR_COLORS, to_pil

HEIGHT = 240
QUALITY = 88
ELEVATION_TANGENT = 0.25  # tangent of the initial elevation of the viewer above the photograph's direction
UP = (0.0, 1.0, 0.0)


class Placement(NamedTuple):
    """Placement of a surface in an interactive viewer.

    frame: of the surface. axes: (3, 3), rows are the directions right, up and towards the viewer in that frame. eye, inside: as
    in a preview.
    """

    frame: str
    axes: NDArray[np.float64]
    eye: tuple[float, float, float]
    inside: bool


def placement(mesh: Mesh, frame: str, sample: dict[str, Any]) -> Placement:
    """Place a surface upright and facing the viewer, with an initial view close to that of a photograph."""
    signs = SIGNS.get(frame)
    if signs or "world_from_camera" not in sample:
        return Placement(frame, np.diag(signs or (1.0, 1.0, 1.0)), (0.4, 0.2, 1.0), False)
    poses = np.asarray(sample["world_from_camera"], np.float64)
    low, high = (mesh.vertices.min(0), mesh.vertices.max(0)) if len(mesh.vertices) else (np.zeros(3), np.ones(3))
    ahead = poses[photograph(sample), :3, 3] - (low + high) / 2
    up = mean_up(poses)
    ahead = _normalise(ahead - (ahead @ up) * up, np.eye(3)[np.abs(up).argmin()])
    axes = np.stack([np.cross(up, ahead), up, ahead])
    inside = bool(((poses[:, :3, 3] > low) & (poses[:, :3, 3] < high)).all(1).mean() > 0.5)
    if not inside or mesh.is_empty:
        return Placement(frame, axes, (0.0, ELEVATION_TANGENT, 1.0), inside)
    pose = overview(mesh.vertices @ axes.T, mesh.faces, width=4, height=3, up=UP, elevation_degrees=45.0).world_from_camera
    x, y, z = (-pose[:3, 2]).tolist()
    return Placement(frame, axes, (x, y, z), inside)


def photograph(sample: dict[str, Any]) -> int:
    """Return the index of the representative input photograph."""
    return len(sample["images"]) // 2 if "images" in sample else 0


def surface_pictures(
    predicted: Mesh, true: Mesh | None, preview: Preview, placed: Placement, sample: dict[str, Any]
) -> dict[str, bytes]:
    """Return {file name: JPEG}: input, and surface_prediction, surface_truth and surface_error from the same viewpoint."""
    pictures = {}
    image = _representative_photograph(sample)
    if image is not None:
        pictures["input.jpg"] = _encode_jpeg(image)
    meshes = {"prediction": predicted} if true is None else {"prediction": predicted, "truth": true}
    for name, mesh in meshes.items():
        if not mesh.is_empty:
            pictures[f"surface_{name}.jpg"] = _encode_jpeg(_render_thumbnail(mesh, placed, sample, mesh.colors))
    part = preview.parts[PREDICTION]
    if part.errors is not None and not part.mesh.is_empty and preview.worst > 0:
        # Undo the placement, so that it is rendered with the same camera as the others.
        faces = part.mesh.faces if np.linalg.det(placed.axes) > 0 else part.mesh.faces[:, ::-1]
        unplaced = Mesh(part.mesh.vertices @ placed.axes, faces)
        pictures["surface_error.jpg"] = _encode_jpeg(
            _render_thumbnail(unplaced, placed, sample, error_colors(part.errors, preview.worst))
        )
    return pictures


def view_pictures(views: Views, sample: dict[str, Any]) -> dict[str, bytes]:
    """Return {file name: JPEG}: input, and view_prediction, view_truth and view_error of a held-out view."""
    image = _representative_photograph(sample)
    pictures = {} if image is None else {"input.jpg": _encode_jpeg(image)}
    if "test_images" not in sample or not len(views.images):
        return pictures
    place = len(views.images) // 2
    predicted, true = (torch.from_numpy(np.asarray(one[place], np.float32)) for one in (views.images, sample["test_images"]))
    error = (predicted.clamp(0, 1) - true).abs().mean(0).numpy()
    colors = torch.from_numpy(error_colors(error.reshape(-1), WORST_COLOR).reshape(*error.shape, 3)).permute(2, 0, 1)
    return pictures | {
        "view_prediction.jpg": _encode_jpeg(predicted),
        "view_truth.jpg": _encode_jpeg(true),
        "view_error.jpg": _encode_jpeg(colors),
    }


def error_colors(errors: NDArray[Any], worst: float) -> NDArray[np.float32]:
    """Return colours (N, 3) from 0 (dark) to `worst` and above (bright); grey where an error is not finite."""
    from matplotlib import colormaps

    colors = colormaps[ERROR_COLORS](np.nan_to_num(errors / worst).clip(0, 1))[:, :3]
    return np.asarray(np.where(np.isfinite(errors)[:, None], colors, 0.35), np.float32)


def _representative_photograph(sample: dict[str, Any]) -> Tensor | None:
    image = sample["images"][photograph(sample)] if "images" in sample else sample.get("image")
    return None if image is None else torch.from_numpy(np.asarray(image, np.float32))


def _render_thumbnail(mesh: Mesh, placed: Placement, sample: dict[str, Any], colors: Any) -> Tensor:
    image = _representative_photograph(sample)
    height, width = (3, 4) if image is None else image.shape[1:]
    scale = HEIGHT / height
    size = HEIGHT, max(1, round(width * scale))
    if placed.frame == "image":
        drawn: MeshImages = render_in_image(mesh.vertices * scale, mesh.faces, *size, colors=colors, supersample=2)
        return drawn.image
    intrinsics, pose = _camera(mesh, placed.frame, sample, scale, size)
    cull: Cull = "back" if placed.inside else "none"
    return render_mesh(mesh.vertices, mesh.faces, intrinsics, pose, *size, colors=colors, cull=cull, supersample=2).image


def _camera(mesh: Mesh, frame: str, sample: dict[str, Any], scale: float, size: tuple[int, int]) -> tuple[Tensor, Tensor]:
    if frame == "relief":
        intrinsics = ReliefCamera(size[0]).intrinsics(torch.zeros(1, dtype=torch.float64))
        return intrinsics, torch.eye(4, dtype=torch.float64)
    if {"intrinsics", "world_from_camera", "images"} <= sample.keys():
        place = photograph(sample)
        intrinsics = scale_intrinsics(torch.as_tensor(np.asarray(sample["intrinsics"][place], np.float64)), scale, scale)
        return intrinsics, torch.as_tensor(np.asarray(sample["world_from_camera"][place], np.float64))
    return view_from(mesh.vertices, (0.4, 0.2, 1.0), width=size[1], height=size[0], up=UP)


def _normalise(vector: NDArray[np.float64], otherwise: NDArray[np.float64]) -> NDArray[np.float64]:
    length = float(np.linalg.norm(vector))
    return vector / length if length > 1e-9 else otherwise


def _encode_jpeg(image: Tensor) -> bytes:
    from PIL import Image

    picture = to_pil(image)
    width = max(1, round(picture.width * HEIGHT / picture.height))
    stream = io.BytesIO()
    picture.resize((width, HEIGHT), Image.Resampling.LANCZOS).save(stream, "JPEG", quality=QUALITY)
    return stream.getvalue()
