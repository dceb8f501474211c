"""Layout of CLEVR-like scenes: attributes and positions of the objects, and the camera.

Shapes, sizes, colours, materials and placement rules follow Johnson et al., "CLEVR: A Diagnostic Dataset for Compositional
Language and Elementary Visual Reasoning", CVPR 2017. World: z up, the ground at z = 0, CLEVR's units.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.geometry.cameras import look_at, project

Array = NDArray[np.float64]
SHAPES = ("cube", "sphere", "cylinder")
SIZES = {"large": 0.7, "small": 0.35}
MATERIALS = ("rubber", "metal")
COLORS = {
    "gray": (87, 87, 87),
    "red": (173, 35, 35),
    "blue": (42, 75, 215),
    "green": (29, 105, 20),
    "brown": (129, 74, 25),
    "purple": (129, 38, 192),
    "cyan": (41, 208, 208),
    "yellow": (255, 238, 51),
}
GAP = 0.25  # minimum gap between the bounding circles of two objects
MARGIN = 0.4  # minimum offset along each camera direction, so that spatial relations are unambiguous
EYE, TARGET = (7.21, -6.83, 5.12), (0.0, 0.0, 0.35)
ATTEMPTS = 200


@dataclass(frozen=True)
class LayoutRules:
    """Rules for placing objects and the camera.

    reach: half the side of the square in which objects are placed. sizes: keys of `SIZES`. field_of_view: degrees. jitter:
    maximum camera offset along each axis.
    """

    reach: float = 3.0
    sizes: tuple[str, ...] = tuple(SIZES)
    field_of_view: float = 40.0
    jitter: float = 0.5


@dataclass(frozen=True)
class SceneObject:
    """One object. position: its centre. rotation: degrees about z, counter-clockwise."""

    shape: str
    size: str
    color: str
    material: str
    position: tuple[float, float, float]
    rotation: float

    @property
    def radius(self) -> float:
        """Half the height; smaller by sqrt(2) for cubes, so that their corners lie on the same circle."""
        return _radius(self.shape, self.size)


def sample_camera(rng: np.random.Generator, layout: LayoutRules, size: int) -> Camera:
    """Draw the camera of a square image of `size` pixels: CLEVR's position with jitter, looking at the scene's centre."""
    eye = np.array(EYE) + layout.jitter * rng.uniform(-1, 1, 3)
    focal = size / 2 / np.tan(np.radians(layout.field_of_view) / 2)
    intrinsics = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    return Camera(intrinsics, look_at(eye, TARGET).numpy(), size, size)


def directions(camera: Camera) -> dict[str, Array]:
    """Return unit vectors: right, behind, left and front in the ground plane, as the camera sees them, and above and below."""
    behind = camera.world_from_camera[:3, 2] * (1, 1, 0)
    behind = behind / np.linalg.norm(behind)
    left, above = np.array([-behind[1], behind[0], 0.0]), np.array([0.0, 0.0, 1.0])
    return {"right": -left, "behind": behind, "above": above, "below": -above, "left": left, "front": -behind}


def sample_objects(rng: np.random.Generator, layout: LayoutRules, count: int, camera: Camera) -> list[SceneObject]:
    """Draw `count` separate objects inside the image. Raises UserError if no arrangement is found."""
    for _ in range(ATTEMPTS):
        objects: list[SceneObject] = []
        while len(objects) < count:
            placed = _place_object(rng, layout, objects, camera)
            if placed is None:
                break
            objects.append(placed)
        else:
            return objects
    raise UserError(
        f"{count} objects do not fit into the scene; use fewer (dataset.most_objects) or more space (dataset.reach)"
    )


def relationships(objects: list[SceneObject], camera: Camera) -> dict[str, list[list[int]]]:
    """Return, for each direction and each object, the indices of the objects in that direction from it."""
    vectors = directions(camera)
    places = np.array([item.position for item in objects])
    found = {}
    for name in ("right", "behind", "front", "left"):
        along = places @ vectors[name]
        # As in CLEVR, small offsets do not count.
        found[name] = [[j for j in range(len(objects)) if j != i and along[j] - along[i] > 0.2] for i in range(len(objects))]
    return found


def _place_object(
    rng: np.random.Generator, layout: LayoutRules, objects: list[SceneObject], camera: Camera
) -> SceneObject | None:
    shape, size = str(rng.choice(SHAPES)), str(rng.choice(layout.sizes))
    color, material = str(rng.choice(list(COLORS))), str(rng.choice(MATERIALS))
    for _ in range(50):
        x, y = rng.uniform(-layout.reach, layout.reach, 2)
        candidate = SceneObject(
            shape, size, color, material, (float(x), float(y), _radius(shape, size)), float(rng.uniform(0, 360))
        )
        if _is_in_image(candidate, camera) and all(_is_separate(candidate, item, camera) for item in objects):
            return candidate
    return None


def _is_separate(first: SceneObject, second: SceneObject, camera: Camera) -> bool:
    offset = np.subtract(first.position, second.position)[:2]
    if np.linalg.norm(offset) - SIZES[first.size] - SIZES[second.size] < GAP:
        return False
    vectors = directions(camera)
    return all(abs(offset @ vectors[name][:2]) > MARGIN for name in ("right", "behind"))


def _is_in_image(item: SceneObject, camera: Camera) -> bool:
    around = np.array(item.position) + SIZES[item.size] * np.array([(1, 0, 0), (-1, 0, 0), (0, 1, 0), (0, -1, 0), (0, 0, 1)])
    pixels, _ = project(around, camera.intrinsics, camera.camera_from_world)
    return bool(((pixels > 0) & (pixels < camera.width)).all())


def _radius(shape: str, size: str) -> float:
    return SIZES[size] / 2**0.5 if shape == "cube" else SIZES[size]
