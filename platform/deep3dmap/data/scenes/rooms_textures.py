"""Solid textures of procedural rooms: colour as a function of a point in the object's own frame."""

from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

KINDS = ("plain", "checker", "stripes", "planks", "bricks", "marble", "dots")
_LATTICE = 32  # cells after which the noise repeats


@dataclass(frozen=True)
class Material:
    """A solid texture. kind: one of KINDS. first, second: RGB in [0, 1]. scale: metres per period. grain: noise contrast."""

    kind: str
    first: tuple[float, float, float]
    second: tuple[float, float, float]
    scale: float = 0.3
    grain: float = 0.25
    glow: float = 0.0


def albedo(materials: list[Material], index: NDArray[np.int64], points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the (N, 3) colour of `points` (N, 3) of the materials `index` (N,)."""
    # A pattern edge that lay exactly on a flat side (z = 0, say) would flicker between both colours.
    points = points + np.array([0.0137, 0.0219, 0.0173], np.float32)
    blend = np.zeros(len(points), np.float32)
    for number in np.unique(index):
        chosen = index == number
        material = materials[number]
        if material.kind != "plain":
            blend[chosen] = _PATTERNS[material.kind](points[chosen] / np.float32(material.scale))
    table = np.array([(m.first, m.second) for m in materials], np.float32)
    grain = np.array([m.grain for m in materials], np.float32)[index]
    color = table[index, 0] + blend[:, None] * (table[index, 1] - table[index, 0])
    rough = 0.6 * value_noise(points * np.float32(7)) + 0.4 * value_noise(points * np.float32(29))
    return np.clip(color * (1 + grain * (2 * rough - 1))[:, None], 0, 1)


def value_noise(points: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return smooth random values in [0, 1] at `points` (N, 3); features are about one unit large and repeat after 32."""
    cell = np.floor(points)
    fraction = (points - cell).astype(np.float32)
    smooth = fraction * fraction * (3 - 2 * fraction)
    x, y, z = (cell.astype(np.int64) % _LATTICE).T
    flat, base = _lattice(), (x * (_LATTICE + 1) + y) * (_LATTICE + 1) + z
    step_x, step_y = (_LATTICE + 1) ** 2, _LATTICE + 1
    layers = []
    for corner_x in (0, step_x):
        rows = [_mix(flat[base + corner_x + row], flat[base + corner_x + row + 1], smooth[:, 2]) for row in (0, step_y)]
        layers.append(_mix(rows[0], rows[1], smooth[:, 1]))
    return _mix(layers[0], layers[1], smooth[:, 0])


def _mix(low: NDArray[np.float32], high: NDArray[np.float32], weight: NDArray[np.float32]) -> NDArray[np.float32]:
    return low + weight * (high - low)


@cache
def _lattice() -> NDArray[np.float32]:
    values = np.random.default_rng(20210601).random((_LATTICE,) * 3, np.float32)
    return np.pad(values, (0, 1), mode="wrap").reshape(-1)


def _checker(p: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y, z = np.floor(p).T
    return (x + y + z) % 2


def _stripes(p: NDArray[np.float32]) -> NDArray[np.float32]:
    return ((p[:, 0] + p[:, 1]) % 1 < 0.4).astype(np.float32)


def _planks(p: NDArray[np.float32]) -> NDArray[np.float32]:
    """Boards along x with a shade each, dark joints and fine grain."""
    row = np.floor(p[:, 1])
    board = np.floor(p[:, 0] * 0.18 + 0.37 * row)
    shade = value_noise(np.stack([row * 3.7, board * 5.3, np.floor(p[:, 2])], -1) + np.float32(0.5))
    joint = (p[:, 1] - row < 0.04) | ((p[:, 0] * 0.18 + 0.37 * row) % 1 < 0.008)
    grain = value_noise(p * np.array([0.6, 9, 9], np.float32))
    return np.where(joint, np.float32(1), 0.55 * shade + 0.3 * grain).astype(np.float32)


def _bricks(p: NDArray[np.float32]) -> NDArray[np.float32]:
    course = np.floor(p[:, 2] * 2.5)
    along = p[:, 0] + p[:, 1] + 0.5 * (course % 2)
    joint = (along % 1 < 0.06) | (p[:, 2] * 2.5 % 1 < 0.14)
    shade = value_noise(np.stack([np.floor(along) * 3.1, course * 2.3, np.zeros_like(course)], -1) + np.float32(0.5))
    return np.where(joint, np.float32(1), 0.45 * shade).astype(np.float32)


def _marble(p: NDArray[np.float32]) -> NDArray[np.float32]:
    wave = (
        np.float32(0.7) * p[:, 0]
        + np.float32(0.5) * p[:, 1]
        + np.float32(0.4) * p[:, 2]
        + 1.6 * value_noise(p)
        + 0.8 * value_noise(p * np.float32(2.3))
    )
    return (0.5 + 0.5 * np.sin(2 * np.pi * wave)).astype(np.float32)


def _dots(p: NDArray[np.float32]) -> NDArray[np.float32]:
    x, y, z = np.square(p % 1 - np.float32(0.5)).T
    return (x + y + z < 0.14).astype(np.float32)


_PATTERNS = {
    "checker": _checker,
    "stripes": _stripes,
    "planks": _planks,
    "bricks": _bricks,
    "marble": _marble,
    "dots": _dots,
}
