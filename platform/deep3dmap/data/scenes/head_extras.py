"""Geometry around the procedural face: the back of the head, the crown, long hair and shoulders."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.data.scenes.head_layout import Array, smoothstep
from deep3dmap.data.scenes.head_subject import HeadSubject
from deep3dmap.geometry.face_pose import rotation_of_angles

NECK = np.array([0.0, -125.0, -30.0])  # pivot of the head on the shoulders
_BACK, _RINGS = 14, 5


@dataclass(frozen=True)
class Patch:
    """A coloured mesh in head coordinates in millimetres: vertices (V, 3), faces (F, 3), colors (V, 3) in linear RGB."""

    vertices: Array
    faces: NDArray[np.int64]
    colors: Array


def vertex_normals(vertices: Array, faces: NDArray[np.int64]) -> Array:
    """Return (V, 3) unit vertex normals, area-weighted means of the adjacent face normals."""
    first, second, third = vertices[faces].transpose(1, 0, 2)
    normals = np.cross(second - first, third - first)
    total = np.stack([np.bincount(faces.ravel(), np.repeat(normals[:, k], 3), len(vertices)) for k in range(3)], 1)
    return total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-12)


def add_hair_thickness(vertices: Array, normals: Array, hairy: Array, subject: HeadSubject) -> Array:
    """Move (V, 3) vertices along their normals by the hair thickness, weighted by `hairy` (V,), the hair on each vertex."""
    return vertices + normals * (hairy * subject.hair.thickness)[:, None]


def back_of_head(
    vertices: Array, grid: int, subject: HeadSubject, hair: Array, skin: Array, rng: np.random.Generator
) -> list[Patch]:
    """Return patches that close the head: the back between its side edges, and the crown above its top edge."""
    rows = vertices.reshape(grid, grid, 3)
    right, left = rows[::2, 0], rows[::2, -1]
    back = _around(left, right)
    color = np.where((left[:, 1] > -75)[:, None] | (subject.hair.length > 0), hair, skin)
    ring = np.concatenate([rows[0], _around(rows[:1, -1], rows[:1, 0])[0, 1:-1]])
    strands = 0.0 if subject.hair.bald else 0.25
    colors = np.broadcast_to(color[:, None], back.shape) * _streaks(back.shape[1], strands, rng)
    return [_patch(back, colors), _crown(ring, hair, strands, rng)]


def _streaks(columns: int, strength: float, rng: np.random.Generator) -> Array:
    return (1 + strength * rng.normal(size=(1, columns, 1))).clip(0.4, 1.6)


def _around(left: Array, right: Array) -> Array:
    # (R, _BACK, 3): from each left point around the vertical axis to its right counterpart, deepest in the middle.
    t = np.linspace(0, 1, _BACK)
    start, end = (np.arctan2(side[:, :1], side[:, 2:]) % (2 * np.pi) for side in (left, right))
    angle = start + (end - start) * t
    sides = [np.hypot(side[:, :1], side[:, 2:]) for side in (left, right)]
    deepest = (100 - 34 * smoothstep(left[:, 1], 45, 110) - 12 * smoothstep(-left[:, 1], 20, 90))[:, None]
    radius = sides[0] + (sides[1] - sides[0]) * t
    radius = radius + (deepest - radius) * np.sin(np.pi * t) ** 2
    height = left[:, 1:2] + (right[:, 1:2] - left[:, 1:2]) * t
    return np.stack([radius * np.sin(angle), height, radius * np.cos(angle)], -1)


def _crown(ring: Array, hair: Array, strands: float, rng: np.random.Generator) -> Patch:
    shrink = np.cos(np.linspace(0, np.pi / 2, _RINGS + 1))[:, None, None]
    rise = 24 * np.sin(np.linspace(0, np.pi / 2, _RINGS + 1))[:, None, None]
    centre = ring.mean(0)
    rings = centre + (ring - centre) * shrink + np.array([0, 1.0, 0]) * rise
    rings = np.concatenate([rings, rings[:, :1]], 1)[::-1]
    return _patch(rings, np.broadcast_to(hair, rings.shape) * _streaks(rings.shape[1], strands, rng))


def hanging_hair(vertices: Array, grid: int, subject: HeadSubject, hair: Array, rng: np.random.Generator) -> Patch:
    """Return long hair: a curtain over the ears and around the back that ends at the hair's length below the eyes."""
    rows = vertices.reshape(grid, grid, 3)
    widest = np.abs(rows[..., 0]).max() * 0.93
    start = rng.uniform(62, 88)
    around = np.radians(np.linspace(start, 360 - start, 40))[None]
    down = np.linspace(0, 1, 12)[:, None]
    height = 88 - (88 + subject.hair.length) * down
    full = smoothstep(down, 0.0, 0.35)
    wave = 3 * np.sin(around * rng.uniform(4, 9) + rng.uniform(0, 6) + 2 * down)
    radius_x = (0.72 + 0.28 * full) * widest + subject.hair.thickness * 0.6 + wave
    radius_z = (0.72 + 0.28 * full) * 92 + subject.hair.thickness * 0.6 + wave
    points = np.stack(np.broadcast_arrays(np.sin(around) * radius_x, height, np.cos(around) * radius_z - 4), -1)
    return _patch(points, np.broadcast_to(hair, points.shape) * _streaks(around.shape[1], 0.3, rng), flip=True)


def shoulders(subject: HeadSubject, rng: np.random.Generator) -> Patch:
    """Return a torso below the neck that rotates less than the head."""
    collar = rng.uniform(-150, -128)
    profile = np.array(
        [[58, collar, 58], [70, collar - 8, 66], [120, -168, 80], [185, -192, 92], [212, -240, 98], [215, -430, 98]]
    )
    around = np.linspace(0, 2 * np.pi, 41)[None]
    wide, height, deep = (profile[:, k, None] for k in range(3))
    points = np.stack(np.broadcast_arrays(np.sin(around) * wide, height, np.cos(around) * deep - 32), -1)
    turn = rotation_of_angles(subject.angles * (0.15, 0.45, 0.2))
    # Expressed in head coordinates, so that the head rotation applied later cancels out.
    points = (points - NECK) @ turn.T @ rotation_of_angles(subject.angles) + NECK
    folds = (
        1
        + 0.12 * rng.normal(size=(*points.shape[:2], 1))
        + 0.3 * np.sin(around * rng.uniform(0, 12))[..., None] * rng.choice([0, 1])
    )
    return _patch(points, subject.cloth * folds.clip(0.3, 1.6), flip=True)


def _patch(points: Array, colors: Array, flip: bool = False) -> Patch:
    rows, columns = points.shape[:2]
    row, column = np.divmod(np.arange((rows - 1) * (columns - 1)), columns - 1)
    a = row * columns + column
    b, c, d = a + 1, a + columns, a + columns + 1
    faces = np.concatenate([np.stack([a, c, b], 1), np.stack([b, c, d], 1)])
    return Patch(points.reshape(-1, 3), faces[:, ::-1] if flip else faces, np.array(colors, float).reshape(-1, 3).clip(0, 1))


def join_patches(patches: list[Patch]) -> dict[str, Any]:
    """Concatenate patches into one dictionary of vertices, faces and colors."""
    starts = np.cumsum([0, *(len(patch.vertices) for patch in patches)])
    return {
        "vertices": np.concatenate([patch.vertices for patch in patches]),
        "faces": np.concatenate([patch.faces + start for patch, start in zip(patches, starts)]),
        "colors": np.concatenate([patch.colors for patch in patches]),
    }
