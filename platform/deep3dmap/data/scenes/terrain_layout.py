"""A hamlet on a meadow surrounded by trees and hills, z up, in metres; cameras are placed between hamlet and woods."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.data.scenes.object_designs import DESIGNS, Design
from deep3dmap.data.scenes.rooms_shapes import Quads, cylinder, joined, refined, revolved, sphere
from deep3dmap.data.scenes.rooms_textures import Material
from deep3dmap.data.scenes.solid_shapes import height_field, stretched
from deep3dmap.ops.solid_texture import value_noise

Array = NDArray[np.float64]
REACH = 400.0  # half the side of the ground
HAMLET, CAMERA_RING, WOODS = 14.0, (20.0, 34.0), (40.0, 160.0)  # radii of hamlet, cameras and woods
EDGE = 1.0  # edge length to which buildings are subdivided, so that visibility is tracked per piece
BUILDINGS = (("house", 5.0), ("house", 6.5), ("house", 4.5), ("lighthouse", 7.0), ("castle", 6.0))


@dataclass(frozen=True)
class TerrainModel:
    """The surface, its materials, and the bounds (2, 3) of the scene within fifty metres."""

    quads: Quads
    materials: list[Material]
    bounds: Array


class Ground:
    """Heights of the ground: nearly flat in the middle, hilly from the woods outwards."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._shift = rng.uniform(0, 32, 3)

    def __call__(self, x: Array, y: Array) -> Array:
        """Return heights in metres at positions x, y of equal shape."""
        away = np.hypot(x, y)
        rise = np.clip((away - 45) / 250, 0, 1)
        hills = 55 * self._noise(x / 90, y / 90, 0) + 14 * self._noise(x / 31, y / 31, 1)
        return rise**1.5 * hills + 0.8 * self._noise(x / 11, y / 11, 2)

    def _noise(self, x: Array, y: Array, layer: int) -> Array:
        across, along = (torch.from_numpy(np.ravel(v + self._shift[layer]).astype(np.float32)) for v in (x, y))
        values = value_noise(torch.stack([across, along, torch.full_like(across, 0.5 + 7 * layer)]))
        return values.numpy().astype(np.float64).reshape(np.shape(x))


def design_terrain(rng: np.random.Generator) -> TerrainModel:
    """Return a random scene of ground, hamlet and woods."""
    design, ground = Design(), Ground(rng)
    grass = design.material("marble", (0.35, 0.5, 0.2), (0.55, 0.5, 0.3), 9.0, grain=0.0)
    parts = [height_field(ground, REACH, 160, grass, growth=1.6), *_hamlet(design, ground, rng), *_woods(design, ground, rng)]
    bounds = np.array([[-50.0, -50, -2], [50, 50, 25]])
    return TerrainModel(joined(parts), design.materials, bounds)


def _hamlet(design: Design, ground: Ground, rng: np.random.Generator) -> list[Quads]:
    parts, start = [], rng.uniform(0, 2 * np.pi)
    for index, (name, size) in enumerate(BUILDINGS):
        angle = start + 2 * np.pi * index / len(BUILDINGS)
        away = HAMLET * rng.uniform(0.65, 0.85)
        place = (away * np.cos(angle), away * np.sin(angle))
        building = _scaled(_built(design, name), size / 2)
        foot = float(building.corners[..., 2].min())
        parts.append(_standing(refined(building, EDGE)[0], ground, place, rng.uniform(0, 2 * np.pi), foot))
    return parts


def _built(design: Design, name: str) -> Quads:
    """Return one of the procedural objects, with its materials added to the design's."""
    own = Design()
    DESIGNS[name](own)
    quads, first = own.quads(), len(design.materials)
    design.materials.extend(own.materials)
    return Quads(quads.corners, quads.normals, quads.material + first, quads.local)


def _woods(design: Design, ground: Ground, rng: np.random.Generator) -> list[Quads]:
    bark = design.material("plain", (0.35, 0.24, 0.15), (0, 0, 0), grain=0.0)
    greens = [design.material("marble", (0.12, 0.36, 0.14), (0.3, 0.5, 0.2), 2.0 + k, grain=0.0) for k in range(3)]
    stone = design.material("marble", (0.5, 0.5, 0.48), (0.25, 0.25, 0.27), 1.5, grain=0.0)
    parts = []
    for index in range(70):
        # Denser near the cameras, where trees appear large in the images.
        away = WOODS[0] + (WOODS[1] - WOODS[0]) * rng.uniform(0, 1) ** 1.7
        angle = rng.uniform(0, 2 * np.pi)
        tree = _conifer(bark, greens[index % 3]) if index % 3 else _broadleaf(bark, greens[index % 2])
        place = (away * np.cos(angle), away * np.sin(angle))
        parts.append(_standing(_scaled(tree, rng.uniform(0.8, 1.6)), ground, place, angle))
    for _ in range(14):
        angle, away = rng.uniform(0, 2 * np.pi), rng.uniform(*WOODS) * 0.35
        boulder = stretched(sphere(1.0, 0.3, stone, 12), (1.2, 0.9, 0.7))
        parts.append(
            _standing(_scaled(boulder, rng.uniform(0.5, 1.2)), ground, (away * np.cos(angle), away * np.sin(angle)), angle)
        )
    return parts


def _conifer(bark: int, green: int) -> Quads:
    parts = [cylinder(0.3, -0.5, 2.0, bark, 8)]
    for level in range(3):
        z, radius = 1.2 + 1.9 * level, 2.2 - 0.55 * level
        parts.append(revolved([(0, z), (radius, z), (0, z + 3.0)], green, 12, smooth=False))
    return joined(parts)


def _broadleaf(bark: int, green: int) -> Quads:
    crown = stretched(sphere(2.4, 0, green, 14), (1, 1, 0.85))
    return joined([cylinder(0.35, -0.5, 2.6, bark, 8), crown.placed((0, 0, 4.2)), crown.placed((1.1, 0.6, 3.4), 1.0)])


def _scaled(quads: Quads, factor: float) -> Quads:
    """Return the quads scaled by a factor, along with their textures."""
    return Quads(quads.corners * factor, quads.normals, quads.material, quads.local)


def _standing(quads: Quads, ground: Ground, place: tuple[float, float], angle: float, foot: float = 0.0) -> Quads:
    """Place quads on the ground, slightly sunk in, with their height `foot` at ground level; anything below is buried."""
    level = float(ground(np.array([place[0]]), np.array([place[1]]))[0])
    return quads.placed((*place, level - foot - 0.1), angle)
