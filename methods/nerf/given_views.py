"""The photographs that a field is fitted to, as pixels for sampling batches of rays."""

from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import normalize

from deep3dmap.core.errors import UserError
from deep3dmap.metrics.silhouette import COVERAGE_THRESHOLD
from deep3dmap.render.volume import Rays, box_interval

MIN_VIEWS = 2
PROBES = 256  # pixels of each view used to test whether it sees the bounds


class RayBatch(NamedTuple):
    """rays: (R, 3) each. light: (R, 3) light from the scene without the background. alpha: (R,) coverage of the pixel."""

    rays: Rays
    light: Tensor
    alpha: Tensor


class GivenViews:
    """V photographs of the same size with their cameras, on a device.

    background: (3,) known background colour, or None. masked: whether there are masks of the scene. Raises UserError for too
    few views, differing sizes, a camera inside the object, and if no ray meets the bounds.
    """

    def __init__(self, given: dict[str, Any], device: torch.device) -> None:
        images = _stack_same_size(given["images"], "images")
        self.count, _, self.height, self.width = images.shape
        if self.count < MIN_VIEWS:
            raise UserError(f"nerf needs at least {MIN_VIEWS} views from different places, got {self.count}")
        self.intrinsics, self.poses = (np.asarray(given[key], np.float64) for key in ("intrinsics", "world_from_camera"))
        self.masked = given.get("masks") is not None
        alpha = _stack_same_size(given["masks"], "masks") if self.masked else np.ones(images.shape[::2][:1] + images.shape[2:])
        if alpha.shape != (self.count, self.height, self.width):
            raise UserError(f"nerf: masks are {alpha.shape}, and images are {images.shape}; every image needs a mask")
        self.bounds = torch.as_tensor(np.asarray(given["bounds"]), dtype=torch.float32)
        known = given.get("background")
        self.background = None if known is None else torch.as_tensor(np.asarray(known), dtype=torch.float32)
        self._check(alpha)
        light = np.moveaxis(images, 1, -1) * (alpha[..., None] if self.masked and known is None else 1.0)
        if self.masked and known is not None:
            # Remove the known background, so that it can be replaced by any other.
            light = light - (1 - alpha[..., None]) * np.asarray(known, np.float32)
        self._light = torch.from_numpy(np.ascontiguousarray(light, np.float32)).reshape(-1, 3).to(device)
        self._alpha = torch.from_numpy(np.ascontiguousarray(alpha, np.float32)).reshape(-1).to(device)
        self._turns = torch.from_numpy(_turns(self.intrinsics, self.poses)).float().to(device)
        self._eyes = torch.from_numpy(self.poses[:, :3, 3]).float().to(device)

    def draw(self, count: int, generator: torch.Generator) -> RayBatch:
        """Sample `count` random pixels of all views, with their rays."""
        chosen = torch.randint(len(self._alpha), (count,), generator=generator, device=generator.device).to(self._alpha.device)
        return RayBatch(self._rays(chosen), self._light[chosen], self._alpha[chosen])

    def mean_light(self) -> Tensor:
        """Return the mean colour (3,) of all pixels."""
        return self._light.mean(0)

    def _rays(self, pixels: Tensor) -> Rays:
        view, place = pixels // (self.height * self.width), pixels % (self.height * self.width)
        x, y = place % self.width + 0.5, place // self.width + 0.5
        through = torch.stack([x, y, torch.ones_like(x)], 1)
        directions = normalize((self._turns[view] @ through[:, :, None])[:, :, 0], dim=1)
        return Rays(self._eyes[view], directions)

    def _check(self, alpha: np.ndarray) -> None:
        if not alpha.max() > COVERAGE_THRESHOLD:
            raise UserError("nerf: all masks are empty; a mask must be 1 where the object is")
        low, high = self.bounds.double().numpy()
        eyes = self.poses[:, :3, 3]
        within = ((eyes > low) & (eyes < high)).all(1)
        full = (alpha.reshape(self.count, -1) > COVERAGE_THRESHOLD).all(1) & self.masked
        for view in np.flatnonzero(within & full)[:1]:
            raise UserError(
                f"nerf: camera {view} is inside the object: it is within the bounds and its mask covers the whole picture; "
                "leave the view out, or check the unit of the poses"
            )
        if not self._any_ray_meets_bounds():
            raise UserError(
                f"nerf: no ray of any view meets the bounds {low.tolist()} to {high.tolist()}; check that the poses are "
                "camera-to-world with OpenCV axes, in the unit of the bounds"
            )

    def _any_ray_meets_bounds(self) -> bool:
        generator = np.random.default_rng(0)
        x, y = generator.random((2, PROBES)) * np.array([[self.width], [self.height]])
        through = np.stack([x, y, np.ones(PROBES)])
        directions = torch.from_numpy((_turns(self.intrinsics, self.poses) @ through).transpose(0, 2, 1)).reshape(-1, 3)
        eyes = torch.from_numpy(self.poses[:, :3, 3]).repeat_interleave(PROBES, 0)
        enter, leave = box_interval(Rays(eyes, directions), self.bounds.double())
        return bool((leave > enter.clamp(min=0)).any())


def _turns(intrinsics: np.ndarray, poses: np.ndarray) -> np.ndarray:
    """Return the matrices (V, 3, 3) that map homogeneous pixels to directions in the world."""
    return poses[:, :3, :3] @ np.linalg.inv(intrinsics)


def _stack_same_size(pictures: Any, name: str) -> np.ndarray:
    shapes = [tuple(np.shape(one)) for one in pictures]
    odd = next((index for index, shape in enumerate(shapes) if shape != shapes[0]), None)
    if odd is not None:
        raise UserError(
            f"nerf: {name} 0 and {odd} have different sizes, {shapes[0]} and {shapes[odd]}; resize the photographs of a scene "
            "to one size"
        )
    return np.stack([np.asarray(one, np.float32) for one in pictures]) if shapes else np.zeros((0, 3, 0, 0), np.float32)
