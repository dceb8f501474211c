"""The region that a field models: a box, or all of space contracted around a box."""

from typing import Any

import torch
from torch import Tensor, nn

from deep3dmap.ops.march_rays_reference import contract
from deep3dmap.render.volume import Rays, box_interval


def uncontract(points: Tensor) -> Tensor:
    """Invert `contract`: map (-2, 2)^3 (..., 3) to all of space."""
    norm = points.abs().amax(-1, keepdim=True).clamp(min=1)
    return points / (norm * (2 - norm))


class SceneBox(nn.Module):
    """An axis-aligned box in world coordinates, and its mapping to the cube [0, 1]^3 on which grids are defined.

    bounds: (2, 3) lowest and highest corner in world coordinates. contracted: model all of space; the box fills the inner half
    of the cube and the space outside is contracted into the rest. Raises ValueError for an empty box.
    """

    bounds: Tensor

    def __init__(self, bounds: Any, contracted: bool = False) -> None:
        super().__init__()
        box = torch.as_tensor(bounds, dtype=torch.float32)
        if box.shape != (2, 3) or not (box[1] > box[0]).all():
            raise ValueError(f"bounds must be the lowest and the highest corner of a box, got {box.tolist()}")
        self.register_buffer("bounds", box)
        self.contracted = contracted

    @property
    def half_sides(self) -> Tensor:
        """Half the side lengths of the box, (3,)."""
        return (self.bounds[1] - self.bounds[0]) / 2

    @property
    def centre(self) -> Tensor:
        """The centre of the box, (3,)."""
        return (self.bounds[1] + self.bounds[0]) / 2

    def to_unit(self, points: Tensor) -> Tensor:
        """Transform world points (..., 3) to the frame in which the box is [-1, 1]^3."""
        return (points - self.centre) / self.half_sides

    def to_cube(self, points: Tensor) -> Tensor:
        """Transform world points (..., 3) to the cube [0, 1]^3."""
        unit = self.to_unit(points)
        return ((contract(unit) / 2 if self.contracted else unit) + 1) / 2

    def from_cube(self, places: Tensor) -> Tensor:
        """Transform points (..., 3) of the cube to world coordinates; the inverse of `to_cube` inside the cube."""
        unit = 2 * places - 1
        return (uncontract(2 * unit) if self.contracted else unit) * self.half_sides + self.centre

    def interval(self, rays: Rays, near: float, far: float) -> tuple[Tensor, Tensor]:
        """Return the start and end distances (R,) for sampling rays: [near, far], clipped to the box unless contracted."""
        if self.contracted:
            return torch.full_like(rays.origins[:, 0], near), torch.full_like(rays.origins[:, 0], far)
        enter, leave = box_interval(rays, self.bounds)
        return enter.clamp(min=near), leave.clamp(max=far)
