"""Initial shape for relief reconstruction: half an ellipsoid that fills the object mask (Pan et al., ICLR 2021, sec. 3.1)."""

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core.errors import UserError

Category = Literal["face", "synface", "cat", "car", "church"]
RADIUS = 0.4  # of the sphere that the cap is part of, in units of depth


def ellipsoid_depth(mask: Tensor, category: Category = "face", near: float = 0.91, far: float = 1.02) -> Tensor:
    """Return a depth map (H, W): `near` at the centre of the mask (H, W), `far` at its rim and outside.

    The mask is thresholded at 0.7. The category adjusts the ellipsoid's box relative to the mask's: a face extends to the lower
    border and is narrower than hair and ears, a synthetic face has a higher forehead, cars and churches extend further down.
    Raises UserError for an unknown category, and for a mask that is empty, a line, or fills the whole image.
    """
    inside = mask >= 0.7
    height, width = mask.shape
    if not inside.any():
        raise UserError("the mask is empty: the ellipsoid needs an object")
    if inside.all():
        raise UserError("the mask fills the image: the ellipsoid needs an object with background around it")
    left, right, top, bottom = _box(inside, category)
    if right <= left or bottom <= top:
        raise UserError(f"the mask is a line of {int(inside.sum())} pixels: the ellipsoid needs an area")
    radius, ratio = (right - left) / 2, (bottom - top) / (right - left)
    columns = torch.arange(width, dtype=torch.float32)
    # Rows are compressed about the image centre, so that the ellipse becomes a circle.
    rows = (torch.arange(height, dtype=torch.float32) - height / 2) / ratio + height / 2
    squared = (rows[:, None] - (top + bottom) / 2) ** 2 + (columns - (left + right) / 2) ** 2
    edge = np.sqrt(RADIUS**2 - (RADIUS - (far - near)) ** 2)
    across = squared.sqrt() / radius * edge
    cap = RADIUS - (RADIUS**2 - across.square()).abs().sqrt() + near
    return torch.where(squared.sqrt() <= radius, cap, torch.full_like(cap, far))


def _box(inside: Tensor, category: Category) -> tuple[float, float, float, float]:
    rows, columns = (torch.nonzero(inside.any(axis)).flatten() for axis in (1, 0))
    top, bottom, left, right = (float(end) for end in (rows[0], rows[-1], columns[0], columns[-1]))
    height, width = bottom - top, right - left
    if category == "synface":
        top -= height / 6
    elif category == "face":
        bottom, left, right = inside.shape[0] - 1.0, left + width / 12, right - width / 12
    elif category in ("car", "church"):
        bottom += height / 6
    elif category != "cat":
        raise UserError(f"category must be face, synface, cat, car or church, not '{category}'")
    return left, right, top, bottom
