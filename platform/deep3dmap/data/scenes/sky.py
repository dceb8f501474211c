"""A clear sky with soft clouds at infinity, independent of the camera position."""

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.ops.solid_texture import value_noise

HORIZON, ZENITH, CLOUD = (0.82, 0.87, 0.92), (0.28, 0.48, 0.8), (0.97, 0.97, 0.98)


def sky(camera: Camera) -> NDArray[np.float32]:
    """Return the sky in a camera's image, (3, H, W) RGB; z is up."""
    rows, columns = np.mgrid[: camera.height, : camera.width] + 0.5
    pixels = np.stack([columns, rows, np.ones_like(rows)])
    rays = np.tensordot(camera.world_from_camera[:3, :3] @ np.linalg.inv(camera.intrinsics), pixels, 1)
    rays /= np.linalg.norm(rays, axis=0)
    up = np.clip(rays[2], 0, 1)
    # Clouds lie on a plane overhead and fade towards the horizon, where they would alias.
    height = np.maximum(up, 0.05)
    x, y = (torch.from_numpy((rays[axis] / height * 1.3 + 16).ravel().astype(np.float32)) for axis in (0, 1))
    low, high = (torch.stack([scale * x, scale * y, torch.full_like(x, level)]) for scale, level in ((1.0, 3.5), (2.3, 8.5)))
    noise = 0.7 * value_noise(low) + 0.3 * value_noise(high)
    cloud = np.clip((noise.numpy().reshape(up.shape) - 0.5) * 3, 0, 1) * np.clip((up - 0.08) * 4, 0, 1)
    shade = np.sqrt(up)
    dark, bright, white = (np.array(color)[:, None, None] for color in (HORIZON, ZENITH, CLOUD))
    clear = dark + (bright - dark) * shade
    return (clear + (white - clear) * cloud).astype(np.float32)
