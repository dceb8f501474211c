"""Agreement of a mesh's silhouette with the masks of calibrated photographs."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.geometry.cameras import invert, transform
from deep3dmap.ops.rasterize import rasterize_camera

COVERAGE_THRESHOLD = 0.5


def silhouette(vertices: Any, faces: Any, intrinsics: Any, world_from_camera: Any, height: int, width: int) -> Tensor:
    """Return the mask (H, W) of pixels that a mesh covers in a camera.

    vertices: (V, 3) world. faces: (F, 3). intrinsics: (3, 3) pixels, centres at +0.5. world_from_camera: (4, 4), OpenCV axes.
    """
    if len(faces) == 0:
        return torch.zeros(height, width, dtype=torch.bool)
    pose = torch.as_tensor(np.asarray(world_from_camera), dtype=torch.float64)
    points = torch.as_tensor(np.asarray(vertices, np.float32))
    camera = transform(points, invert(pose).to(points)).contiguous()
    matrix = torch.as_tensor(np.asarray(intrinsics, np.float32))
    triangles = torch.as_tensor(np.asarray(faces, np.int64))
    return rasterize_camera(camera, triangles, matrix, height, width).face_id >= 0


def intersection_over_union(first: Any, second: Any) -> float:
    """Return the intersection over union of two masks (H, W); 1 if both are empty.

    Masks that are not boolean are thresholded at 0.5. Raises ValueError for different shapes.
    """
    first, second = binary_mask(first), binary_mask(second)
    if first.shape != second.shape:
        raise ValueError(f"masks differ in shape: {tuple(first.shape)} and {tuple(second.shape)}")
    either = int((first | second).sum())
    return float((first & second).sum()) / either if either else 1.0


def silhouette_ious(vertices: Any, faces: Any, masks: Any, intrinsics: Any, poses: Any, views: Sequence[int]) -> list[float]:
    """Return the intersection over union of the mesh's silhouette and the mask in each of `views`.

    masks: (V, H, W) coverage. intrinsics: (V, 3, 3). poses: (V, 4, 4) world_from_camera.
    """
    found = []
    for view in views:
        mask = binary_mask(masks[view])
        seen = silhouette(vertices, faces, intrinsics[view], poses[view], *mask.shape)
        found.append(intersection_over_union(seen, mask))
    return found


def binary_mask(mask: Any) -> Tensor:
    """Return a mask as boolean; one that is not boolean is thresholded at `COVERAGE_THRESHOLD`."""
    values = torch.as_tensor(np.asarray(mask)) if not isinstance(mask, Tensor) else mask
    return values if values.dtype == torch.bool else values > COVERAGE_THRESHOLD
