"""Point light with shadows in plain torch: the reference for the native kernel."""

import torch
from torch import Tensor


def add_cube_light(
    received: Tensor, points: Tensor, normals: Tensor, cube: Tensor, place: Tensor, power: float, lift: float
) -> None:
    """See `deep3dmap.ops.cube_light`."""
    towards = place[:, None] - points
    squared = towards.square().sum(0)
    cosine = (towards * normals).sum(0).clamp_(min=0) / (squared + 1e-6).sqrt_()
    strength = cosine.mul_(power).div_(squared.mul_(0.45).add_(0.8))
    received.addcmul_(strength, _visibility(cube, points + lift * normals - place[:, None]))


def _visibility(cube: Tensor, away: Tensor) -> Tensor:
    """Return the fraction of light, 0 to 1, reaching points at offsets `away` (3, N), bilinear over four shadow pixels."""
    along, right_of, below, axis = _dominant(away)
    side, flat = cube.shape[1], cube.flatten()
    depth, half = along.abs().clamp_(min=1e-6), (side - 2) / 2
    x = (half * right_of).div_(depth).add_(half + 0.5)
    y = (half * torch.where(along > 0, below, -below)).div_(depth).add_(half + 0.5)
    column, row = x.floor().clamp_(0, side - 2), y.floor().clamp_(0, side - 2)
    # NaN maps to the first pixel.
    corner = (2 * axis + (along > 0)) * side * side + row.nan_to_num(0).long() * side + column.nan_to_num(0).long()
    lit = [(depth < flat[step:].index_select(0, corner)).float() for step in (0, 1, side, side + 1)]
    right, down = x.sub_(column), y.sub_(row)
    return torch.lerp(torch.lerp(lit[0], lit[1], right), torch.lerp(lit[2], lit[3], right), down)


def _dominant(away: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return the coordinate of largest magnitude, the two that follow it in cyclic order, and its axis, each (N,)."""
    x, y, z = away
    size_x, size_y, size_z = away.abs()
    first, second = (size_x >= size_y) & (size_x >= size_z), size_y >= size_z

    def pick(one: Tensor, two: Tensor, three: Tensor) -> Tensor:
        return torch.where(first, one, torch.where(second, two, three))

    axis = torch.where(first, 0, torch.where(second, 1, 2))
    return pick(x, y, z), pick(y, z, x), pick(z, x, y), axis
