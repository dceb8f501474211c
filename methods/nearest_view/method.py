"""The given photograph nearest to the requested view: the least that a method of view synthesis has to beat."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.core import Camera, Method, MethodCard, Reconstruction, UserError, Views


@dataclass
class NearestViewConfig:
    """No options."""


class NearestView(Method):
    """Returns the photograph with the nearest camera, by position relative to the cameras' spread, and by direction."""

    card = MethodCard(
        title="Nearest view",
        authors="deep3dmap",
        year=2026,
        paper="",
        tasks=("object",),
        consumes=("images", "intrinsics", "world_from_camera"),
        produces=("views",),
        licence="Apache-2.0",
        frame="world",
        gauge="metric",
        is_baseline=True,
        tried_on=("objects",),
    )
    config_type = NearestViewConfig

    def __init__(self, config: NearestViewConfig) -> None:
        self.config = config
        self._images: Any = None
        self._poses: NDArray[np.float64] = np.zeros((0, 4, 4))

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Keep the photographs and their cameras for `render`."""
        self._images, self._poses = given["images"], np.asarray(given["world_from_camera"], np.float64)
        return Reconstruction("world", "metre", notes={"views": len(self._images)})

    def render(self, cameras: Sequence[Camera]) -> Views:
        """Return the nearest photograph for each camera, resized to the camera's size."""
        if self._images is None:
            raise UserError("nearest_view: reconstruct a scene before rendering it")
        return Views(np.stack([self._nearest(camera) for camera in cameras]))

    def _nearest(self, camera: Camera) -> NDArray[np.float32]:
        chosen = nearest_pose(self._poses, camera.world_from_camera)
        image = torch.from_numpy(np.asarray(self._images[chosen], np.float32))
        if image.shape[1:] != (camera.height, camera.width):
            size = camera.height, camera.width
            image = torch.nn.functional.interpolate(image[None], size, mode="bilinear", antialias=True)[0].clamp(0, 1)
        return image.numpy()


def nearest_pose(poses: NDArray[np.float64], wanted: NDArray[np.float64]) -> int:
    """Return the index of the nearest pose in (V, 4, 4), by distance relative to the poses' spread plus angle between axes."""
    places = poses[:, :3, 3]
    spread = max(float(np.linalg.norm(places - places.mean(0), axis=1).mean()), 1e-9)
    apart = np.linalg.norm(places - wanted[:3, 3], axis=1) / spread
    angle = np.arccos((poses[:, :3, 2] @ wanted[:3, 2]).clip(-1, 1))
    return int((apart + angle).argmin())
