"""Online augmentation of a crop, its lighting and its position map (Feng et al., ECCV 2018, section 3.3)."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.geometry.face_crop import Similarity, positions_to_crop, warp
from deep3dmap.methods.prnet.photographic import photographed, unevenly_lit

Picture = NDArray[np.float32]


@dataclass(frozen=True)
class Augmentation:
    """Sampling ranges and probabilities of the augmentation.

    rotation: maximum absolute angle in degrees. translation: maximum absolute shift as a fraction of the crop's side. scale,
    color: minimum and maximum factor. occluders: probability of covering parts of the crop with noise-textured shapes. flip:
    probability of mirroring the face. light: probability of a smooth or sharp shadow over the crop. camera: probability of
    simulated camera artefacts, see `photographed`.
    """

    rotation: float = 45.0
    translation: float = 0.1
    scale: tuple[float, float] = (0.9, 1.2)
    color: tuple[float, float] = (0.6, 1.4)
    occluders: float = 0.5
    flip: float = 0.0
    light: float = 0.0
    camera: float = 0.0

    def similarity(self, crop_size: int, size: int, rng: np.random.Generator) -> Similarity:
        """Sample a similarity from crop pixels to pixels of a `size` crop, rotating and scaling about the centre."""
        angle = np.radians(rng.uniform(-self.rotation, self.rotation))
        scale = rng.uniform(*self.scale) * size / crop_size
        centre = size * (0.5 + rng.uniform(-self.translation, self.translation, 2))
        return similarity_about_centre(crop_size, angle, scale, centre)

    def __call__(self, crop: Picture, position_map: Picture, size: int, rng: np.random.Generator) -> tuple[Picture, Picture]:
        """Augment a (3, R, R) crop and its (3, S, S) map in crop pixels.

        Returns a (3, size, size) crop and the (3, S, S) map in its pixels. z is scaled too; rotation affects x and y.
        """
        if self.flip and rng.random() < self.flip:
            crop, position_map = mirrored(crop, position_map)
        moved = self.similarity(crop.shape[-1], size, rng)
        picture = warp(crop, moved, size) * rng.uniform(*self.color, (3, 1, 1)).astype(np.float32)
        if self.light and rng.random() < self.light:
            picture = unevenly_lit(picture, rng)
        if rng.random() < self.occluders:
            picture = occlude(picture, rng)
        if self.camera and rng.random() < self.camera:
            picture = photographed(picture, rng)
        return picture.clip(0, 1), positions_to_crop(position_map, moved)


def mirrored(crop: Picture, position_map: Picture) -> tuple[Picture, Picture]:
    """Mirror a (3, R, R) crop and its (3, S, S) map left to right: x becomes R - x, and u becomes 1 - u in the atlas.

    Mirroring the atlas moves a left eye that became a right eye to the right eye's texels. The atlas must be symmetric.
    """
    flipped = position_map[..., ::-1].copy()
    flipped[0] = crop.shape[-1] - flipped[0]
    return np.ascontiguousarray(crop[..., ::-1]), flipped


def similarity_about_centre(crop_size: int, angle: float, scale: float, centre: NDArray[Any]) -> Similarity:
    """Return the similarity that rotates by `angle` (radians, x towards y), scales, and maps the crop's centre to `centre`."""
    a, b = scale * np.cos(angle), scale * np.sin(angle)
    linear = np.array([[a, -b], [b, a]])
    offset = centre - linear @ np.full(2, crop_size / 2)
    return np.vstack([np.column_stack([linear, offset]), [0, 0, 1]])


def occlude(picture: Picture, rng: np.random.Generator) -> Picture:
    """Return a copy of a (3, R, R) picture in which one to three noise-textured ellipses or rectangles cover parts of it."""
    picture = picture.copy()
    for _ in range(rng.integers(1, 4)):
        mask = _shape(picture.shape[-1], rng)
        picture[:, mask] = noise_texture(picture.shape[-1], rng)[:, mask]
    return picture


def noise_texture(size: int, rng: np.random.Generator) -> Picture:
    """Return (3, size, size) noise around a random colour, with a grain size between one pixel and an eighth of the side."""
    grain = int(rng.integers(1, max(2, size // 8)))
    cells = -(-size // grain)
    noise = rng.uniform(-0.5, 0.5, (3, cells, cells)) * rng.uniform(0.1, 1.0) + rng.uniform(0, 1, (3, 1, 1))
    texture = noise.repeat(grain, 1).repeat(grain, 2)[:, :size, :size]
    return texture.clip(0, 1).astype(np.float32)


def _shape(size: int, rng: np.random.Generator) -> NDArray[np.bool_]:
    centre, half = rng.uniform(0, size, 2), rng.uniform(0.05, 0.2, 2) * size
    pixels = np.arange(size) + 0.5
    across, down = (pixels[None] - centre[0]) / half[0], (pixels[:, None] - centre[1]) / half[1]
    if rng.random() < 0.5:
        return across**2 + down**2 < 1
    return np.maximum(np.abs(across), np.abs(down)) < 1
