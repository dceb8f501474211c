"""Backgrounds, occluders and camera effects for images of synthetic faces."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

Picture = NDArray[np.float32]


def background(size: int, rng: np.random.Generator) -> Picture:
    """Draw a (3, size, size) background in [0, 1]: a gradient with optional smooth noise, blobs, stripes or boxes."""
    y, x = np.mgrid[:size, :size].astype(np.float32) / size
    first, second = _paint(rng), _paint(rng)
    angle = rng.uniform(0, 2 * np.pi)
    ramp = (0.5 + (x - 0.5) * np.cos(angle) + (y - 0.5) * np.sin(angle)).clip(0, 1)
    picture = first + (second - first) * ramp
    for layer in rng.choice(["noise", "blobs", "stripes", "boxes"], rng.integers(0, 4), replace=False):
        picture = _LAYERS[layer](picture, x, y, rng)
    return picture.clip(0, 1).astype(np.float32)


def _paint(rng: np.random.Generator) -> Picture:
    # Mostly desaturated colours, like those of walls, clothes and gardens.
    color, grey = rng.uniform(0, 1, (3, 1, 1)), rng.uniform(0, 1)
    return (grey + (color - grey) * rng.uniform(0, 0.8)).astype(np.float32)


def _noise(picture: Picture, x: Picture, y: Picture, rng: np.random.Generator) -> Picture:
    return picture + rng.uniform(0.03, 0.25) * smooth_noise(len(x), int(rng.choice([4, 8, 16, 32])), rng)


def _blobs(picture: Picture, x: Picture, y: Picture, rng: np.random.Generator) -> Picture:
    for _ in range(rng.integers(2, 9)):
        centre, radius = rng.uniform(0, 1, 2), rng.uniform(0.04, 0.3)
        softness = rng.uniform(0.05, 0.9)
        distance = np.hypot(x - centre[0], y - centre[1]) / radius
        share = ((1 + softness - distance) / softness).clip(0, 1) * rng.uniform(0.3, 1)
        picture = picture + share * (_paint(rng) - picture)
    return picture


def _stripes(picture: Picture, x: Picture, y: Picture, rng: np.random.Generator) -> Picture:
    angle, often = rng.uniform(0, np.pi), rng.uniform(2, 25)
    wave = np.sin(2 * np.pi * often * (x * np.cos(angle) + y * np.sin(angle)) + rng.uniform(0, 6))
    sharp = np.tanh(wave * rng.uniform(0.5, 6))
    return picture + rng.uniform(0.05, 0.3) * sharp * rng.uniform(0.3, 1, (3, 1, 1))


def _boxes(picture: Picture, x: Picture, y: Picture, rng: np.random.Generator) -> Picture:
    for _ in range(rng.integers(1, 7)):
        left, top = rng.uniform(-0.2, 1, 2)
        inside = (x > left) & (x < left + rng.uniform(0.05, 0.6)) & (y > top) & (y < top + rng.uniform(0.05, 0.6))
        picture = np.where(inside, _paint(rng), picture)
    return picture


_LAYERS = {"noise": _noise, "blobs": _blobs, "stripes": _stripes, "boxes": _boxes}


def smooth_noise(size: int, cells: int, rng: np.random.Generator) -> Picture:
    """Return zero-mean, partly coloured noise (3, size, size) with about `cells` bumps per side."""
    coarse = rng.normal(size=(1, cells + 2, cells + 2)) + 0.25 * rng.normal(size=(3, cells + 2, cells + 2))
    source = torch.from_numpy(coarse.astype(np.float32))[None]
    return torch.nn.functional.interpolate(source, (size, size), mode="bilinear", align_corners=True)[0].numpy()


def occlude(picture: Picture, box: NDArray[np.float64], rng: np.random.Generator) -> Picture:
    """Draw one or two plain or textured rectangles or ellipses over the image near `box` (left, top, right, bottom)."""
    size = picture.shape[1]
    y, x = np.mgrid[:size, :size].astype(np.float32) + 0.5
    low, side = box[:2], (box[2:] - box[:2]).mean()
    for _ in range(int(rng.integers(1, 3))):
        centre = low + rng.uniform(-0.15, 1.15, 2) * (box[2:] - low)
        half = rng.uniform(0.08, 0.30, 2) * side
        angle = rng.uniform(0, np.pi)
        across = ((x - centre[0]) * np.cos(angle) + (y - centre[1]) * np.sin(angle)) / half[0]
        along = ((y - centre[1]) * np.cos(angle) - (x - centre[0]) * np.sin(angle)) / half[1]
        power = rng.choice([2.0, 8.0])
        share = ((1.04 - (np.abs(across) ** power + np.abs(along) ** power)) / 0.08).clip(0, 1)
        paint: NDArray[Any] = _paint(rng)
        if rng.random() < 0.5:
            paint = paint + rng.uniform(0.03, 0.3) * smooth_noise(size, int(rng.choice([8, 16, 32])), rng)
        picture = (picture + share * (paint - picture)).astype(np.float32)
    return picture.clip(0, 1).astype(np.float32)


def photograph(picture: Picture, rng: np.random.Generator) -> Picture:
    """Apply random camera and post-processing effects: white balance, contrast, desaturation, blur, noise, a black border."""
    size = picture.shape[1]
    gain = rng.uniform(0.85, 1.15) * (1 + rng.uniform(-0.1, 0.1, (3, 1, 1)))
    picture = (picture ** rng.uniform(0.75, 1.35) * gain).astype(np.float32)
    grey = picture.mean(0, keepdims=True)
    keep = 0.0 if rng.random() < 0.12 else rng.uniform(0.65, 1.25)
    picture = grey + keep * (picture - grey)
    blur = rng.uniform(0, 1.6) * size / 450
    if blur > 0.25:
        picture = gaussian_filter(picture, (0, blur, blur))
    picture = picture + rng.uniform(0, 0.03) * rng.standard_normal(picture.shape, np.float32)
    if rng.random() < 0.15:
        picture = _add_black_borders(picture, rng)
    return picture.clip(0, 1).astype(np.float32)


def _add_black_borders(picture: Picture, rng: np.random.Generator) -> Picture:
    # Mimics crops that extend beyond the original photograph and are filled with black.
    size = picture.shape[1]
    picture = picture.copy()
    depth = int(size * rng.uniform(0.03, 0.2))
    for side in rng.choice(4, rng.integers(1, 3), replace=False):
        (picture[:, :depth], picture[:, -depth:], picture[:, :, :depth], picture[:, :, -depth:])[side][...] = 0
    return picture
