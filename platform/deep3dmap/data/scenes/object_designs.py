"""Ten procedural objects, each about two metres in size, z up, centred near the origin."""

from collections.abc import Callable, Sequence

import numpy as np

from deep3dmap.data.scenes.rooms_shapes import Quads, box, cylinder, joined, panel, revolved, sphere
from deep3dmap.data.scenes.rooms_textures import Material
from deep3dmap.data.scenes.solid_shapes import ring, stretched, turned

Color = tuple[float, float, float]
Place = tuple[float, float, float]

WHITE, BLACK, GREY = (0.9, 0.9, 0.88), (0.12, 0.12, 0.14), (0.5, 0.52, 0.55)
RED, GREEN, BLUE, YELLOW = (0.8, 0.18, 0.14), (0.2, 0.55, 0.22), (0.16, 0.32, 0.75), (0.92, 0.75, 0.18)
WOOD, DARK_WOOD, BRICK, ORANGE = (0.62, 0.42, 0.24), (0.35, 0.22, 0.12), (0.62, 0.28, 0.2), (0.9, 0.5, 0.15)


class Design:
    """Collects the parts of an object and their materials."""

    def __init__(self) -> None:
        self.parts: list[Quads] = []
        self.materials: list[Material] = []

    def material(self, kind: str, first: Color, second: Color, scale: float = 0.3, grain: float = 0.2) -> int:
        """Add a solid texture and return its index."""
        self.materials.append(Material(kind, first, second, scale, grain))
        return len(self.materials) - 1

    def add(self, part: Quads, place: Place = (0.0, 0.0, 0.0), degrees: float = 0.0) -> None:
        """Add a part at `place`, rotated about z."""
        self.parts.append(part.placed(place, np.radians(degrees)))

    def quads(self) -> Quads:
        """Return all parts."""
        return joined(self.parts)


def mug(design: Design) -> None:
    """A striped mug with a handle."""
    clay, inside = design.material("stripes", WHITE, BLUE, 0.45), design.material("plain", ORANGE, ORANGE)
    outer = [(0, -0.8), (0.62, -0.8), (0.7, -0.7), (0.72, 0.0), (0.75, 0.75), (0.7, 0.8)]
    design.add(revolved(outer, clay, 48))
    design.add(revolved([(0.7, 0.8), (0.64, 0.75), (0.62, -0.6), (0, -0.65)], inside, 48))
    design.add(stretched(turned(ring(0.42, 0.1, clay, (-95, 95)), 0, 90), (1, 1, 1.15)), (0.72, 0, 0))


def chair(design: Design) -> None:
    """A wooden chair with a checked cushion."""
    wood, cloth = design.material("planks", WOOD, DARK_WOOD, 0.12), design.material("checker", RED, WHITE, 0.16)
    design.add(box((-0.6, -0.6, -0.08), (0.6, 0.6, 0.02), wood))
    design.add(box((-0.52, -0.52, 0.02), (0.52, 0.52, 0.14), cloth))
    for x in (-0.52, 0.52):
        for y in (-0.52, 0.52):
            top = 1.1 if y > 0 else -0.08
            design.add(box((x - 0.07, y - 0.07, -0.95), (x + 0.07, y + 0.07, top), wood))
    for z in (0.35, 0.65, 0.95):
        design.add(box((-0.46, 0.48, z - 0.09), (0.46, 0.56, z + 0.09), wood))


def lighthouse(design: Design) -> None:
    """A banded lighthouse on a rock."""
    rock, tower = design.material("marble", GREY, BLACK, 0.5), design.material("plain", WHITE, WHITE, grain=0.3)
    band, lamp = design.material("bricks", RED, WHITE, 0.18), design.material("checker", YELLOW, BLACK, 0.15)
    design.add(stretched(sphere(0.8, 0, rock, 32), (1, 0.9, 0.35)), (0, 0, -0.9))
    for level in range(6):
        low, high = 0.42 - 0.035 * level, 0.42 - 0.035 * (level + 1)
        z = -0.8 + 0.24 * level
        design.add(revolved([(low, z), (high, z + 0.24)], band if level % 2 else tower, 40, smooth=False))
    design.add(cylinder(0.32, 0.64, 0.7, tower, 32))
    design.add(cylinder(0.17, 0.7, 0.95, lamp, 24))
    design.add(revolved([(0, 0.94), (0.26, 0.94), (0, 1.2)], band, 32, smooth=False))


def robot(design: Design) -> None:
    """A toy robot of boxes and balls."""
    steel, red = design.material("dots", GREY, WHITE, 0.16), design.material("plain", RED, RED)
    eye, joint = design.material("stripes", YELLOW, BLACK, 0.1), design.material("marble", BLUE, WHITE, 0.3)
    design.add(box((-0.42, -0.28, -0.35), (0.42, 0.28, 0.4), steel))
    design.add(box((-0.3, -0.25, 0.48), (0.3, 0.25, 0.95), red))
    design.add(cylinder(0.12, 0.38, 0.5, joint))
    design.add(cylinder(0.03, 0.95, 1.15, steel))
    design.add(sphere(0.08, 1.18, eye, 16))
    for side in (-1, 1):
        design.add(sphere(0.09, 0.75, eye, 20), (0.14 * side, -0.25, 0))
        design.add(sphere(0.15, 0.28, joint, 24), (0.52 * side, 0, 0))
        design.add(turned(box((-0.1, -0.1, -0.6), (0.1, 0.1, 0), steel), 0, 20 * side, (0.56 * side, 0, 0.25)))
        design.add(box((-0.14, -0.16, -0.9), (0.14, 0.16, -0.35), joint), (0.22 * side, 0, 0))
        design.add(box((-0.17, -0.34, -1.0), (0.17, 0.2, -0.88), red), (0.22 * side, 0, 0))


def house(design: Design) -> None:
    """A brick house with a tiled roof, a door and a chimney."""
    brick, roof = design.material("bricks", BRICK, WHITE, 0.22), design.material("stripes", DARK_WOOD, RED, 0.14)
    wood, glass = design.material("planks", GREEN, BLACK, 0.1), design.material("checker", BLUE, WHITE, 0.22)
    design.add(box((-0.8, -0.55, -0.7), (0.8, 0.55, 0.2), brick))
    gable = np.array([[(x, -0.55, 0.2), (x, 0.55, 0.2), (x, 0, 0.78), (x, 0, 0.78)] for x in (0.8, -0.8)])
    design.add(panel(gable[0], brick))
    design.add(panel(gable[1][[1, 0, 2, 2]], brick))
    for side in (-1, 1):
        slope = box((-0.95, -0.02, -0.04), (0.95, 0.86, 0.04), roof)
        design.add(turned(slope, 0, 134 if side > 0 else 46, (0, 0.62 * side, 0.15)))
    design.add(box((-0.16, -0.58, -0.7), (0.16, -0.54, -0.1), wood))
    for x in (-0.5, 0.5):
        for y in (-0.58, 0.54):
            design.add(box((x - 0.15, y, -0.4), (x + 0.15, y + 0.04, 0.0), glass))
    design.add(box((0.35, 0.15, 0.3), (0.55, 0.35, 1.0), brick))


def tree(design: Design) -> None:
    """A conifer with baubles in a pot."""
    bark, leaves = design.material("planks", DARK_WOOD, WOOD, 0.1), design.material("marble", GREEN, (0.08, 0.28, 0.1), 0.18)
    pot, bauble = design.material("stripes", BRICK, ORANGE, 0.2), design.material("dots", RED, YELLOW, 0.12)
    design.add(revolved([(0, -1), (0.28, -1), (0.38, -0.65), (0.3, -0.62), (0, -0.66)], pot, 32, smooth=False))
    design.add(cylinder(0.1, -0.7, -0.3, bark))
    for level in range(4):
        z, radius = -0.4 + 0.36 * level, 0.78 - 0.16 * level
        design.add(revolved([(0, z), (radius, z - 0.06), (0.12, z + 0.55)], leaves, 32, smooth=False))
        for k in range(5):
            angle = 2 * np.pi * (k / 5 + 0.13 * level)
            design.add(sphere(0.08, z - 0.02, bauble, 16), (radius * 0.95 * np.cos(angle), radius * 0.95 * np.sin(angle), 0))


def truck(design: Design) -> None:
    """A pick-up truck with a loaded bed."""
    paint, tyre = design.material("plain", BLUE, BLUE, grain=0.1), design.material("stripes", BLACK, GREY, 0.09)
    cargo, glass = design.material("planks", WOOD, DARK_WOOD, 0.1), design.material("checker", WHITE, GREY, 0.14)
    design.add(box((-1.1, -0.42, -0.35), (1.1, 0.42, -0.12), paint))
    design.add(box((0.05, -0.42, -0.12), (0.62, 0.42, 0.42), glass))
    design.add(box((0.03, -0.44, 0.42), (0.66, 0.44, 0.5), paint))
    design.add(box((0.62, -0.42, -0.12), (1.1, 0.42, 0.1), paint))
    for y in (-0.42, 0.36):
        design.add(box((-1.1, y, -0.12), (0.05, y + 0.06, 0.12), paint))
    for index in range(4):
        design.add(box((-1.0 + 0.26 * index, -0.3, -0.12), (-0.8 + 0.26 * index, 0.3, 0.1 + 0.1 * (index % 3)), cargo))
    for x in (-0.68, 0.68):
        for y in (-0.44, 0.44):
            design.add(turned(ring(0.18, 0.09, tyre), 0, 90, (x, y, -0.38)))
            design.add(turned(cylinder(0.15, -0.05, 0.05, glass), 0, 90, (x, y, -0.38)))


def vase(design: Design) -> None:
    """A marble vase with two handles."""
    marble, gold = design.material("marble", WHITE, BLUE, 0.6), design.material("plain", YELLOW, YELLOW)
    profile = [(0, -1), (0.4, -1), (0.42, -0.93), (0.25, -0.8), (0.5, -0.45), (0.62, -0.1), (0.55, 0.25), (0.28, 0.55)]
    profile += [(0.24, 0.75), (0.38, 0.95), (0.34, 0.96), (0.19, 0.75), (0, 0.6)]
    design.add(revolved(profile, marble, 56))
    for side in (-1, 1):
        handle = ring(0.3, 0.05, gold, (-90, 90) if side > 0 else (90, 270))
        design.add(stretched(turned(handle, 0, 90), (1, 1, 1.1)), (0.28 * side, 0, 0.46))
    design.add(ring(0.27, 0.05, gold), (0, 0, -0.8))


def castle(design: Design) -> None:
    """Four towers and a keep."""
    stone, roof = design.material("bricks", GREY, BLACK, 0.2), design.material("stripes", RED, DARK_WOOD, 0.1)
    grass, flag = design.material("marble", GREEN, YELLOW, 0.4), design.material("checker", YELLOW, BLUE, 0.12)
    design.add(cylinder(1.2, -0.75, -0.62, grass, 48))
    design.add(box((-0.32, -0.32, -0.62), (0.32, 0.32, 0.5), stone))
    for k in range(8):
        angle = np.pi / 4 * k
        side = 0.26 / max(abs(np.cos(angle)), abs(np.sin(angle)))
        design.add(box((-0.06, -0.06, 0.5), (0.06, 0.06, 0.62), stone), (side * np.cos(angle), side * np.sin(angle), 0))
    design.add(cylinder(0.02, 0.5, 1.0, roof))
    design.add(box((0.02, -0.01, 0.78), (0.32, 0.01, 0.98), flag))
    for x in (-0.7, 0.7):
        for y in (-0.7, 0.7):
            design.add(cylinder(0.2, -0.62, 0.1, stone, 28), (x, y, 0))
            design.add(revolved([(0, 0.1), (0.27, 0.1), (0, 0.55)], roof, 28, smooth=False), (x, y, 0))
    for y in (-0.7, 0.7):
        design.add(box((-0.6, y - 0.06, -0.62), (0.6, y + 0.06, -0.12), stone))
        design.add(box((y - 0.06, -0.6, -0.62), (y + 0.06, 0.6, -0.12), stone))


def fruit(design: Design) -> None:
    """A bowl of fruit on a round table."""
    wood, cloth = design.material("planks", WOOD, DARK_WOOD, 0.15), design.material("checker", WHITE, BLUE, 0.2)
    china = design.material("dots", WHITE, BLUE, 0.18)
    skins = [design.material("marble", RED, YELLOW, 0.5), design.material("plain", ORANGE, ORANGE, grain=0.4)]
    skins += [design.material("stripes", GREEN, YELLOW, 0.12), design.material("marble", (0.4, 0.1, 0.4), RED, 0.3)]
    design.add(cylinder(0.95, -0.2, -0.08, wood, 48))
    design.add(cylinder(0.72, -0.08, -0.05, cloth, 48))
    design.add(revolved([(0.5, -1), (0.1, -0.85), (0.12, -0.2)], wood, 32))
    design.add(revolved([(0, -0.05), (0.25, -0.05), (0.5, 0.15), (0.6, 0.3), (0.55, 0.3), (0.4, 0.14), (0, 0.02)], china, 40))
    places: Sequence[Place] = ((0.25, 0, 0.28), (-0.15, 0.22, 0.28), (-0.12, -0.24, 0.28), (0.0, 0.02, 0.5))
    for skin, place in zip(skins, places):
        design.add(sphere(0.22, 0, skin, 28), place)


DESIGNS: dict[str, Callable[[Design], None]] = {
    made.__name__: made for made in (mug, chair, lighthouse, robot, house, tree, truck, vase, castle, fruit)
}
