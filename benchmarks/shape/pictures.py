"""The picture of a shape: depth and normals next to the true ones, and the method's own albedo, relighting and other views."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from deep3dmap.core import Mesh, Reconstruction
from deep3dmap.geometry.relief import ReliefCamera, relief_faces
from deep3dmap.metrics.relief_depth import common_pixels
from deep3dmap.render.visualization import contact_sheet, depth_picture, enlarged, error_picture, from_pil, save_png

TILE = 128  # minimum height of a tile
WORST = 0.05  # difference of log depth at the upper end of the error map
# Files of a reconstruction to show if they exist, with their titles.
EXTRAS = {
    "input_by_gan": "the generator's picture",
    "albedo": "albedo",
    "relit": "relit from three sides",
    "rotated_mesh": "rotated, by mesh",
    "rotated_gan": "rotated, through the GAN",
}


def write_pictures(reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
    """Write shape.png into `folder` and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    true = torch.from_numpy(np.asarray(truth["relief_depth"], np.float32))
    predicted = torch.from_numpy(np.asarray(reconstruction.depth, np.float32))[0]
    shown = true < true.max()
    both = common_pixels(true[None], (predicted > 0).float()[None])[0] > 0
    low, high = (float(true[shown].min()), float(true[shown].max())) if shown.any() else (0.9, 1.1)
    tiles = [
        ("photograph", torch.from_numpy(np.asarray(truth["image"]))),
        ("depth", depth_picture(match_scale(predicted, true, both), low, high)),
        ("true depth", depth_picture(torch.where(shown, true, 0), low, high)),
        ("error", error_picture(_difference(predicted, true, both), both, WORST)),
        ("normals", _normals(predicted)),
        ("true normals", torch.where(shown, _normals(true), 0.18)),
    ]
    sheets = [contact_sheet([(title, enlarged(picture, TILE)) for title, picture in tiles], columns=6)]
    extras = [(EXTRAS[name], reconstruction.files[f"{name}.png"]) for name in EXTRAS if f"{name}.png" in reconstruction.files]
    strips = [(title, enlarged(from_pil(Image.open(io.BytesIO(content))), TILE)) for title, content in extras]
    sheets += [contact_sheet(row, columns=len(row)) for row in (strips[:3], strips[3:]) if row]
    file = folder / "shape.png"
    return [save_png(_stack_sheets(sheets), file)]


def relief_surface(depth: Tensor, shown: Tensor) -> Mesh:
    """Return a depth map (H, W) as a surface in camera axes, restricted to the pixels in `shown` (H, W)."""
    points = ReliefCamera(depth.shape[-1]).lift(depth[None])[0].reshape(-1, 3)
    faces = relief_faces(*depth.shape)
    faces = faces[shown.reshape(-1)[faces].all(1)]
    used, corners = faces.unique(return_inverse=True)
    return Mesh(points[used].numpy(), corners.numpy())


def _stack_sheets(sheets: list[Image.Image]) -> Image.Image:
    whole = Image.new("RGB", (max(sheet.width for sheet in sheets), sum(sheet.height for sheet in sheets)), "white")
    top = 0
    for sheet in sheets:
        whole.paste(sheet, (0, top))
        top += sheet.height
    return whole


def match_scale(predicted: Tensor, true: Tensor, both: Tensor) -> Tensor:
    """Scale the predicted depth to the true one; 0 remains missing depth."""
    if not both.any():
        return predicted
    factor = (true[both].log() - predicted[both].log()).mean().exp()
    return predicted * factor


def _difference(predicted: Tensor, true: Tensor, both: Tensor) -> Tensor:
    return torch.where(both, (match_scale(predicted, true, both).clamp(min=1e-6).log() - true.log()).abs(), 0)


def _normals(depth: Tensor) -> Tensor:
    """Return a normal map (3, H, W): x to the right is red, y up is green, towards the camera is blue."""
    filled = torch.where(depth > 0, depth, depth.max().clamp(min=1e-3))
    normals = ReliefCamera(depth.shape[-1]).normals(filled[None])[0].permute(2, 0, 1)
    return normals * torch.tensor([-0.5, 0.5, 0.5])[:, None, None] + 0.5
