"""The layout of the procedural head: position of grid points on the skull before features are added.

The atlas coordinates of a grid point map to an angle around the vertical axis (0 = straight ahead, 90 degrees = the subject's
left ear) and a height in millimetres above the eye line. Eyes and mouth get disproportionately many rows, so that lids and
lips can move.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

MARGIN = 0.03
Array = NDArray[np.float64]

# Position across half of the grid, from the middle to the edge, against degrees around the vertical axis.
_ACROSS = ((0, 0.09, 0.18, 0.27, 0.345, 0.395, 0.45, 0.5), (0, 12.5, 25, 42, 64, 81, 97, 114))
# Grid height against millimetres. Rows are densest at the openings of mouth and eyes.
_UP = (
    (0, 0.09, 0.17, 0.24, 0.30, 0.345, 0.385, 0.415, 0.45, 0.50, 0.555, 0.65, 0.69, 0.76, 0.80, 0.85, 0.92, 1),
    (-165, -128, -112, -96, -85, -77.5, -71.2, -69.8, -64, -53, -43, -17, -7, 7, 13.5, 24, 48, 98),
)


@cache
def _across() -> PchipInterpolator:
    half, degrees = _ACROSS
    return PchipInterpolator([*(-x for x in half[:0:-1]), *half], np.radians([*(-x for x in degrees[:0:-1]), *degrees]))


@cache
def _up() -> PchipInterpolator:
    return PchipInterpolator(*_UP)


def surface_of_uv(uv: Array) -> tuple[Array, Array]:
    """Map (..., 2) atlas coordinates to angles in radians and heights in millimetres; the margin repeats the edge."""
    grid = ((uv - MARGIN) / (1 - 2 * MARGIN)).clip(0, 1)
    return _across()(grid[..., 0] - 0.5), _up()(grid[..., 1])


def uv_of_surface(angle: Array, height: Array) -> Array:
    """Invert `surface_of_uv` on the grid, accurate to about 1e-4 of its side."""
    fine = np.linspace(0, 1, 8001)
    u = np.interp(angle, _across()(fine - 0.5), fine)
    v = np.interp(height, _up()(fine), fine)
    return MARGIN + (1 - 2 * MARGIN) * np.stack([u, v], -1)


def grid_uv(grid: int) -> Array:
    """Return (grid * grid, 2) atlas coordinates of the vertices, from the top row down and from image left to right."""
    u, v = np.meshgrid(np.linspace(0, 1, grid), np.linspace(1, 0, grid))
    # Averaging with the mirror image makes both halves bitwise symmetric.
    u = (u + (1 - u[:, ::-1])) / 2
    return MARGIN + (1 - 2 * MARGIN) * np.stack([u, v], -1).reshape(-1, 2)


def grid_faces(grid: int) -> NDArray[np.int64]:
    """Return the triangles of the grid, counter-clockwise from outside, with mirrored diagonals in both halves."""
    row, column = np.divmod(np.arange((grid - 1) ** 2), grid - 1)
    a = row * grid + column
    b, c, d = a + 1, a + grid, a + grid + 1
    left = np.stack([np.stack([a, c, b], 1), np.stack([b, c, d], 1)], 1)
    right = np.stack([np.stack([a, c, d], 1), np.stack([a, d, b], 1)], 1)
    return np.where((2 * column < grid - 1)[:, None, None], left, right).reshape(-1, 3)


def grid_mirror(grid: int) -> NDArray[np.int64]:
    """Return the (grid * grid,) index of each vertex's mirror image."""
    return np.arange(grid * grid).reshape(grid, grid)[:, ::-1].ravel()


@cache
def _profile(name: str) -> PchipInterpolator:
    knots = {
        # forward extent of the face in front of the ears, without the nose
        "depth": (
            (-200, -120, -112, -104, -90, -70, -50, -25, -5, 18, 45, 70, 90, 104, 120),
            (70, 78, 86, 90, 88.5, 93, 92, 90, 89, 95, 97.5, 93, 83, 68, 40),
        ),
        # half-width
        "width": (
            (-200, -118, -100, -75, -50, -25, 0, 25, 50, 75, 95, 110, 120),
            (44, 46, 50, 57, 62.5, 68, 71, 74, 75, 70, 59, 44, 32),
        ),
        # height of the jawline against degrees
        "jaw": ((0, 15, 30, 45, 60, 75, 85, 95, 120), (-114, -112.5, -107.5, -99, -86, -66, -46, -30, -24)),
    }
    return PchipInterpolator(*knots[name])


def jaw_height(angle: Array) -> Array:
    """Return the height of the jawline in millimetres at an angle in radians."""
    return _profile("jaw")(np.degrees(np.abs(angle)))


def head_share(angle: Array, height: Array) -> Array:
    """Return a smooth weight that is 1 on the head and 0 on the neck."""
    ahead = 1 - smoothstep(np.abs(angle), np.radians(40), np.radians(95))
    edge = jaw_height(angle)
    return smoothstep(height, edge - 16 - 10 * (1 - ahead), edge + 3)


def skull(angle: Array, height: Array) -> Array:
    """Return (..., 3) points x, y, z of the skull and neck without features, in millimetres."""
    sine, cosine = np.sin(angle), np.cos(angle)
    width, depth = _profile("width")(height), _profile("depth")(height)
    radius = (np.abs(sine / width) ** 2.35 + np.abs(cosine / depth) ** 2.35) ** (-1 / 2.35)
    share = head_share(angle, height)
    radius = share * radius + (1 - share) * _neck_radius(sine, cosine, height)
    return np.stack([radius * sine, height, radius * cosine], -1)


def _neck_radius(sine: Array, cosine: Array, height: Array) -> Array:
    # An ellipse centred behind the ears that widens towards the shoulders.
    widen = 1 + 0.25 * smoothstep(-height, 135, 185)
    across, along, back = 56 * widen, 58 * widen, 30.0
    a = sine**2 / across**2 + cosine**2 / along**2
    b = 2 * back * cosine / along**2
    c = back**2 / along**2 - 1
    return (-b + np.sqrt(b**2 - 4 * a * c)) / (2 * a)


def smoothstep(x: Array, low: float | Array, high: float | Array) -> Array:
    """Return 0 below `low`, 1 above `high`, and a cubic with zero end slopes in between."""
    t = ((x - low) / (high - low)).clip(0, 1)
    return t * t * (3 - 2 * t)


def bump(x: Array, y: Array, centre: tuple[float, float], widths: tuple[float, float]) -> Array:
    """Return a Gaussian bump of height one."""
    return np.exp(-(((x - centre[0]) / widths[0]) ** 2) - ((y - centre[1]) / widths[1]) ** 2)


def pair(x: Array, y: Array, centre: tuple[float, float], widths: tuple[float, float]) -> Array:
    """Return the sum of a Gaussian bump and its mirror image in x."""
    return bump(x, y, centre, widths) + bump(x, y, (-centre[0], centre[1]), widths)
