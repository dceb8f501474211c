"""Placement of names next to points without overlaps."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

CHARACTER, LINE = 6.4, 15.0  # width of a character and height of a line in pixels
GAP = 9.0
MOST = 40


@dataclass(frozen=True)
class Label:
    """Position of a name. dx, dy: pixels from its point to its anchor. align: part of the name that is at the anchor."""

    dx: float
    dy: float
    align: str


_POSITIONS = (
    *(Label(0, -GAP - 4, "center"), Label(0, GAP + 4, "center"), Label(GAP, -11, "left"), Label(-GAP, -11, "right")),
    *(Label(GAP, 11, "left"), Label(-GAP, 11, "right"), Label(GAP, 0, "left"), Label(-GAP, 0, "right")),
)
_OFFSETS = np.array([(label.dx, label.dy) for label in _POSITIONS])
# Share of a name's width to the left of its anchor.
_LEFT_SHARES = np.array([{"left": 0.0, "center": 0.5, "right": 1.0}[label.align] for label in _POSITIONS])
Point = tuple[float, float]


def place(
    points: Sequence[Point], names: Sequence[str], size: tuple[float, float], lines: Sequence[tuple[Point, Point]] = ()
) -> list[Label | None]:
    """Return the position of each name in a plot of the given size in pixels; None if there is no room for it.

    points: (x, y) in [0, 1], y upwards. Earlier names take precedence. lines: vertical or horizontal lines to avoid.
    """
    width, height = size
    centers = [(x * width, (1 - y) * height) for x, y in points]
    taken = np.empty((len(points) + len(lines) + MOST, 4))
    count = len(points) + len(lines)
    taken[: len(points)] = [(x - 6, y - 6, x + 6, y + 6) for x, y in centers] or np.empty((0, 4))
    for number, (one, other) in enumerate(lines, len(points)):
        (left, right), (low, high) = sorted((one[0], other[0])), sorted((one[1], other[1]))
        taken[number] = left * width - 1, (1 - high) * height - 1, right * width + 1, (1 - low) * height + 1
    found: list[Label | None] = [None] * len(points)
    label_count = 0
    for own, ((x, y), name) in enumerate(zip(centers, names)):
        if label_count == MOST:
            break
        boxes = _boxes(x, y, len(name) * CHARACTER)
        inside = (boxes[:, 0] > -4) & (boxes[:, 2] < width + 4) & (boxes[:, 1] > -4) & (boxes[:, 3] < height + 4)
        overlap = _overlap(boxes, taken[:count])
        overlap[:, own] = False
        free = np.flatnonzero(inside & ~overlap.any(1))
        if len(free):
            found[own] = _POSITIONS[free[0]]
            taken[count] = boxes[free[0]]
            count, label_count = count + 1, label_count + 1
    return found


def _boxes(x: float, y: float, width: float) -> NDArray[np.float64]:
    """Return (8, 4) left, top, right and bottom of a name at each candidate position."""
    left, top = x + _OFFSETS[:, 0] - width * _LEFT_SHARES, y + _OFFSETS[:, 1] - LINE / 2
    return np.stack([left, top, left + width, top + LINE], axis=1)


def _overlap(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return (N, M) flags for the overlap of (N, 4) with (M, 4) boxes."""
    left, top, right, bottom = boxes.T[:, :, None]
    other_left, other_top, other_right, other_bottom = others.T
    level = (left < other_right) & (other_left < right)
    return np.asarray(level & (top < other_bottom) & (other_top < bottom))
