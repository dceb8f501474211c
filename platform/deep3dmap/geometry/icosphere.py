"""The icosphere: a unit sphere of nearly equal triangles."""

import numpy as np
from numpy.typing import NDArray


def icosphere(level: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return unit vertices (10 * 4^level + 2, 3) and faces (20 * 4^level, 3), counter-clockwise from outside.

    Each level splits every triangle into four at its edge midpoints. Raises ValueError for a level outside 0..8.
    """
    if not 0 <= level <= 8:
        raise ValueError(f"the level of an icosphere must be 0..8, got {level}")
    vertices, faces = _icosahedron()
    for _ in range(level):
        vertices, faces = _subdivided(vertices, faces)
    return vertices, faces


def _icosahedron() -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    golden = (1 + 5**0.5) / 2
    flat = np.array([(0.0, one, long) for long in (golden, -golden) for one in (1.0, -1.0)])
    vertices = np.concatenate([np.roll(flat, turn, 1) for turn in range(3)])
    vertices /= np.linalg.norm(vertices, axis=1, keepdims=True)
    # The faces are the triples of mutually adjacent vertices.
    near = vertices @ vertices.T > 0.44
    faces = [
        (a, b, c) for a in range(12) for b in range(a + 1, 12) for c in range(b + 1, 12) if near[a, b] & near[b, c] & near[a, c]
    ]
    outward = [np.linalg.det(vertices[list(face)]) > 0 for face in faces]
    return vertices, np.array([face if out else face[::-1] for face, out in zip(faces, outward)], np.int64)


def _subdivided(vertices: NDArray[np.float64], faces: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    edges = np.sort(faces[:, [[0, 1], [1, 2], [2, 0]]].reshape(-1, 2), 1)
    unique, which = np.unique(edges, axis=0, return_inverse=True)
    middles = vertices[unique].sum(1)
    middles /= np.linalg.norm(middles, axis=1, keepdims=True)
    ab, bc, ca = (which.reshape(-1, 3) + len(vertices)).T
    a, b, c = faces.T
    smaller = [(a, ab, ca), (ab, b, bc), (ca, bc, c), (ab, bc, ca)]
    return np.concatenate([vertices, middles]), np.concatenate([np.stack(face, 1) for face in smaller])
