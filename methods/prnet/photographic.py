"""Lighting and camera effects that synthetic pictures lack: shadows, exposure, desaturation, blur and grain."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Picture = NDArray[np.float32]
DARKEST, BRIGHTEST = 0.12, 1.7  # gains of uneven lighting
MONOCHROME = 0.2  # fraction of pictures converted to greyscale


def unevenly_lit(picture: Picture, rng: np.random.Generator) -> Picture:
    """Multiply a (3, R, R) picture by a spatially varying gain: a smooth field or the edge of a shadow."""
    size = picture.shape[-1]
    if rng.random() < 0.5:
        cells = int(rng.integers(2, 5))
        field = _smooth(rng.normal(size=(1, cells, cells)).astype(np.float32), size)
    else:
        y, x = (np.mgrid[:size, :size].astype(np.float32) + 0.5) / size - rng.uniform(0.25, 0.75, (2, 1, 1)).astype(np.float32)
        angle, bend = rng.uniform(0, 2 * np.pi), rng.uniform(-1, 1)
        across, along = x * np.cos(angle) + y * np.sin(angle), y * np.cos(angle) - x * np.sin(angle)
        field = np.tanh((across + bend * along**2) * rng.uniform(3, 40))[None]
    gain = np.exp(field * rng.uniform(0.2, 0.9)).clip(DARKEST, BRIGHTEST)
    return np.asarray(picture * gain, np.float32)


def photographed(picture: Picture, rng: np.random.Generator) -> Picture:
    """Simulate camera artefacts on a (3, R, R) picture: contrast, desaturation, blur, grain and low resolution."""
    size = picture.shape[-1]
    picture = picture.clip(0, 1) ** np.float32(np.exp(rng.normal(0, 0.3)))
    middle = np.float32(rng.uniform(0.3, 0.6))
    picture = (picture - middle) * np.float32(rng.uniform(0.6, 1.7)) + middle + np.float32(rng.normal(0, 0.06))
    grey = picture.mean(0, keepdims=True)
    keep = 0.0 if rng.random() < MONOCHROME else rng.uniform(0.5, 1.3)
    picture = grey + np.float32(keep) * (picture - grey)
    if rng.random() < 0.5:
        blur = rng.uniform(0.2, 1.0) * size / 64
        picture = gaussian_filter(picture, (0, blur * rng.uniform(0.3, 1), blur))
    elif rng.random() < 0.4:
        picture = _smooth(picture[:, :: int(rng.integers(2, 4)), :: int(rng.integers(2, 4))], size)
    grain = rng.uniform(0, 0.05) * rng.standard_normal(picture.shape, np.float32)
    return np.asarray(picture + grain, np.float32).clip(0, 1)


def _smooth(coarse: NDArray[Any], size: int) -> Picture:
    source = torch.from_numpy(np.ascontiguousarray(coarse, np.float32))[None]
    return torch.nn.functional.interpolate(source, (size, size), mode="bilinear", align_corners=False)[0].numpy()
