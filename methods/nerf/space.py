"""Where in the world a field is looked up: between which distances, and in which coordinates."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from deep3dmap.nn.radiance.scene_box import SceneBox
from deep3dmap.render.volume import Rays


class RenderedRays(NamedTuple):
    """What rays see of a scene. color: (R, 3) without background. depth: (R,) sum of weight times distance. opacity: (R,).

    spread: (R,) distortion of the rays' weights, where it is asked for.
    """

    color: Tensor
    depth: Tensor
    opacity: Tensor
    spread: Tensor | None = None


class SceneBounds(nn.Module):
    """The bounds of a scene and how far its cameras see; a unit box until `place` is called.

    near, far: in half sides of the bounds; far counts in unbounded space, for in a box its end bounds a ray.
    """

    def __init__(self, near: float, far: float) -> None:
        super().__init__()
        self.box = SceneBox([[-1.0] * 3, [1.0] * 3])
        self._near, self._far, self._reach = near, far, 0.0

    def place(self, bounds: Tensor, eyes: Tensor, unbounded: bool) -> None:
        """Take the bounds (2, 3) of a scene that cameras at eyes (V, 3) see."""
        self.box.bounds.copy_(bounds)
        self.box.contracted = unbounded
        self._reach = float((eyes.to(self.box.centre) - self.box.centre).norm(dim=1).max())

    @property
    def near(self) -> float:
        """Nearest distance that is looked at."""
        return self._near * float(self.box.half_sides.mean())

    @property
    def far(self) -> float:
        """Farthest distance that is looked at."""
        if self.box.contracted:
            return self._far * float(self.box.half_sides.mean())
        return 2 * self._reach + 4 * float(self.box.half_sides.norm())

    def interval(self, rays: Rays) -> tuple[Tensor, Tensor]:
        """Return between which distances (R,) rays are sampled; of rays that miss the box both are the same."""
        near, far = self.box.interval(rays, self.near, self.far)
        return near, torch.maximum(near, far)

    def distances(self, shares: Tensor, near: Tensor, far: Tensor) -> Tensor:
        """Return distances (R, S) of shares in [0, 1] of the way: even in a box, in unbounded space even in 1 / distance."""
        if not self.box.contracted:
            return near[:, None] + (far - near)[:, None] * shares
        return 1 / ((1 - shares) / near[:, None] + shares / far[:, None])

    def shares(self, distances: Tensor) -> Tensor:
        """Return the shares (S,) of distances between `near` and `far` of unbounded space, even in 1 / distance."""
        return (1 / self.near - 1 / distances) / (1 / self.near - 1 / self.far)
