"""Colours of the procedural head in linear RGB: masks of its parts, the mean albedo and the albedo modes."""

from dataclasses import dataclass

import numpy as np
from scipy.interpolate import PchipInterpolator

from deep3dmap.data.scenes.head_layout import Array, bump, head_share, jaw_height, pair, smoothstep
from deep3dmap.data.scenes.head_shape import EAR, EYE, MOUTH_LINE, SkullSurface, eye_edge

SKIN = np.array([0.60, 0.36, 0.25])
LIPS = np.array([0.46, 0.19, 0.165])
BROWS = np.array([0.10, 0.065, 0.045])
HAIR = np.array([0.075, 0.045, 0.03])
IRIS = np.array([0.16, 0.10, 0.055])
NOSTRIL = np.array([0.10, 0.035, 0.025])
MOUTH = np.array([0.12, 0.03, 0.03])
EYE_WHITE = np.array([0.60, 0.55, 0.52])

_BROW_LINE = PchipInterpolator((0, 11, 22, 36, 47, 58, 200), (18.0, 18.5, 22.0, 25.2, 22.5, 15.5, 10))
_UPPER_LIP = PchipInterpolator((0, 2.5, 6.5, 15, 22, 26, 200), (-64.2, -63.6, -62.3, -65.0, -68.6, -71.0, -71.0))
_LOWER_LIP = PchipInterpolator((0, 8, 16, 22, 26, 200), (-81.3, -80.6, -77.6, -74.0, -71.0, -71.0))
_HAIRLINE = PchipInterpolator((0, 25, 42, 55, 66, 73, 79, 84, 92, 120), (66, 66, 60, 46, 28, 6, -14, -2, 16, 10))


@dataclass(frozen=True)
class Parts:
    """Masks in [0, 1] of the parts of a face, each with the shape of the surface coordinates."""

    brows: Array
    lips: Array
    eyes: Array
    lashes: Array
    nostrils: Array
    mouth: Array
    hair: Array
    beard: Array
    skin: Array
    shade: Array


def parts(surface: SkullSurface) -> Parts:
    """Return the masks of the parts of a face."""
    x, y = np.abs(surface.x), surface.y
    front = (np.abs(surface.angle) < 75).astype(float)
    lips = front * smoothstep(_UPPER_LIP(x) - y, -0.6, 0.9) * smoothstep(y - _LOWER_LIP(x), -0.8, 1.2) * (x < 27)
    mouth = front * np.exp(-(((y - MOUTH_LINE) / 0.9) ** 4)) * (1 - smoothstep(x, 22, 26))
    edge = eye_edge(surface)
    eyes = front * (1 - smoothstep(edge, 0.93, 1.07))
    lashes = front * _lashes(surface, edge)
    brows = front * _brows(x, y)
    nostrils = front * np.minimum(1, 1.4 * pair(surface.x, y, (6.8, -48.6), (3.4, 1.7)))
    hair = smoothstep(y - _HAIRLINE(np.abs(surface.angle)), -4, 5) * _not_ear(surface)
    beard = front * _beard(surface) * (1 - lips)
    covered = np.maximum.reduce([brows, lips, eyes, lashes, nostrils, mouth, hair])
    return Parts(brows, lips, eyes, lashes, nostrils, mouth, hair, beard, 1 - covered, _shade(surface))


def _brows(x: Array, y: Array) -> Array:
    thick = 4.4 - 2.6 * smoothstep(x, 26, 58)
    ends = smoothstep(x, 9, 16) * (1 - smoothstep(x, 50, 58))
    return 0.92 * ends * np.exp(-((np.abs((y - _BROW_LINE(x)) / thick)) ** 3))


def _lashes(surface: SkullSurface, edge: Array) -> Array:
    upper = surface.y > -0.5
    above = np.exp(-(((edge - 1.10) / 0.16) ** 2)) * upper
    below = 0.35 * np.exp(-(((edge - 1.08) / 0.12) ** 2)) * ~upper
    crease = 0.30 * np.exp(-(((edge - 1.9) / 0.22) ** 2)) * (surface.y > 4)
    window = 1 - smoothstep(np.abs(np.abs(surface.x) - EYE[0]), 14.5, 18)
    return window * np.minimum(1, 0.9 * above + below + crease)


def _beard(surface: SkullSurface) -> Array:
    x, y = np.abs(surface.x), surface.y
    cheek_line = -52 + 0.55 * (np.abs(surface.angle) - 20).clip(0, 60)
    area = smoothstep(cheek_line - y, -6, 18) * smoothstep(y - jaw_height(np.radians(surface.angle)), -22, -8)
    around_nose = smoothstep(-y - 0.25 * (x - 15).clip(0, 40), 44, 60)
    return area * around_nose * (1 - 0.5 * bump(x, y, (0, -85), (7, 3)))


def _not_ear(surface: SkullSurface) -> Array:
    tilt = np.abs(surface.angle) - EAR[0] - 0.10 * (surface.y - EAR[1])
    radius = np.sqrt((tilt / 14) ** 2 + ((surface.y - EAR[1]) / 31) ** 2)
    return smoothstep(radius, 0.95, 1.15)


def _shade(surface: SkullSurface) -> Array:
    # Ambient occlusion: eye sockets, under the nose, between lips and chin, the throat, the inside of the ear.
    x, y, angle = surface.x, surface.y, np.abs(surface.angle)
    face = 0.30 * pair(x, y, (17, 4), (9, 8)) + 0.16 * pair(x, y, (31, 9), (16, 5)) + 0.35 * bump(x, y, (0, -52), (14, 3.2))
    face += 0.16 * bump(x, y, (0, -86), (20, 4.5)) + 0.2 * pair(x, y, (19, -44), (3, 7)) + 0.15 * pair(x, y, (25, -71), (4, 4))
    face += 0.12 * pair(x, y, (25, -55), (4, 10)) + 0.08 * pair(x, y, (30, -11), (15, 4))
    throat = 0.5 * (1 - head_share(np.radians(surface.angle), y))
    ear = 0.5 * np.exp(-(((angle - EAR[0] + 2) / 5) ** 2) - ((y + 22) / 10) ** 2) + 0.35 * np.exp(
        -(((angle - 83) / 3.5) ** 2) - ((y + 15) / 28) ** 2
    )
    return 1 - np.minimum(surface.front * face + throat + ear, 0.8)


def mean_albedo(surface: SkullSurface, of: Parts) -> Array:
    """Return the (..., 3) linear RGB of the mean head, looking straight ahead."""
    skin = SKIN * (1 + _flush(surface)[..., None] * (0.06, -0.12, -0.10))
    color = skin * of.shade[..., None]
    for mask, paint in (
        (of.beard * 0.12, HAIR),
        (of.lips * 0.85, LIPS),
        (of.nostrils, NOSTRIL),
        (of.hair, HAIR),
        (of.brows, BROWS),
    ):
        color = color + mask[..., None] * (paint - color)
    color = color + of.eyes[..., None] * (eye_color(surface, (0.0, 0.0), IRIS) - color)
    color = color + of.lashes[..., None] * (0.25 * BROWS - color) * 0.85
    return color + of.mouth[..., None] * (MOUTH - color)


def eye_color(surface: SkullSurface, gaze: tuple[float, float], iris: Array) -> Array:
    """Return the (..., 3) linear RGB of the eyeballs; `gaze` shifts both irises to the image right and up, in millimetres."""
    side = np.sign(surface.x)
    x, y = surface.x - side * EYE[0] - gaze[0], surface.y - 0.6 - gaze[1]
    radius = np.hypot(x, y)
    rim = eye_edge(surface)
    white = EYE_WHITE * (1 - 0.55 * smoothstep(rim, 0.45, 1.0) - 0.12 * smoothstep(surface.y, 1, 5))[..., None]
    inner = smoothstep(-side * (surface.x - side * EYE[0]), 11.0, 13.5)[..., None]
    color = white + inner * (np.array([0.50, 0.26, 0.22]) - white)
    ring = (1 - 0.6 * smoothstep(radius, 3.8, 5.6))[..., None]
    disc = (1 - smoothstep(radius, 5.2, 6.2))[..., None]
    color = color + disc * (iris * ring * 1.25 - color)
    color = color + (1 - smoothstep(radius, 1.9, 2.7))[..., None] * (0.012 - color)
    glint = np.exp(-(((surface.x - side * EYE[0] - gaze[0] - 1.8) / 1.1) ** 2) - ((surface.y - 2.6 - gaze[1]) / 1.1) ** 2)
    return color + 0.8 * glint[..., None] * (1 - color)


def albedo_modes(surface: SkullSurface, of: Parts, rng: np.random.Generator, count: int) -> tuple[Array, Array]:
    """Return albedo modes (..., 3, count) and their sigma (count,): skin tone, then colours of parts, then random fields."""
    hand_made = (
        (of.skin * of.shade, (-0.19, -0.135, -0.098)),
        (of.skin * of.shade, (0.025, -0.005, -0.03)),
        (of.skin * _flush(surface), (0.03, -0.03, -0.025)),
        (of.lips * (1 - of.mouth), (0.06, -0.05, -0.04)),
        (of.brows, (0.10, 0.075, 0.045)),
        (of.beard, (-0.11, -0.075, -0.05)),
        (pair(surface.x, surface.y, (28, -9), (14, 6)) * of.skin, (-0.05, -0.04, -0.025)),
        (of.hair, (0.11, 0.085, 0.055)),
        (of.hair, (0.06, 0.0, -0.015)),
        (of.eyes * _iris(surface), (0.05, 0.06, 0.06)),
        (of.eyes * _iris(surface), (-0.05, 0.02, 0.09)),
    )
    modes = [mask[..., None] * np.array(color) for mask, color in hand_made]
    modes += [_smooth_field(surface, of.skin, rng) for _ in range(count - len(modes))]
    return np.stack(modes, -1), np.ones(count)


def _flush(surface: SkullSurface) -> Array:
    x, y = surface.x, surface.y
    cheeks = pair(x, y, (40, -28), (17, 15)) + 0.8 * bump(x, y, (0, -40), (11, 9)) + 0.4 * bump(x, y, (0, -102), (12, 9))
    ears = np.exp(-(((np.abs(surface.angle) - EAR[0]) / 12) ** 2) - ((y - EAR[1]) / 30) ** 2)
    return surface.front * cheeks + ears


def _iris(surface: SkullSurface) -> Array:
    radius = np.hypot(np.abs(surface.x) - EYE[0], surface.y - 0.6)
    return (1 - smoothstep(radius, 4.6, 6.0)) * smoothstep(radius, 1.9, 2.7)


def _smooth_field(surface: SkullSurface, mask: Array, rng: np.random.Generator) -> Array:
    field = np.zeros_like(surface.x)
    for _ in range(3):
        centre = (rng.uniform(-60, 60), rng.uniform(-110, 60))
        field += rng.normal() * bump(surface.x, surface.y, centre, tuple(rng.uniform(18, 45, 2)))
    return 0.018 * (field * mask)[..., None] * rng.uniform(0.8, 1.1, 3) * SKIN / SKIN.mean()
