"""Resamples UV position maps and converts them to reconstructions."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.core import Mesh, Reconstruction
from deep3dmap.geometry.uv_atlas import UVAtlas


def resample(position_map: NDArray[Any], size: int) -> NDArray[np.float32]:
    """Resize a (3, S, S) map to `size` texels per side, bilinearly; texels are points, so the corner texels are preserved."""
    if position_map.shape[-1] == size:
        return np.asarray(position_map, np.float32)
    source = torch.from_numpy(np.ascontiguousarray(position_map, np.float32))[None]
    return torch.nn.functional.interpolate(source, (size, size), mode="bilinear", align_corners=True)[0].numpy()


def sample(position_map: NDArray[Any], uv: NDArray[Any]) -> NDArray[np.float32]:
    """Sample a (3, S, S) map of any size bilinearly at atlas coordinates (N, 2) in [0, 1], v up; returns (N, 3)."""
    u, v = np.asarray(uv, np.float64).T
    grid = torch.from_numpy(np.stack([2 * u - 1, 1 - 2 * v], 1))
    source = torch.from_numpy(np.ascontiguousarray(position_map, np.float64))
    values = torch.nn.functional.grid_sample(source[None], grid[None, None], padding_mode="border", align_corners=True)
    return values[0, :, 0].T.numpy().astype(np.float32)


def colors_at(image: NDArray[Any], points: NDArray[Any]) -> NDArray[np.float32]:
    """Sample a (3, H, W) image bilinearly at pixels (N, 2 or more); returns (N, 3). Clamps to the border outside the image."""
    height, width = image.shape[1:]
    grid = torch.from_numpy(2 * np.asarray(points, np.float64)[:, :2] / (width, height) - 1).float()
    source = torch.from_numpy(np.ascontiguousarray(image, np.float32))
    colors = torch.nn.functional.grid_sample(source[None], grid[None, None], padding_mode="border", align_corners=False)
    return colors[0, :, 0].T.numpy()


def reconstruction_of_map(position_map: NDArray[np.float32], atlas: UVAtlas, image: NDArray[Any]) -> Reconstruction:
    """Extract landmarks, points and a coloured mesh from a map in pixels of `image`; all results are in the image frame.

    The image frame is left-handed (x right, y down, z towards the camera); the triangles are wound so that in this frame the
    cross products of their edges point out of the face.
    """
    points = np.ascontiguousarray(atlas.points(position_map), np.float32)
    faces = atlas.triangles()[:, ::-1]
    return Reconstruction(
        frame="image",
        unit="pixel",
        mesh=Mesh(points, faces, colors_at(image, points).clip(0, 1)),
        points=points,
        position_map=np.ascontiguousarray(position_map, np.float32),
        landmarks=np.ascontiguousarray(atlas.landmarks(position_map), np.float32),
    )
