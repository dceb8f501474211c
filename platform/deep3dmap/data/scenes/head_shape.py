"""The mean shape of the procedural head: facial features added to the skull of `head_layout`. Lengths in millimetres."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from deep3dmap.data.scenes.head_layout import Array, bump, pair, skull, smoothstep, surface_of_uv

EYE = (31.5, 0.0)
MOUTH_LINE = -70.5
EAR = (96.0, -17.0)  # degrees, millimetres

_NOSE_HEIGHT = PchipInterpolator(
    (-200, -56, -52.5, -49.5, -45.5, -41, -36, -25, -12, -2, 7, 13, 200), (0, 0, 1.5, 9, 19.5, 23.5, 22, 15.5, 9, 4.5, 2, 0, 0)
)
_NOSE_WIDTH = PchipInterpolator((-200, -52, -44, -36, -25, -10, 0, 10, 200), (13, 12.5, 11, 10, 9, 8, 7.5, 11, 12))


@dataclass(frozen=True)
class SkullSurface:
    """Points of the skull with the coordinates in which features are defined.

    x, y: millimetres in frontal view, y relative to the eyes. angle: degrees around the vertical axis. front: 1 on the face,
    0 behind the ears. points: (..., 3).
    """

    x: Array
    y: Array
    angle: Array
    front: Array
    points: Array


def surface_at(uv: Array) -> SkullSurface:
    """Return the skull surface at (..., 2) atlas coordinates."""
    angle, height = surface_of_uv(uv)
    points = skull(angle, height)
    degrees = np.degrees(angle)
    return SkullSurface(points[..., 0], height, degrees, 1 - smoothstep(np.abs(degrees), 58, 80), points)


def mean_shape(surface: SkullSurface) -> Array:
    """Return (..., 3) points of the mean head."""
    shape = surface.points.copy()
    shape[..., 2] += surface.front * (_relief(surface) + nose_relief(surface))
    shape[..., 1] += _downturn(surface)
    shape += ear_offset(surface)
    return shape


def nose_relief(surface: SkullSurface) -> Array:
    """Return the height of the nose above the face."""
    x, y = surface.x, surface.y
    ridge = _NOSE_HEIGHT(y) * np.exp(-(np.abs(x / _NOSE_WIDTH(y)) ** 2.2))
    wings = 8.5 * pair(x, y, (13.5, -43.5), (5.5, 6))
    nostrils = -5.0 * pair(x, y, (6.5, -48.0), (3.5, 2.6))
    return ridge + wings + nostrils


def _relief(surface: SkullSurface) -> Array:
    x, y = surface.x, surface.y
    eyes = -6.5 * pair(x, y, (29, 2), (17, 11)) - 3.5 * pair(x, y, (13.5, 1), (6, 9))
    balls = 5.5 * pair(x, y, (31, 0.5), (12, 8)) + 1.4 * pair(x, y, (31, 6), (14, 3)) - 1.4 * pair(x, y, (31, 10.5), (14, 3))
    brows = 4.0 * pair(x, y, (30, 18.5), (22, 7)) - 1.5 * bump(x, y, (0, 18), (9, 10))
    cheeks = (
        4.5 * pair(x, y, (46, -24), (18, 15)) - 2.5 * pair(x, y, (47, -62), (13, 20)) - 1.3 * pair(x, y, (27, -14), (13, 3.5))
    )
    folds = -1.8 * pair(x, y, (24, -54), (4.5, 12))
    muzzle = 4.0 * bump(x, y, (0, -68), (26, 19)) - 1.2 * bump(x, y, (0, -57), (3, 6))
    return eyes + balls + brows + cheeks + folds + muzzle + lips_relief(surface) + _chin(x, y)


def lips_relief(surface: SkullSurface) -> Array:
    """Return the height of the lips, with the groove between them."""
    x, y = surface.x, surface.y
    taper = np.exp(-((np.abs(x) / 20) ** 3))
    upper = 3.6 * np.exp(-(((y + 66.3) / 3.6) ** 2)) * (1 - 0.25 * np.exp(-((x / 4) ** 2)))
    lower = 4.4 * np.exp(-(((y + 75.2) / 4.3) ** 2))
    line = -3.5 * np.exp(-(((y - MOUTH_LINE) / 1.6) ** 2)) * np.exp(-((np.abs(x) / 22) ** 4))
    corners = -2.5 * pair(x, y, (26, -71), (4, 4))
    return taper * (upper + lower) + line + corners


def _chin(x: Array, y: Array) -> Array:
    return 6.0 * bump(x, y, (0, -104), (17, 10)) - 3.0 * bump(x, y, (0, -88), (20, 5.5))


def _downturn(surface: SkullSurface) -> Array:
    # The tip of the nose points down over the upper lip.
    return -2.5 * bump(surface.x, surface.y, (0, -46), (9, 4.5)) * surface.front


def eye_edge(surface: SkullSurface) -> Array:
    """Return a value that is below 1 between the eyelids, 1 on the almond-shaped rim and above 1 outside."""
    across = (np.abs(surface.x) - EYE[0]) / 14.5
    # The outer corner is higher than the inner one.
    middle = -0.7 + 0.9 * across
    bow = np.sqrt((1 - np.minimum(across**2, 1)) + 1e-4)
    high, low = 5.9 * bow**1.15 + 0.05, 4.4 * bow**1.25 + 0.05
    off = surface.y - middle
    upright = np.where(off > 0, off / high, -off / low)
    return np.maximum(upright, np.abs(across) ** 4)


def ear_offset(surface: SkullSurface) -> Array:
    """Return the (..., 3) offset of the ears from the skull."""
    angle, y = np.abs(surface.angle), surface.y
    tilt = angle - EAR[0] - 0.10 * (y - EAR[1])
    # A broad upper part and a narrow lobe.
    width = 13.5 + 0.10 * (y - EAR[1]).clip(-35, 20)
    radius = np.sqrt((tilt / width) ** 2 + ((y - EAR[1]) / 31) ** 2)
    inside = 1 - smoothstep(radius, 0.75, 1.15)
    flare = inside * (7 + 9 * smoothstep(tilt, -12, 10))
    rim = 3.0 * np.exp(-(((radius - 0.85) / 0.16) ** 2)) * smoothstep(tilt, -11, 2)
    hollow = -7.5 * np.exp(-(((tilt + 2) / 5.5) ** 2) - ((y + 22) / 10) ** 2)
    out = flare + rim + hollow
    side = np.sign(surface.angle)
    return np.stack([0.95 * side * out, np.zeros_like(out), -0.35 * flare], -1)
