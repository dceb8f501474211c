"""Rendering of CLEVR-like scenes: rasterisation, then per-sample shading with three lights, a shadow map and reflections."""

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import avg_pool2d, normalize

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.scenes.clevr_layout import COLORS, SceneObject
from deep3dmap.data.scenes.clevr_shapes import solid
from deep3dmap.geometry.cameras import invert, look_at, project, scale_intrinsics, transform
from deep3dmap.ops.rasterize import interpolate, rasterize_camera

Array = NDArray[np.float64]
GAMMA = 2.2
GROUND = 0.44  # albedo of the ground, linear
GROUND_REACH = 300.0  # half the side of the ground
HAZE, HAZE_FROM, HAZE_DEPTH = 0.62, 14.0, 12.0  # colour, start and falloff of the backdrop into which distant ground fades
SHADOW_PIXELS = 512
SHADOW_WIDTH = 11.0  # units across the shadow map
SHADOW_BIAS = 0.03
SHADOW_TAPS = tuple((dx, dy) for dx in (-2, 0, 2) for dy in (-2, 0, 2))
# Directions towards the lights and their strengths; only the key light casts shadows.
KEY, FILL, BACK = (0.58, 0.10, 0.81), (-0.45, -0.75, 0.48), (-0.55, 0.60, 0.58)
STRENGTHS = (0.95, 0.28, 0.22)
AMBIENT = 0.24
# Per material: strength of reflections, and strength and sharpness of highlights.
MIRROR, GLOSS, SHARPNESS = {"rubber": 0.0, "metal": 0.35}, {"rubber": 0.06, "metal": 0.9}, {"rubber": 12.0, "metal": 90.0}


class ThreePointLights(NamedTuple):
    """Lights, jittered per scene as in CLEVR. towards: (3, 3) unit vectors to the lights. strengths: (3,)."""

    towards: Tensor
    strengths: Tensor


class Picture(NamedTuple):
    """image: (3, H, W) RGB in [0, 1]. object_number: (H, W) uint8.

    object_number is 0 for ground or sky, and k if object k - 1 covers most of the pixel.
    """

    image: NDArray[np.float32]
    object_number: NDArray[np.uint8]


class _Surface(NamedTuple):
    """vertices: (V, 3). faces: (F, 3). look: (V, 9) normal, albedo, mirror, gloss, sharpness. owner: (F,), 0 = ground."""

    vertices: Tensor
    faces: Tensor
    look: Tensor
    owner: Tensor


def sample_lights(rng: np.random.Generator) -> ThreePointLights:
    """Draw random lights."""
    towards = np.array([KEY, FILL, BACK]) + rng.normal(0, 0.04, (3, 3))
    strengths = np.array(STRENGTHS) * rng.uniform(0.9, 1.1, 3)
    return ThreePointLights(normalize(torch.from_numpy(towards).float(), dim=1), torch.from_numpy(strengths).float())


def draw(objects: list[SceneObject], camera: Camera, lights: ThreePointLights, supersample: int) -> Picture:
    """Render a scene with `supersample` samples per pixel side."""
    surface = _build_surface(objects)
    points = transform(surface.vertices, camera.camera_from_world).float().contiguous()
    intrinsics = scale_intrinsics(camera.intrinsics, supersample, supersample)
    seen = rasterize_camera(points, surface.faces, intrinsics, camera.height * supersample, camera.width * supersample)
    places = interpolate(seen, surface.faces, torch.cat([surface.vertices, surface.look], 1))
    owner = torch.where(seen.face_id >= 0, surface.owner[seen.face_id.clamp(min=0)], 0)
    eye = torch.from_numpy(camera.world_from_camera[:3, 3]).float()
    shadow = _shadow(surface, lights.towards[0], places[:3])
    color = _haze(_shade(places, eye, lights, shadow), (places[:3] - eye[:, None, None]).norm(dim=0), owner == 0)
    image = avg_pool2d(color.clamp(0, 1)[None], supersample)[0] ** (1 / GAMMA)
    covered = torch.nn.functional.one_hot(owner.long(), len(objects) + 1).permute(2, 0, 1).float()
    index = avg_pool2d(covered[None], supersample)[0].argmax(0)
    return Picture(image.numpy(), index.numpy().astype(np.uint8))


def _haze(color: Tensor, distance: Tensor, ground: Tensor) -> Tensor:
    """Blend the distant ground into the backdrop to hide the horizon."""
    share = torch.where(ground, 1 - torch.exp(-((distance - HAZE_FROM).clamp(min=0) / HAZE_DEPTH).square()), 0.0)
    return torch.lerp(color, torch.full_like(color, HAZE), share)


def linear(color: str) -> Array:
    """Return a CLEVR colour as linear RGB in [0, 1]."""
    return np.asarray((np.array(COLORS[color]) / 255) ** GAMMA)


def _build_surface(objects: list[SceneObject]) -> _Surface:
    corners = GROUND_REACH * np.array([[-1.0, -1, 0], [1, -1, 0], [1, 1, 0], [-1, 1, 0]])
    flat = np.tile([0, 0, 1, GROUND, GROUND, GROUND, 0, 0, 1.0], (4, 1))
    vertices, looks, faces, owners = [corners], [flat], [np.array([[0, 1, 2], [0, 2, 3]])], [np.zeros(2, int)]
    for number, item in enumerate(objects):
        body = solid(item.shape)
        angle = np.radians(item.rotation)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        own = (MIRROR[item.material], GLOSS[item.material], SHARPNESS[item.material])
        faces.append(body.faces + sum(map(len, vertices)))
        vertices.append(item.radius * body.vertices @ turn.T + item.position)
        looks.append(np.column_stack([body.normals @ turn.T, np.tile([*linear(item.color), *own], (len(body.vertices), 1))]))
        owners.append(np.full(len(body.faces), number + 1))
    arrays = (np.concatenate(parts) for parts in (vertices, faces, looks, owners))
    placed, triangles, look, owner = (torch.from_numpy(array) for array in arrays)
    return _Surface(placed.float(), triangles, look.float(), owner)


def _shadow(surface: _Surface, towards: Tensor, points: Tensor) -> Tensor:
    """Return the fraction (H, W) of key light that reaches points (3, H, W), from a shadow map with softened edges."""
    pose = look_at(30 * towards.double(), (0, 0, 0))
    # The light is so far away that its rays are nearly parallel.
    focal = 30 * SHADOW_PIXELS / SHADOW_WIDTH
    half = SHADOW_PIXELS / 2
    intrinsics = torch.tensor([[focal, 0, half], [0, focal, half], [0, 0, 1.0]])
    casting = surface.faces[surface.owner > 0]
    seen = rasterize_camera(
        transform(surface.vertices, invert(pose)).float().contiguous(), casting, intrinsics, SHADOW_PIXELS, SHADOW_PIXELS
    )
    nearest = torch.where(seen.face_id >= 0, seen.depth, torch.inf)
    pixels, depth = project(points.flatten(1).T, intrinsics, invert(pose))
    lit = torch.zeros(len(depth))
    for dx, dy in SHADOW_TAPS:
        x, y = (pixels + pixels.new_tensor([dx, dy])).long().clamp(0, SHADOW_PIXELS - 1).T
        lit += (depth < nearest[y, x] + SHADOW_BIAS).float()
    return (lit / len(SHADOW_TAPS)).view(points.shape[1:])


def _shade(places: Tensor, eye: Tensor, lights: ThreePointLights, shadow: Tensor) -> Tensor:
    """Return linear RGB (3, H, W): Lambertian shading, Blinn-Phong highlights, and a simple sky reflected in metal."""
    points, normals, albedo, (mirror, gloss, sharpness) = places[:3], normalize(places[3:6], dim=0), places[6:9], places[9:12]
    view = normalize(eye[:, None, None] - points, dim=0)
    diffuse, highlight = AMBIENT * (0.75 + 0.25 * normals[2]), torch.zeros_like(shadow)
    for number, (towards, strength) in enumerate(zip(lights.towards, lights.strengths)):
        reaching = strength * (shadow if number == 0 else 1.0)
        towards = towards[:, None, None]
        diffuse = diffuse + reaching * (normals * towards).sum(0).clamp(min=0)
        half = normalize(view + towards, dim=0)
        highlight = highlight + reaching * (normals * half).sum(0).clamp(min=0) ** sharpness.clamp(min=1)
    mirrored = 2 * (normals * view).sum(0) * normals[2] - view[2]
    # Reflected environment: grey ground below, a brighter sky above.
    surroundings = torch.where(mirrored > 0, 0.45 + 0.55 * mirrored, GROUND * 0.8)
    tint = 0.4 + 0.6 * albedo / albedo.amax(0).clamp(min=1e-3)
    body = (1 - mirror) * albedo * diffuse + mirror * surroundings * tint * (0.2 + 0.8 * albedo.amax(0))
    return body + gloss * highlight
