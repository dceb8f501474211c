"""Meshes for the tests of the soft rasteriser."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.ops.rasterize_soft import SoftFragments, rasterize_soft


def soup(seed: int) -> tuple[Tensor, Tensor, dict[str, Any]]:
    """Random triangles over a random image, some outside it, behind the camera, degenerate or not finite."""
    rng = np.random.default_rng(seed)
    height, width = (int(n) for n in rng.integers(1, 28, 2))
    count = int(rng.integers(0, 25))
    vertices = rng.uniform(-0.3, 1.3, (max(3, count), 3)) * (width, height, 1) + (0, 0, 0.6)
    if seed % 4 == 0:
        vertices[: len(vertices) // 3, 2] *= -1
    if seed % 5 == 0:
        vertices[0] = np.nan
    faces = rng.integers(0, len(vertices), (count, 3))
    how = {
        "height": height,
        "width": width,
        "faces_per_pixel": (1, 3, 8, 50)[seed % 4],
        "blur_radius": float((0, 0.7, 3)[seed % 3]),
        "perspective": bool(seed % 2),
        "clip_barycentrics": bool(seed // 2 % 2),
        "cull": ("none", "back")[seed // 4 % 2],
        "order": ("depth", "distance")[seed // 8 % 2],
    }
    return torch.tensor(vertices, dtype=torch.float32), torch.tensor(faces), how


def draw(vertices: Tensor, faces: Tensor, backend: str, **how: Any) -> SoftFragments:
    return rasterize_soft(vertices, faces, how.pop("height"), how.pop("width"), backend=backend, **how)  # type: ignore[arg-type]


def well_shaped(seed: int) -> tuple[Tensor, Tensor]:
    """Six triangles with only long edges, float64."""
    rng = np.random.default_rng(seed)
    centres = rng.uniform(2, 14, (6, 1, 2))
    turns = rng.uniform(0, 6.28, (6, 1)) + np.array([[0, 2.1, 4.2]])
    corners = centres + 4 * np.stack([np.cos(turns), np.sin(turns)], -1)
    vertices = np.concatenate([corners, rng.uniform(1, 3, (6, 3, 1))], -1).reshape(-1, 3)
    return torch.tensor(vertices), torch.arange(18).reshape(6, 3)
