"""Layout of a procedural room: shell, window, door, pictures, furniture along the walls and a table in the middle."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deep3dmap.data.scenes.rooms_furniture import CENTRE_PIECES, WALL_PIECES, WOODS, Palette, Piece, chair
from deep3dmap.data.scenes.rooms_shapes import Quads, box, cylinder, joined, panel, sphere
from deep3dmap.data.scenes.rooms_textures import Material

GAP = 0.12  # metres between neighbouring pieces
Rectangle = tuple[float, float, float, float]  # min x, min y, max x, max y
TALL = 1.15  # pieces taller than this are not placed at the window wall


@dataclass(frozen=True)
class Room:
    """A furnished room. size: width (x), length (y), height (z); one corner of the floor is the origin.

    lights: (L, 3) positions. powers: (L,). margin: minimum distance of the camera from the walls. Lengths in metres.
    """

    size: tuple[float, float, float]
    quads: Quads
    materials: list[Material]
    lights: NDArray[np.float64]
    powers: NDArray[np.float64]
    margin: float = 1.0


@dataclass(frozen=True)
class _Wall:
    """A wall seen from inside: its length, its start (the right end), and the angle that rotates +y into the room."""

    length: float
    angle: float
    begin: tuple[float, float]

    def place(self, quads: Quads, along: float, away: float, up: float = 0.0) -> Quads:
        """Place quads at distance `along` the wall from its start and `away` from it into the room."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        x, y = self.begin[0] + cos * along - sin * away, self.begin[1] + sin * along + cos * away
        return quads.placed((x, y, up), self.angle)

    def footprint(self, begin: float, end: float, away: float) -> Rectangle:
        """Return the floor rectangle between `begin` and `end` along the wall, reaching `away` into the room."""
        one, other = self.point(begin, 0, 0), self.point(end, away, 0)
        low, high = np.minimum(one, other), np.maximum(one, other)
        return float(low[0]), float(low[1]), float(high[0]), float(high[1])

    def point(self, along: float, away: float, up: float) -> NDArray[np.float64]:
        """Return the world position of a point specified as in `place`."""
        cos, sin = np.cos(self.angle), np.sin(self.angle)
        return np.array([self.begin[0] + cos * along - sin * away, self.begin[1] + sin * along + cos * away, up])


def design_room(rng: np.random.Generator) -> Room:
    """Return a random furnished room, determined by the generator's state."""
    width, length, height = (float(v) for v in rng.uniform((4.0, 3.6, 2.4), (5.6, 5.0, 2.8)))
    palette = Palette(rng)
    walls = [_Wall(width, 0.0, (0, 0)), _Wall(length, np.pi / 2, (width, 0))]
    walls += [_Wall(width, np.pi, (width, length)), _Wall(length, -np.pi / 2, (0, length))]
    window_wall = int(rng.integers(4))
    door_wall = (window_wall + int(rng.integers(1, 4))) % 4
    parts = [_shell(palette, width, length, height), *_skirting(palette, walls)]
    parts += _window(palette, walls[window_wall], height)
    doorway = _door(palette, walls[door_wall], parts)
    middle = _furnish_centre(palette, width, length, parts)
    _furnish(palette, walls, window_wall, (door_wall, *doorway), [middle], parts)
    lights, powers = _lights(palette, walls[window_wall], (width, length, height), parts)
    return Room((width, length, height), joined(parts), palette.materials, lights, powers)


def _shell(palette: Palette, width: float, length: float, height: float) -> Quads:
    rng = palette.rng
    hue = np.array([0.80, 0.78, 0.74]) + rng.uniform(-0.12, 0.12, 3)
    wall = (float(hue[0]), float(hue[1]), float(hue[2]))
    papers = ("stripes", "marble", "dots", "plain")
    pattern = [Material(str(rng.choice(papers)), wall, _darken(wall, 0.86), scale=float(rng.uniform(0.18, 0.4)), grain=0.3)] * 4
    feature = Material("bricks", (0.62, 0.34, 0.26), (0.80, 0.76, 0.70), scale=0.24, grain=0.3)
    pattern[int(rng.integers(4))] = feature
    floors = [
        Material("planks", *WOODS[int(rng.integers(3))], scale=0.16),
        Material("checker", wall, _darken(wall, 0.55), scale=0.4),
    ]
    floor, ceiling = (
        palette.add(floors[int(rng.integers(2))]),
        palette.add(Material("plain", (0.92, 0.91, 0.89), wall, grain=0.22)),
    )
    shell = box((0, 0, 0), (width, length, height), floor, inside=True)
    # Box sides are ordered -x, +x, -y, +y, -z, +z.
    material = np.array([*(palette.add(paper) for paper in pattern), floor, ceiling])
    return Quads(shell.corners, shell.normals, material, shell.local)


def _darken(color: tuple[float, float, float], factor: float) -> tuple[float, float, float]:
    return (color[0] * factor, color[1] * factor, color[2] * factor)


def _skirting(palette: Palette, walls: list[_Wall]) -> list[Quads]:
    wood = palette.wood()
    return [wall.place(box((0, 0, 0), (wall.length, 0.015, 0.09), wood), 0, 0) for wall in walls]


def _window(palette: Palette, wall: _Wall, height: float) -> list[Quads]:
    frame = palette.add(Material("plain", (0.93, 0.93, 0.91), (1, 1, 1), grain=0.1))
    view = palette.add(Material("marble", (0.55, 0.75, 0.95), (0.90, 0.95, 1.0), scale=0.9, grain=0.15, glow=0.9))
    half, low, high, bar = 0.75, 0.95, min(2.1, height - 0.25), 0.05
    parts = [panel([(-half, 0.01, low), (-half, 0.01, high), (half, 0.01, high), (half, 0.01, low)], view)]
    parts += [box((x - bar / 2, 0, low), (x + bar / 2, 0.05, high), frame) for x in (-half, 0, half)]
    parts += [box((-half, 0, z - bar / 2), (half, 0.045, z + bar / 2), frame) for z in (low, (low + high) / 2, high)]
    parts.append(box((-half - 0.08, 0, low - 0.06), (half + 0.08, 0.16, low - bar / 2), frame))
    return [wall.place(joined(parts), wall.length / 2, 0)]


def _door(palette: Palette, wall: _Wall, parts: list[Quads]) -> tuple[float, float]:
    """Add a door and return the interval of the wall that must stay free."""
    wood, frame, metal = palette.wood(), palette.wood(), palette.metal()
    along = 0.75 if palette.rng.random() < 0.5 else wall.length - 0.75
    leaf = [box((-0.42, 0, 0), (0.42, 0.03, 2.0), wood), sphere(0.03, 0, metal, 12).placed((0.34, 0.07, 1.0))]
    leaf += [box((x - 0.05, 0, 0), (x + 0.05, 0.05, 2.1), frame) for x in (-0.47, 0.47)]
    leaf += [box((-0.42, 0, 2.0), (0.42, 0.05, 2.1), frame)]
    leaf += [box((-0.3, 0.03, z), (0.3, 0.045, z + 0.7), wood) for z in (0.2, 1.1)]
    parts.append(wall.place(joined(leaf), along, 0))
    return along - 0.55, along + 0.55


def _furnish(
    palette: Palette,
    walls: list[_Wall],
    window: int,
    door: tuple[int, float, float],
    taken: list[Rectangle],
    parts: list[Quads],
) -> None:
    """Place furniture along the walls where the floor is free, and hang pictures above low pieces."""
    rng = palette.rng
    for number, wall in enumerate(walls):
        along = 0.06
        while along < wall.length - 0.4:
            piece = WALL_PIECES[rng.integers(len(WALL_PIECES))](palette)
            end = along + piece.width
            footprint = wall.footprint(along, end, piece.depth + 0.05)
            blocks_door = number == door[0] and along < door[2] and end > door[1]
            blocks_window = number == window and piece.height > TALL
            if blocks_door or blocks_window or end > wall.length - 0.06 or any(_overlap(footprint, other) for other in taken):
                along += 0.25
                continue
            taken.append(footprint)
            parts.append(wall.place(piece.quads, along + piece.width / 2, piece.depth / 2 + 0.03))
            if number != window and piece.height < TALL:
                parts.append(wall.place(_picture(palette), along + piece.width / 2, 0))
            along = end + GAP + float(rng.uniform(0, 0.5))


def _overlap(one: Rectangle, other: Rectangle) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _picture(palette: Palette) -> Quads:
    rng = palette.rng
    half, tall, low = float(rng.uniform(0.2, 0.4)), float(rng.uniform(0.35, 0.55)), 1.4
    frame, canvas = palette.wood(), palette.accent(("checker", "dots", "marble", "stripes"), 0.14)
    return joined(
        [
            box((-half, 0, low), (half, 0.025, low + tall), frame),
            box((-half + 0.04, 0.025, low + 0.04), (half - 0.04, 0.03, low + tall - 0.04), canvas),
        ]
    )


def _furnish_centre(palette: Palette, width: float, length: float, parts: list[Quads]) -> Rectangle:
    """Place a rug, a table and two chairs in the middle and return the floor area they occupy."""
    rng = palette.rng
    centre = np.array([width / 2, length / 2]) + rng.uniform(-0.25, 0.25, 2)
    angle = float(rng.uniform(0, np.pi))
    rug = box((-0.95, -0.7, 0), (0.95, 0.7, 0.012), palette.accent(("checker", "stripes", "dots", "marble"), 0.24))
    parts.append(rug.placed((*centre, 0), angle))
    piece: Piece = CENTRE_PIECES[rng.integers(len(CENTRE_PIECES))](palette)
    parts.append(piece.quads.placed((*centre, 0.012), angle))
    for turn in (angle, angle + np.pi):
        # The chair faces the table, so it is offset towards its back.
        away = piece.depth / 2 + 0.22
        offset = away * np.array([np.sin(turn), -np.cos(turn)])
        parts.append(chair(palette).quads.placed((*(centre + offset), 0), turn + float(rng.uniform(-0.3, 0.3))))
    return float(centre[0]) - 0.8, float(centre[1]) - 0.8, float(centre[0]) + 0.8, float(centre[1]) + 0.8


def _lights(
    palette: Palette, window: _Wall, size: tuple[float, float, float], parts: list[Quads]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Add a ceiling lamp and return the lights: below the lamp, in front of the window, and a faint one in a corner."""
    width, length, height = size
    shade = palette.add(Material("plain", (1.0, 0.93, 0.78), (1, 1, 1), grain=0.08, glow=0.85))
    lamp = [cylinder(0.008, height - 0.35, height, palette.metal(), 6), sphere(0.13, height - 0.42, shade, 20)]
    parts.append(joined(lamp).placed((width / 2, length / 2, 0)))
    below = np.array([width / 2, length / 2, height - 0.60])
    before = window.point(window.length / 2, 0.35, 1.6)
    corner = (
        np.array([0.5, 0.5, height - 0.3])
        if palette.rng.random() < 0.5
        else np.array([width - 0.5, length - 0.5, height - 0.3])
    )
    return np.stack([below, before, corner]), np.array([1.6, 1.3, 0.5])
