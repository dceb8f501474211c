"""Places names beside points so that they run into neither each other nor the points."""

from collections.abc import Sequence
from dataclasses import dataclass

CHARACTER, LINE = 6.4, 15.0  # pixels of a name in the charts' type
GAP = 9.0
MOST = 40


@dataclass(frozen=True)
class Label:
    """Where a name stands. dx, dy: pixels from its point. align: the side of the name that is there."""

    dx: float
    dy: float
    align: str


_PLACES = (
    *(Label(0, -GAP - 4, "center"), Label(0, GAP + 4, "center"), Label(GAP, -11, "left"), Label(-GAP, -11, "right")),
    *(Label(GAP, 11, "left"), Label(-GAP, 11, "right"), Label(GAP, 0, "left"), Label(-GAP, 0, "right")),
)
Point = tuple[float, float]
Box = tuple[float, float, float, float]


def place(
    points: Sequence[Point], names: Sequence[str], size: tuple[float, float], lines: Sequence[tuple[Point, Point]] = ()
) -> list[Label | None]:
    """Return where each name goes in a plot of a size in pixels; None where there is no room left.

    points: (x, y) in [0, 1], y upwards. Earlier names have the choice. lines: upright or level ones that names avoid.
    """
    width, height = size
    centers = [(x * width, (1 - y) * height) for x, y in points]
    taken: list[Box] = [(x - 6, y - 6, x + 6, y + 6) for x, y in centers]
    for one, other in lines:
        (left, right), (low, high) = sorted((one[0], other[0])), sorted((one[1], other[1]))
        taken.append((left * width - 1, (1 - high) * height - 1, right * width + 1, (1 - low) * height + 1))
    found: list[Label | None] = []
    for own, ((x, y), name) in enumerate(zip(centers, names)):
        chosen = None
        for label in _PLACES if sum(one is not None for one in found) < MOST else ():
            box = _box(x + label.dx, y + label.dy, len(name) * CHARACTER, label.align)
            inside = box[0] > -4 and box[2] < width + 4 and box[1] > -4 and box[3] < height + 4
            if inside and not any(_overlap(box, other) for place, other in enumerate(taken) if place != own):
                chosen = label
                taken.append(box)
                break
        found.append(chosen)
    return found


def _box(x: float, y: float, width: float, align: str) -> Box:
    left = {"left": x, "right": x - width, "center": x - width / 2}[align]
    return left, y - LINE / 2, left + width, y + LINE / 2


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]
