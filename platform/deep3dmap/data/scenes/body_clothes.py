"""Clothes of a procedural body: colour as a function of the rest-pose position, so that edges are sharp at any resolution."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]
_SKIN = np.array([[0.78, 0.55, 0.44], [0.62, 0.40, 0.29], [0.42, 0.25, 0.16], [0.20, 0.11, 0.07]])
_HAIR = np.array([[0.02, 0.014, 0.01], [0.10, 0.05, 0.03], [0.35, 0.22, 0.09], [0.30, 0.29, 0.28]])


@dataclass(frozen=True)
class Clothes:
    """Clothes, skin and hair. Colours are linear RGB; lengths are metres on the body at rest.

    sleeves: their end, from the middle of the body. hem, legs: heights of the lower edges of shirt and trousers. hairline:
    its height above the eyes at the front. stripes: stripes of the shirt per metre, 0 = none. upright: whether they vary
    along x instead of y.
    """

    skin: Array
    hair: Array
    shirt: Array
    stripe: Array
    trousers: Array
    shoes: Array
    sleeves: float
    hem: float
    legs: float
    hairline: float
    stripes: float
    upright: bool


def sample_clothes(rng: np.random.Generator) -> Clothes:
    """Draw skin, hair, shirt, trousers and shoes."""
    shade = rng.uniform(0, len(_SKIN) - 1)
    skin = np.stack([np.interp(shade, np.arange(len(_SKIN)), channel) for channel in _SKIN.T])
    return Clothes(
        skin=skin * rng.uniform(0.9, 1.1),
        hair=_HAIR[rng.choice(len(_HAIR), p=[0.4, 0.3, 0.2, 0.1])] * rng.uniform(0.7, 1.4),
        shirt=_dye(rng),
        stripe=_dye(rng),
        trousers=_dye(rng) * 0.7,
        shoes=_dye(rng) * rng.choice([0.2, 1.0]),
        sleeves=float(rng.choice([rng.uniform(0.24, 0.42), rng.uniform(0.62, 0.69)])),
        hem=float(rng.uniform(0.84, 1.0)),
        legs=float(rng.choice([rng.uniform(0.10, 0.16), rng.uniform(0.45, 0.62)], p=[0.7, 0.3])),
        hairline=float(rng.uniform(0.045, 0.075)),
        stripes=float(rng.choice([0.0, rng.uniform(8, 30)])),
        upright=bool(rng.random() < 0.5),
    )


def _dye(rng: np.random.Generator) -> Array:
    grey, color = rng.uniform(0.03, 0.75), rng.uniform(0, 1, 3)
    return grey + (color * rng.uniform(0.3, 0.9) - grey) * rng.uniform(0, 1)


def color_at(clothes: Clothes, place: Tensor) -> Tensor:
    """Return linear RGB (3, ...) at positions (3, ...) on the mean body at rest, in metres."""
    x, y, z = place
    across = x.abs()
    arm = across > 0.2
    color = _expand_color(clothes.skin, x)
    color = _overlay(color, (y < 0.99) & (y > clothes.legs) & ~arm, _expand_color(clothes.trousers, x))
    collar = (x**2 + (z + 0.015) ** 2 < 0.078**2) & (y > 1.40) | (y > 1.49)
    shirt = (y > clothes.hem) & ~collar & (across < clothes.sleeves)
    color = _overlay(color, shirt, _shirt(clothes, x, y))
    color = _overlay(color, (y < 0.095) & ~arm, _expand_color(clothes.shoes, x))
    return _head(clothes, color, x, y, z)


def _head(clothes: Clothes, color: Tensor, x: Tensor, y: Tensor, z: Tensor) -> Tensor:
    front = z > 0.03
    hair = (y > 1.545 + 0.05 * torch.sin(40 * z)) & (z < 0.015) | (y > 1.645 + clothes.hairline)
    color = _overlay(color, hair & (x.abs() < 0.2), _expand_color(clothes.hair, x))
    for side in (-1, 1):
        eye = ((x - side * 0.031) / 0.012) ** 2 + ((y - 1.640) / 0.0065) ** 2
        color = _overlay(color, (eye < 1) & front, _expand_color(np.array([0.7, 0.68, 0.66]), x))
        color = _overlay(color, (eye < 0.3) & front, _expand_color(np.array([0.03, 0.02, 0.02]), x))
        brow = ((x - side * 0.033) / 0.017) ** 2 + ((y - 1.660) / 0.004) ** 2
        color = _overlay(color, (brow < 1) & front, _expand_color(clothes.hair, x))
    mouth = (x / 0.024) ** 2 + ((y - 1.563) / 0.006) ** 2
    return _overlay(color, (mouth < 1) & front, _expand_color(clothes.skin * (0.75, 0.45, 0.45), x))


def _shirt(clothes: Clothes, x: Tensor, y: Tensor) -> Tensor:
    plain = _expand_color(clothes.shirt, x)
    if clothes.stripes == 0:
        return plain
    wave = torch.sin(2 * np.pi * clothes.stripes * (x if clothes.upright else y))
    return _overlay(plain, wave > 0.3, _expand_color(clothes.stripe, x))


def _expand_color(color: Array, like: Tensor) -> Tensor:
    flat = torch.as_tensor(color, dtype=like.dtype).clamp(0, 1)
    return flat.reshape(3, *[1] * like.dim()).expand(3, *like.shape)


def _overlay(under: Tensor, where: Tensor, over: Tensor) -> Tensor:
    return torch.where(where, over, under)
