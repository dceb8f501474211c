"""The space in which a field is evaluated: the range of distances along rays, and the coordinates."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from deep3dmap.nn.radiance.scene_box import SceneBox
from deep3dmap.render.volume import Rays


class RenderedRays(NamedTuple):
    """Rendered rays. color: (R, 3) without background. depth: (R,) sum of weight times distance. opacity: (R,).

    spread: (R,) distortion of the rays' weights, or None if not computed.
    """

    color: Tensor
    depth: Tensor
    opacity: Tensor
    spread: Tensor | None = None


class SceneBounds(nn.Module):
    """The bounds of a scene and the range of its cameras; a unit box until `place` is called.

    near, far: in half sides of the bounds; far applies to unbounded space only, since a bounded ray ends at the box.
    """

    def __init__(self, near: float, far: float) -> None:
        super().__init__()
        self.box = SceneBox([[-1.0] * 3, [1.0] * 3])
        self._near, self._far, self._reach = near, far, 0.0

    def place(self, bounds: Tensor, eyes: Tensor, unbounded: bool) -> None:
        """Set the bounds (2, 3) of a scene seen by cameras at eyes (V, 3)."""
        self.box.bounds.copy_(bounds)
        self.box.contracted = unbounded
        self._reach = float((eyes.to(self.box.centre) - self.box.centre).norm(dim=1).max())

    @property
    def near(self) -> float:
        """Near distance of rays in world units."""
        return self._near * float(self.box.half_sides.mean())

    @property
    def far(self) -> float:
        """Far distance of rays in world units."""
        if self.box.contracted:
            return self._far * float(self.box.half_sides.mean())
        return 2 * self._reach + 4 * float(self.box.half_sides.norm())

    def interval(self, rays: Rays) -> tuple[Tensor, Tensor]:
        """Return the distances (R,) between which rays are sampled; both are equal for rays that miss the box."""
        near, far = self.box.interval(rays, self.near, self.far)
        return near, torch.maximum(near, far)

    def distances(self, shares: Tensor, near: Tensor, far: Tensor) -> Tensor:
        """Map shares (R, S) in [0, 1] to distances: linearly within a box, linearly in 1 / distance in unbounded space."""
        if not self.box.contracted:
            return near[:, None] + (far - near)[:, None] * shares
        return 1 / ((1 - shares) / near[:, None] + shares / far[:, None])

    def shares(self, distances: Tensor) -> Tensor:
        """Map distances (S,) in unbounded space to shares of the range from `near` to `far`, linear in 1 / distance."""
        return (1 / self.near - 1 / distances) / (1 / self.near - 1 / self.far)
