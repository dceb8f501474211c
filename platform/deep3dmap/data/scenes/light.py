"""Exposure of the light on a subject, and conversion of its coefficients to the order used by renderers."""

import numpy as np
from numpy.typing import NDArray

from deep3dmap.data.scenes.head_subject import irradiance

Array = NDArray[np.float64]
# Maps the terms 1, x, y, z, x^2, y^2, z^2, xy, xz, yz of `irradiance`, for unit normals, to the nine harmonics
# 1, y, z, x, xy, yz, 3 z^2 - 1, xz, x^2 - y^2.
_HARMONICS = np.zeros((9, 10))
_HARMONICS[(0, 3, 1, 2, 4, 7, 5), (0, 1, 2, 3, 7, 8, 9)] = 1
_HARMONICS[0, 4:7], _HARMONICS[6, 4:7], _HARMONICS[8, 4:7] = 1 / 3, (-1 / 6, -1 / 6, 1 / 3), (1 / 2, -1 / 2, 0)


def light_harmonics(light: Array) -> Array:
    """Convert (10, 3) coefficients of `irradiance` to (9, 3) of 1, y, z, x, xy, yz, 3 z^2 - 1, xz, x^2 - y^2."""
    return _HARMONICS @ light


def randomise_exposure(light: Array, rng: np.random.Generator) -> Array:
    """Scale light to a random exposure around the normal one for surfaces that face +z."""
    facing = irradiance(np.array([[0, 0, 1.0], [0.5, 0.2, 0.84], [-0.5, 0.2, 0.84]]), light).mean()
    return light * (rng.uniform(0.7, 1.15) / facing)
