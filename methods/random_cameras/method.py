"""The chance level of camera estimation: random poses on a sphere, and the mean photograph for every view."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.nn.functional import interpolate

from deep3dmap.core import Camera, Method, MethodCard, Reconstruction, UserError, Views
from deep3dmap.core.options import option
from deep3dmap.geometry.cameras import look_at


@dataclass
class RandomCamerasConfig:
    """Sampling ranges of the cameras."""

    distance: float = option(4.0, "distance from the origin, which the cameras look at", low=0.1, valid="(0, inf)")
    lowest: float = option(-10.0, "minimum elevation in degrees", low=-89.0, high=89.0, valid="[-90, 90]")
    highest: float = option(80.0, "maximum elevation in degrees", low=-89.0, high=89.0, valid="[-90, 90]")


class RandomCameras(Method):
    """Guesses cameras at random. A method that does no better has estimated nothing."""

    card = MethodCard(
        title="Random cameras",
        authors="the deep3dmap authors",
        year=2026,
        paper="",
        tasks=("object_unposed",),
        consumes=("images", "intrinsics"),
        produces=("cameras", "views"),
        licence="Apache-2.0",
        is_baseline=True,
        tried_on=("objects",),
        frame="world",
        gauge="similarity",
    )
    config_type = RandomCamerasConfig

    def __init__(self, config: RandomCamerasConfig) -> None:
        if config.lowest > config.highest:
            raise UserError(f"method.lowest must not exceed method.highest, got {config.lowest:g} and {config.highest:g}")
        self.config = config
        self._mean = torch.zeros(3, 1, 1)

    def reconstruct(self, given: dict[str, Any]) -> Reconstruction:
        """Sample a camera for every image with the run's seed, uniformly on the sphere between the two elevations."""
        images = torch.from_numpy(np.stack([np.asarray(image, np.float32) for image in given["images"]]))
        self._mean = images.mean(0)
        random = torch.rand(len(images), 2, dtype=torch.float64)
        low, high = (math.sin(math.radians(angle)) for angle in (self.config.lowest, self.config.highest))
        height, azimuth = low + random[:, 0] * (high - low), 2 * math.pi * random[:, 1]
        level = (1 - height.square()).sqrt()
        eyes = self.config.distance * torch.stack([level * azimuth.cos(), level * azimuth.sin(), height], 1)
        all_intrinsics = np.asarray(given["intrinsics"], np.float64)
        cameras = [
            Camera(intrinsics, look_at(eye, (0.0, 0.0, 0.0)).numpy(), images.shape[3], images.shape[2])
            for intrinsics, eye in zip(all_intrinsics, eyes)
        ]
        return Reconstruction("world", "metre", cameras=cameras, gauge="similarity")

    def render(self, cameras: Sequence[Camera]) -> Views:
        """Return the mean of the given images for every camera."""
        pictures = [
            interpolate(self._mean[None], (camera.height, camera.width), mode="bilinear", antialias=True)[0]
            for camera in cameras
        ]
        return Views(torch.stack(pictures).clamp(0, 1).numpy())
