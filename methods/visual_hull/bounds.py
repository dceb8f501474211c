"""The bounding box of the space that several silhouettes leave for the subject."""

from itertools import combinations
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog

from deep3dmap.core import UserError
from deep3dmap.metrics.silhouette import COVERAGE_THRESHOLD

# Status of scipy.optimize.linprog.
INFEASIBLE = 2
Floats = NDArray[np.float64]


class Outline(NamedTuple):
    """A mask and its camera. mask: (H, W) coverage. intrinsics: (3, 3), pixel centres at +0.5. world_from_camera: (4, 4)."""

    mask: NDArray[np.float32]
    intrinsics: Floats
    world_from_camera: Floats


def box_of_outlines(outlines: list[Outline], contradicting: int = 0) -> tuple[Floats, Floats]:
    """Return the lowest and highest corner (3,) of the bounding box of the intersection of the masks' pyramids, in the world.

    A mask that touches the edge of its picture may extend beyond it, so that side of its pyramid is left open. contradicting:
    number of views that may contradict the others; the box then covers the intersections of all choices of the remaining views.
    Raises UserError if the pyramids do not meet or leave some direction unbounded.
    """
    kept = max(len(outlines) - contradicting, 1)
    boxes = [box for chosen in combinations(outlines, kept) if (box := _box_of_all(chosen)) is not None]
    if not boxes:
        raise UserError("the masks do not meet in space; check that intrinsics, world_from_camera and masks belong together")
    return np.min([low for low, _ in boxes], axis=0), np.max([high for _, high in boxes], axis=0)


def _box_of_all(outlines: tuple[Outline, ...]) -> tuple[Floats, Floats] | None:
    """Return the bounding box of the intersection, or None if it is empty."""
    rows = [row for outline in outlines for row in _pyramid(outline)]
    normals, offsets = np.array([row[:3] for row in rows]), np.array([row[3] for row in rows])
    ends = []
    for sign in (1.0, -1.0):
        for axis in range(3):
            goal = np.zeros(3)
            goal[axis] = sign
            found = linprog(goal, A_ub=normals, b_ub=offsets, bounds=(None, None))
            if found.status == INFEASIBLE:
                return None
            if found.status != 0:
                raise UserError(
                    "the views do not bound the subject; add one from another side, or one that shows the whole subject"
                )
            ends.append(sign * found.fun)
    return np.array(ends[:3]), np.array(ends[3:])


def open_sides(mask: NDArray[np.float32]) -> tuple[bool, bool, bool, bool]:
    """Return whether a mask (H, W) touches the left, right, top and bottom edge of its picture."""
    covered = mask > COVERAGE_THRESHOLD
    return bool(covered[:, 0].any()), bool(covered[:, -1].any()), bool(covered[0].any()), bool(covered[-1].any())


def _pyramid(outline: Outline) -> list[Floats]:
    """Return the half-spaces (normal, offset), normal . x <= offset in the world, of the subject; none for an empty mask."""
    covered = outline.mask > COVERAGE_THRESHOLD
    if not covered.any():
        return []
    rows, columns = (np.flatnonzero(covered.any(axis)) for axis in (1, 0))
    # One pixel of margin, since coverage between 0 and one half may extend that far.
    left, right, top, bottom = columns[0] - 1.0, columns[-1] + 2.0, rows[0] - 1.0, rows[-1] + 2.0
    ends = (
        ((left, top), (left, bottom)),
        ((right, bottom), (right, top)),
        ((right, top), (left, top)),
        ((left, bottom), (right, bottom)),
    )
    inverse: Floats = np.linalg.inv(outline.intrinsics).astype(np.float64)
    sides = [_side(inverse, *end) for end, is_open in zip(ends, open_sides(outline.mask)) if not is_open]
    camera = [*sides, np.array([0.0, 0.0, -1.0])]
    rotation, eye = outline.world_from_camera[:3, :3], outline.world_from_camera[:3, 3]
    world = [rotation @ normal for normal in camera]
    return [np.append(normal, normal @ eye) for normal in world]


def _side(inverse: Floats, first: tuple[float, float], second: tuple[float, float]) -> Floats:
    """Return the outward normal, in camera axes, of the plane through the camera and two pixels, clockwise around the mask."""
    rays = [inverse @ np.array([x, y, 1.0]) for x, y in (first, second)]
    normal = np.cross(rays[0], rays[1])
    return normal / np.linalg.norm(normal)
