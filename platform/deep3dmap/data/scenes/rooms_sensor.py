"""Depth sensor errors, after Nguyen, Izadi and Lovell, Modeling Kinect Sensor Noise, 3DIMPVT 2012."""

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import maximum_filter, minimum_filter

NEAREST, FARTHEST = 0.35, 8.0  # metres
_MIN_COSINE = 0.17  # smallest cosine between ray and normal, about 80 degrees, that still gives a reading


def sensed_depth(
    depth: NDArray[np.float32], cosine: NDArray[np.float32], rng: np.random.Generator, strength: float = 1.0
) -> NDArray[np.float32]:
    """Simulate the readings of a structured-light sensor for exact `depth` (H, W) in metres, 0 = no reading.

    cosine: (H, W) of the angle between viewing ray and surface normal. Axial noise has a standard deviation of
    0.0012 + 0.0019 (z - 0.4)^2 metres times `strength`; pixels at depth edges shift laterally by about half a pixel; grazing
    surfaces, about half of the edge pixels and points out of range give no reading; readings are rounded to millimetres.
    A strength of 0 returns the exact depth.
    """
    if strength == 0:
        return depth
    height, width = depth.shape
    lateral_noise = rng.standard_normal((2, height, width))
    # Lateral shifts are applied at edges only; on slanted surfaces, they would add to the depth noise.
    edge = maximum_filter(depth, 3) - minimum_filter(depth, 3) > 0.1 * depth
    rows, columns = np.nonzero(edge)
    down, across = np.rint(0.4 * strength * lateral_noise[:, rows, columns]).astype(np.int64)
    shifted = depth.copy()
    shifted[rows, columns] = depth[np.clip(rows + down, 0, height - 1), np.clip(columns + across, 0, width - 1)]
    deviation = strength * (0.0012 + 0.0019 * np.square(shifted - 0.4))
    noisy = shifted + deviation * rng.standard_normal(depth.shape)
    invalid = (cosine < _MIN_COSINE) | (depth == 0) | (noisy < NEAREST) | (noisy > FARTHEST)
    invalid |= edge & (rng.random(depth.shape) < 0.5 * min(strength, 1.0))
    return np.where(invalid, 0, np.round(noisy, 3)).astype(np.float32)
