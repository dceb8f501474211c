"""Meshes of CLEVR-like objects: cube, sphere and cylinder of radius one, with normals."""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from deep3dmap.geometry.icosphere import icosphere

Array = NDArray[np.float64]
SIDES = 64  # number of sides of the cylinder
SUBDIVISIONS = 4  # subdivisions of the sphere


class Solid(NamedTuple):
    """A mesh. vertices, normals: (V, 3). faces: (F, 3), counter-clockwise from outside."""

    vertices: Array
    normals: Array
    faces: NDArray[np.int64]


@cache
def solid(shape: str) -> Solid:
    """Return a cube of side two, a sphere of radius one or a cylinder of radius one and height two, centred at the origin."""
    return {"cube": _cube, "sphere": _sphere, "cylinder": _cylinder}[shape]()


def _sphere() -> Solid:
    vertices, faces = icosphere(SUBDIVISIONS)
    return Solid(vertices, vertices, faces)


def _cube() -> Solid:
    corners, normals = [], []
    for axis in range(3):
        for sign in (1.0, -1.0):
            u, v = np.eye(3)[(axis + 1) % 3], np.eye(3)[(axis + 2) % 3] * sign
            normal = sign * np.eye(3)[axis]
            corners.append([normal - u - v, normal + u - v, normal + u + v, normal - u + v])
            normals.append(np.tile(normal, (4, 1)))
    faces = [(4 * side + np.array([[0, 1, 2], [0, 2, 3]])) for side in range(6)]
    return Solid(np.concatenate(corners), np.concatenate(normals), np.concatenate(faces))


def _cylinder() -> Solid:
    angle = 2 * np.pi * np.arange(SIDES) / SIDES
    circle = np.stack([np.cos(angle), np.sin(angle), np.zeros(SIDES)], 1)
    up = np.array([0, 0, 1.0])
    rim, following = np.arange(SIDES), (np.arange(SIDES) + 1) % SIDES
    side = np.concatenate(
        [np.stack([rim, following, following + SIDES], 1), np.stack([rim, following + SIDES, rim + SIDES], 1)]
    )
    # The caps have separate vertices because their normals differ; each is a fan around its first vertex.
    fan = np.stack([np.zeros(SIDES - 2, int), np.arange(1, SIDES - 1), np.arange(2, SIDES)], 1)
    vertices = np.concatenate([circle - up, circle + up, circle - up, circle + up])
    normals = np.concatenate([circle, circle, np.tile(-up, (SIDES, 1)), np.tile(up, (SIDES, 1))])
    return Solid(vertices, normals, np.concatenate([side, fan[:, ::-1] + 2 * SIDES, fan + 3 * SIDES]))
