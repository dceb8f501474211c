"""Solid textures in plain torch: the reference for the native kernel.

Points are stored as planes, (3, N), one contiguous row per coordinate, which suits vector instructions.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
import torch
from torch import Tensor

_LATTICE = 32  # period of the noise in cells, a power of two
# Prevents a pattern edge that coincides with a flat side (e.g. z = 0) from flickering between both colours.
_SHIFT = (0.0137, 0.0219, 0.0173)


def solid_albedo(points: Tensor, material: Tensor, pattern: Tensor, numbers: Tensor) -> Tensor:
    """See `deep3dmap.ops.solid_texture`; pattern (M,) and numbers (M, 8) are the fields of its `SolidMaterials`."""
    planes = numbers.T.contiguous()
    x, y, z = (plane + shift for plane, shift in zip(points, _SHIFT))
    blend = _blend(pattern.index_select(0, material), planes[7].index_select(0, material), (x, y, z))
    # 2 (0.6 coarse + 0.4 fine) - 1, times the contrast
    rough = value_noise(x * 7, y * 7, z * 7).mul_(1.2).add_(value_noise(x * 29, y * 29, z * 29), alpha=0.8).sub_(1)
    rough.mul_(planes[6].index_select(0, material)).add_(1)
    color = torch.empty(3, len(material))
    for channel, first, step in zip(color, planes[:3], planes[3:6]):
        torch.addcmul(first.index_select(0, material), step.index_select(0, material), blend, out=channel)
    return color.mul_(rough).clamp_(0, 1)


def solid_shade(points: Tensor, material: Tensor, pattern: Tensor, numbers: Tensor, received: Tensor, glow: Tensor) -> Tensor:
    """See `deep3dmap.ops.solid_texture`."""
    light = torch.maximum(received, glow.index_select(0, material))
    # Squaring and the square root approximate the display gamma; both are bitwise exact on every machine.
    return solid_albedo(points, material, pattern, numbers).square_().mul_(light).clamp_(0, 1).sqrt_()


def _blend(kinds: Tensor, scales: Tensor, points: tuple[Tensor, Tensor, Tensor]) -> Tensor:
    """Return the blend factor (N,) of each point between the first colour, 0, and the second, 1."""
    blend = torch.zeros(len(kinds))
    for number, pattern in enumerate(_PATTERNS.values(), 1):
        chosen = torch.from_numpy(np.flatnonzero((kinds == number).numpy()))
        if len(chosen):
            scale = scales.index_select(0, chosen)
            blend.index_copy_(0, chosen, pattern(*(plane.index_select(0, chosen).div_(scale) for plane in points)))
    return blend


def value_noise(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """See `deep3dmap.ops.solid_texture`."""
    (i, u), (j, v), (k, w) = map(_cell, (x, y, z))
    step_x, step_y = (_LATTICE + 1) ** 2, _LATTICE + 1
    base = i.mul_(step_y).add_(j).mul_(step_y).add_(k).long()
    flat = lattice()
    layers = []
    for corner_x in (0, step_x):
        rows = []
        for corner in (corner_x, corner_x + step_y):
            rows.append(torch.lerp(flat[corner:].index_select(0, base), flat[corner + 1 :].index_select(0, base), w))
        layers.append(torch.lerp(rows[0], rows[1], v))
    return torch.lerp(layers[0], layers[1], u)


def _cell(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the lattice cell (N,) int32 of coordinates and the smoothstep position within it."""
    cell = x.floor()
    way = x - cell
    return cell.int().bitwise_and_(_LATTICE - 1), (3 - 2 * way).mul_(way).mul_(way)


@cache
def lattice() -> Tensor:
    """Return the flattened lattice of random values that the noise interpolates, with wrap-around padding along each axis."""
    values = np.random.default_rng(20210601).random((_LATTICE,) * 3, np.float32)
    return torch.from_numpy(np.pad(values, (0, 1), mode="wrap").reshape(-1))


def _checker(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    return (x.floor() + y.floor() + z.floor()).remainder_(2)


def _stripes(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    return (_fraction(x + y) < 0.4).float()


def _planks(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    """Boards along x, each with its own shade, dark joints and fine grain."""
    row = y.floor()
    along = x * 0.18 + 0.37 * row
    shade = value_noise(row * 3.7 + 0.5, along.floor() * 5.3 + 0.5, z.floor() + 0.5)
    joint = (y - row < 0.04) | (_fraction(along) < 0.008)
    grain = value_noise(x * 0.6, y * 9, z * 9)
    return shade.mul_(0.55).add_(grain, alpha=0.3).masked_fill_(joint, 1)


def _bricks(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    height = z * 2.5
    course = height.floor()
    along = x + y + 0.5 * course.remainder(2)
    joint = (_fraction(along) < 0.06) | (_fraction(height) < 0.14)
    shade = value_noise(along.floor() * 3.1 + 0.5, course * 2.3 + 0.5, torch.full_like(x, 0.5))
    return shade.mul_(0.45).masked_fill_(joint, 1)


def _marble(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    wave = (0.7 * x).add_(y, alpha=0.5).add_(z, alpha=0.4).add_(value_noise(x, y, z), alpha=1.6)
    wave.add_(value_noise(x * 2.3, y * 2.3, z * 2.3), alpha=0.8)
    return wave.mul_(2 * np.pi).sin_().mul_(0.5).add_(0.5)


def _dots(x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    first, second, third = ((_fraction(plane) - 0.5).square_() for plane in (x, y, z))
    return first.add_(second).add_(third).lt_(0.14)


def _fraction(x: Tensor) -> Tensor:
    return x - x.floor()


_PATTERNS: dict[str, Callable[[Tensor, Tensor, Tensor], Tensor]] = {
    "checker": _checker,
    "stripes": _stripes,
    "planks": _planks,
    "bricks": _bricks,
    "marble": _marble,
    "dots": _dots,
}
PATTERNS = ("plain", *_PATTERNS)
