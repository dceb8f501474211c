"""Furniture of procedural rooms. Each piece stands on z = 0 around the origin, with its front towards +y."""

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from deep3dmap.data.scenes.rooms_shapes import Quads, box, cylinder, joined, revolved, sphere
from deep3dmap.data.scenes.rooms_textures import Material

Color = tuple[float, float, float]
WOODS: tuple[tuple[Color, Color], ...] = (
    ((0.62, 0.42, 0.24), (0.33, 0.20, 0.10)),
    ((0.80, 0.64, 0.42), (0.52, 0.36, 0.20)),
    ((0.40, 0.25, 0.16), (0.20, 0.12, 0.08)),
    ((0.90, 0.87, 0.80), (0.66, 0.62, 0.56)),
)
ACCENTS: tuple[Color, ...] = (
    (0.72, 0.18, 0.16),
    (0.16, 0.36, 0.62),
    (0.20, 0.48, 0.28),
    (0.86, 0.62, 0.14),
    (0.46, 0.26, 0.52),
    (0.12, 0.50, 0.54),
    (0.84, 0.46, 0.30),
    (0.30, 0.32, 0.36),
)
_METAL = Material("plain", (0.55, 0.56, 0.58), (0.5, 0.5, 0.5), grain=0.1)


@dataclass
class Palette:
    """The materials of a room and the random generator that chooses them."""

    rng: np.random.Generator
    materials: list[Material] = field(default_factory=list)

    def add(self, material: Material) -> int:
        """Register a material and return its index."""
        self.materials.append(material)
        return len(self.materials) - 1

    def wood(self) -> int:
        """Add a random wood and return its index."""
        first, second = WOODS[self.rng.integers(len(WOODS))]
        return self.add(Material("planks", first, second, scale=float(self.rng.uniform(0.10, 0.22)), grain=0.3))

    def accent(self, kinds: tuple[str, ...] = ("plain", "checker", "stripes", "dots", "marble"), scale: float = 0.16) -> int:
        """Add a random coloured material with one of the patterns `kinds` and return its index."""
        first, second = (ACCENTS[i] for i in self.rng.choice(len(ACCENTS), 2, replace=False))
        pale: Color = tuple(0.75 + 0.25 * c for c in second)
        kind = str(self.rng.choice(kinds))
        return self.add(Material(kind, first, pale, scale=scale * float(self.rng.uniform(0.7, 1.4)), grain=0.4))

    def metal(self) -> int:
        """Add a grey metal and return its index."""
        return self.add(_METAL)


@dataclass(frozen=True)
class Piece:
    """A piece of furniture: its surface, the footprint's width (x) and depth (y), and its height, in metres."""

    quads: Quads
    width: float
    depth: float
    height: float


def table(palette: Palette) -> Piece:
    """A rectangular table on four thin legs, with a bowl and a box on it."""
    width, depth, height = palette.rng.uniform((1.0, 0.65, 0.70), (1.6, 0.9, 0.78))
    parts = [_slab(width, depth, height - 0.04, height, palette.wood())]
    parts += _legs(width, depth, height - 0.04, 0.025, palette.metal())
    parts.append(_bowl(palette).placed((-0.22 * width, 0.05, height)))
    parts.append(box((0, -0.11, 0), (0.28, 0.08, 0.16), palette.accent()).placed((0.1 * width, 0, height), 0.4))
    return Piece(joined(parts), width, depth, height + 0.16)


def round_table(palette: Palette) -> Piece:
    """A round table on a central column, with a ball on it."""
    radius, height = palette.rng.uniform((0.40, 0.62), (0.55, 0.74))
    top = revolved(
        [(0, height - 0.04), (radius, height - 0.04), (radius, height), (0, height)], palette.wood(), 32, smooth=False
    )
    metal = palette.metal()
    parts = [top, cylinder(0.035, 0.03, height - 0.04, metal), cylinder(0.6 * radius, 0, 0.03, metal, 24)]
    parts.append(sphere(0.11, 0.11, palette.accent(("checker", "stripes", "dots"), 0.07)).placed((0.1, 0.12, height)))
    return Piece(joined(parts), 2 * radius, 2 * radius, height + 0.22)


def chair(palette: Palette) -> Piece:
    """A chair with thin legs and a back of rods."""
    wood, size, seat = palette.wood(), 0.42, 0.45
    parts = [_slab(size, size, seat - 0.04, seat, palette.accent(("plain", "checker", "stripes"), 0.1))]
    parts += _legs(size, size, seat - 0.04, 0.018, wood)
    parts += [cylinder(0.014, seat, 0.88, wood, 8).placed((x, -0.19, 0)) for x in np.linspace(-0.18, 0.18, 4)]
    parts.append(box((-0.21, -0.21, 0.84), (0.21, -0.17, 0.92), wood))
    return Piece(joined(parts), size, size, 0.92)


def shelf(palette: Palette) -> Piece:
    """An open shelf full of books and boxes."""
    width, height, depth, wood = (
        float(palette.rng.uniform(0.8, 1.4)),
        float(palette.rng.uniform(1.3, 2.0)),
        0.32,
        palette.wood(),
    )
    back = -depth / 2
    sides = [box((x, back, 0), (x + 0.025, -back, height), wood) for x in (-width / 2, width / 2 - 0.025)]
    parts = [*sides, box((-width / 2 + 0.025, back, 0), (width / 2 - 0.025, back + 0.015, height), wood)]
    boards = np.linspace(0.05, height - 0.03, int(palette.rng.integers(4, 6)))
    parts += [box((-width / 2 + 0.025, back + 0.015, z), (width / 2 - 0.025, -back, z + 0.025), wood) for z in boards]
    for z, above in pairwise(boards):
        parts += _books(palette, width / 2 - 0.03, back + 0.02, float(z) + 0.025, float(above - z) - 0.06)
    return Piece(joined(parts), width, depth, height)


def dresser(palette: Palette) -> Piece:
    """A chest of drawers with knobs and a vase on top."""
    width, height, depth = (float(v) for v in palette.rng.uniform((0.8, 0.75, 0.42), (1.3, 1.0, 0.5)))
    wood, metal, rows = palette.wood(), palette.metal(), int(palette.rng.integers(3, 5))
    parts = [_slab(width, depth, 0.06, height, wood), _slab(width - 0.06, depth - 0.06, 0, 0.06, metal)]
    front, each = palette.wood(), (height - 0.1) / rows
    for row in range(rows):
        low = 0.08 + row * each
        parts.append(box((-width / 2 + 0.03, depth / 2, low), (width / 2 - 0.03, depth / 2 + 0.018, low + each - 0.03), front))
        knobs = [sphere(0.018, 0, metal, 8).placed((x, depth / 2 + 0.03, low + each / 2)) for x in (-width / 4, width / 4)]
        parts += knobs
    parts.append(_vase(palette).placed((float(palette.rng.uniform(-0.3, 0.3)) * width, 0, height)))
    return Piece(joined(parts), width, depth + 0.05, height + 0.32)


def sofa(palette: Palette) -> Piece:
    """A sofa with round arms and two cushions."""
    width, depth, cloth = (
        float(palette.rng.uniform(1.5, 2.1)),
        0.85,
        palette.accent(("plain", "stripes", "dots", "marble"), 0.12),
    )
    parts = [box((-width / 2, -depth / 2, 0.06), (width / 2, depth / 2, 0.42), cloth)]
    parts.append(box((-width / 2, -depth / 2, 0.42), (width / 2, -depth / 2 + 0.22, 0.82), cloth))
    for side in (-1, 1):
        x = side * (width / 2 - 0.09)
        parts.append(box((x - 0.09, -depth / 2 + 0.22, 0.42), (x + 0.09, depth / 2, 0.56), cloth))
        parts.append(_lying_cylinder(0.09, depth - 0.22, cloth).placed((x, 0.11, 0.56)))
        pillow = box((-0.2, -0.06, 0), (0.2, 0.06, 0.36), palette.accent(("checker", "stripes", "dots"), 0.09))
        parts.append(pillow.placed((side * 0.25 * width, -depth / 2 + 0.32, 0.42), 0.3 * side))
    return Piece(joined(parts), width, depth, 0.82)


def bed(palette: Palette) -> Piece:
    """A bed with its headboard at the wall, a patterned blanket and pillows."""
    width, length, wood = float(palette.rng.uniform(1.0, 1.5)), 2.0, palette.wood()
    back = -length / 2
    parts = [
        box((-width / 2, back, 0.12), (width / 2, -back, 0.32), wood),
        box((-width / 2, back, 0.32), (width / 2, back + 0.05, 0.95), wood),
    ]
    blanket = palette.accent(("checker", "stripes", "dots", "marble"), 0.22)
    sheet = palette.add(Material("stripes", (0.93, 0.92, 0.9), (0.8, 0.84, 0.9), scale=0.06))
    parts += [box((-width / 2 + 0.03, back + 0.05, 0.32), (width / 2 - 0.03, -back, 0.48), sheet)]
    parts += [box((-width / 2 - 0.01, back + 0.6, 0.44), (width / 2 + 0.01, -back + 0.01, 0.5), blanket)]
    parts += [box((x - 0.2, back + 0.12, 0.48), (x + 0.2, back + 0.45, 0.58), sheet) for x in (-0.24 * width, 0.24 * width)]
    parts += _legs(width, length, 0.12, 0.03, wood)
    return Piece(joined(parts), width + 0.02, length + 0.02, 0.95)


def floor_lamp(palette: Palette) -> Piece:
    """A floor lamp: base, thin rod, conical shade."""
    metal, shade = palette.metal(), palette.add(Material("plain", (0.95, 0.86, 0.66), (1, 1, 1), grain=0.15, glow=0.5))
    cone = revolved([(0.20, 1.42), (0.11, 1.68), (0, 1.68)], shade, 24, smooth=False)
    underside = revolved([(0, 1.43), (0.19, 1.43)], shade, 24, smooth=False)
    parts = [cylinder(0.15, 0, 0.03, metal, 24), cylinder(0.013, 0.03, 1.5, metal, 8), cone, underside]
    return Piece(joined(parts), 0.4, 0.4, 1.68)


def plant(palette: Palette) -> Piece:
    """A potted plant: thin stems and leafy balls."""
    pot = palette.accent(("checker", "stripes", "plain"), 0.08)
    leaf = palette.add(Material("marble", (0.16, 0.42, 0.16), (0.40, 0.62, 0.22), scale=0.09, grain=0.6))
    parts = [revolved([(0, 0), (0.12, 0), (0.17, 0.3), (0.15, 0.3), (0.14, 0.27), (0, 0.27)], pot, 24, smooth=False)]
    for angle in np.linspace(0, 2 * np.pi, 4)[:-1] + palette.rng.uniform(0, 2):
        height, reach = float(palette.rng.uniform(0.6, 1.0)), 0.09
        place = (reach * np.cos(angle), reach * np.sin(angle), 0)
        parts += [cylinder(0.01, 0.27, height, leaf, 6).placed(place), sphere(0.13, height, leaf, 12).placed(place)]
    return Piece(joined(parts), 0.46, 0.46, 1.1)


def _slab(width: float, depth: float, low: float, high: float, material: int) -> Quads:
    return box((-width / 2, -depth / 2, low), (width / 2, depth / 2, high), material)


def _legs(width: float, depth: float, height: float, radius: float, material: int) -> list[Quads]:
    x, y = width / 2 - 2 * radius, depth / 2 - 2 * radius
    leg = cylinder(radius, 0, height, material, 10)
    return [leg.placed((side_x * x, side_y * y, 0)) for side_x in (-1, 1) for side_y in (-1, 1)]


def _bowl(palette: Palette) -> Quads:
    profile = [(0, 0), (0.07, 0), (0.12, 0.04), (0.14, 0.09), (0.13, 0.09), (0.10, 0.04), (0.06, 0.015), (0, 0.015)]
    return revolved([(float(r), float(z)) for r, z in profile], palette.accent(("stripes", "plain", "dots"), 0.05), 24)


def _vase(palette: Palette) -> Quads:
    profile = [(0.0, 0), (0.06, 0), (0.10, 0.09), (0.09, 0.17), (0.035, 0.25), (0.05, 0.32), (0, 0.32)]
    return revolved([(float(r), float(z)) for r, z in profile], palette.accent(("stripes", "checker", "marble"), 0.07), 20)


def _lying_cylinder(radius: float, length: float, material: int) -> Quads:
    """A cylinder along y, centred at the origin."""
    upright = cylinder(radius, -length / 2, length / 2, material, 20)
    turn = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    return Quads(upright.corners @ turn.T, upright.normals @ turn.T, upright.material, upright.local)


def _books(palette: Palette, half: float, back: float, low: float, room: float) -> list[Quads]:
    books, x = [], -half
    covers = [palette.accent(("plain", "stripes"), 0.05) for _ in range(3)]
    while x < half - 0.12:
        if palette.rng.random() < 0.15:
            x += float(palette.rng.uniform(0.08, 0.25))
            continue
        thick, tall = float(palette.rng.uniform(0.025, 0.09)), float(palette.rng.uniform(0.6, 1.0)) * min(room, 0.32)
        cover = covers[palette.rng.integers(len(covers))]
        books.append(box((x, back, low), (x + thick, back + float(palette.rng.uniform(0.15, 0.24)), low + tall), cover))
        x += thick + 0.002
    return books


PieceFactory = Callable[[Palette], Piece]
WALL_PIECES: tuple[PieceFactory, ...] = (shelf, dresser, sofa, bed, plant, floor_lamp, table, shelf)
CENTRE_PIECES: tuple[PieceFactory, ...] = (table, round_table)
