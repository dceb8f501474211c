"""Rendering of the procedural head: geometry, light, texture, surroundings and camera."""

from dataclasses import dataclass
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.data.scenes import head_albedo, head_backdrop, head_extras
from deep3dmap.data.scenes.head_extras import Patch, join_patches, vertex_normals
from deep3dmap.data.scenes.head_layout import Array, smoothstep
from deep3dmap.data.scenes.head_model import head_model
from deep3dmap.data.scenes.head_shape import surface_at
from deep3dmap.data.scenes.head_subject import HeadSubject, irradiance
from deep3dmap.data.scenes.head_texture import color_at, head_texture
from deep3dmap.data.scenes.view_render import drawn_layers
from deep3dmap.geometry.face_pose import HeadPose
from deep3dmap.ops.rasterize import rasterize

GAMMA = 2.2


@dataclass(frozen=True)
class RenderSettings:
    """Render settings: image side in pixels, samples per pixel side, vertices per side of the head grid, texture side.

    occluders: probability of an occluder. seed: of the head model.
    """

    image_size: int
    supersample: int
    grid: int
    texture_size: int
    occluders: float
    seed: int


def render_head(
    subject: HeadSubject, pose: HeadPose, settings: RenderSettings, box: Array, rng: np.random.Generator
) -> NDArray[np.float32]:
    """Return the (3, H, W) RGB image in [0, 1] of a subject; occluders are placed near `box`, in pixels."""
    head, texture, patches = closed_head(subject, settings, rng)
    scene = Patch(**join_patches([*patches, head_extras.shoulders(subject, rng)]))
    light = _shade(subject, pose, head, scene, rng)
    picture = _draw(pose, settings, head, texture, scene, light, rng)
    if rng.random() < settings.occluders:
        picture = head_backdrop.occlude(picture, box, rng)
    return head_backdrop.photograph(picture, rng)


@dataclass(frozen=True)
class HeadSurface:
    """The template's surface, displaced where there is hair. hairy: (V,) amount of hair per vertex in [0, 1]."""

    vertices: Array
    normals: Array
    faces: NDArray[np.int64]
    uv: NDArray[np.float32]
    hairy: Array


@cache
def _hairiness(grid: int, seed: int) -> Array:
    surface = surface_at(head_model(grid, seed).uv.astype(np.float64))
    hairline = head_albedo.parts(surface).hair
    return hairline * smoothstep(surface.y, -10, 40) * (1 - 0.5 * smoothstep(np.abs(surface.angle), 80, 110))


def closed_head(
    subject: HeadSubject, settings: RenderSettings, rng: np.random.Generator
) -> tuple[HeadSurface, NDArray[np.float32], list[Patch]]:
    """Return the face, its texture (3, S, S) in linear RGB, and the patches that close the head, including long hair."""
    model = head_model(settings.grid, settings.seed)
    shape = model.shape(subject.identity, subject.expression)
    normals = vertex_normals(shape, model.faces)
    hairy = _hairiness(settings.grid, settings.seed)
    raised = head_extras.add_hair_thickness(shape, normals, hairy, subject)
    head = HeadSurface(raised, vertex_normals(raised, model.faces), model.faces, model.uv, hairy)
    texture = head_texture(settings.texture_size, settings.seed).paint(subject, rng)
    hair, skin = _colors(texture, subject)
    patches = head_extras.back_of_head(raised, settings.grid, subject, hair, skin, rng)
    if subject.hair.length > 0:
        patches.append(head_extras.hanging_hair(raised, settings.grid, subject, hair, rng))
    return head, texture, patches


def _colors(texture: NDArray[np.float32], subject: HeadSubject) -> tuple[Array, Array]:
    size = texture.shape[1]
    hair = texture[:, int(0.05 * size), int(0.4 * size) : int(0.6 * size)].mean(1)
    neck, forehead = (texture[:, int(row * size), int(0.4 * size) : int(0.6 * size)].mean(1) for row in (0.93, 0.15))
    # For bald subjects, the back of the head has the colour of the forehead.
    return (forehead if subject.hair.bald else hair).astype(np.float64), neck.astype(np.float64)


def _shade(
    subject: HeadSubject, pose: HeadPose, head: HeadSurface, scene: Patch, rng: np.random.Generator
) -> tuple[Array, Array]:
    """Return per-vertex irradiance (V, 3) and gloss (V,) of the head, followed by the scene."""
    around = vertex_normals(scene.vertices, scene.faces)
    normals = np.concatenate([head.normals, around]) @ pose.rotation.T
    light = irradiance(normals, subject.light)
    # Normalise the exposure, since strong frontal light would overexpose the face.
    facing = irradiance(np.array([[0, 0, 1.0], [0.5, 0.2, 0.84], [-0.5, 0.2, 0.84]]), subject.light).mean()
    light = light / facing * rng.uniform(0.55, 1.15)
    brightest = subject.light[1:4].mean(1)
    half = brightest / max(np.linalg.norm(brightest), 1e-6) + (0, 0, 1.0)
    gloss = ((normals @ (half / np.linalg.norm(half))).clip(0, 1) ** 24) * np.linalg.norm(brightest) / facing * subject.gloss
    gloss[: len(head.hairy)] *= 1 - 0.7 * head.hairy
    gloss[len(head.hairy) :] *= 0.3
    return light, gloss


def _draw(
    pose: HeadPose, settings: RenderSettings, head: HeadSurface, texture: NDArray[np.float32], scene: Patch,
    light: tuple[Array, Array], rng: np.random.Generator,
) -> NDArray[np.float32]:  # fmt: skip
    size, many = settings.image_size, settings.image_size * settings.supersample
    backdrop = head_backdrop.background(size, rng)
    vertices = np.concatenate([head.vertices, scene.vertices])
    faces = torch.from_numpy(np.concatenate([head.faces, scene.faces + len(head.vertices)]))
    pixels = pose.image(vertices, size) * settings.supersample
    nearer = torch.from_numpy((pixels * (1, 1, -1)).astype(np.float32))
    fragments = rasterize(nearer, faces, many, many, perspective=False)
    of_head = fragments.face_id[fragments.face_id >= 0] < len(head.faces)

    def color_of(drawn: torch.Tensor) -> torch.Tensor:
        painted = color_at(texture, drawn[4:6])
        color = torch.where(of_head, painted, 1.0)
        return (color * drawn[0:3] + drawn[3]).clamp(1e-6, 1) ** (1 / GAMMA)

    attributes = torch.from_numpy(_attributes(head, scene, light))
    layers = drawn_layers(fragments, faces, attributes, color_of, settings.supersample).numpy()
    return layers[:3] + (1 - layers[3]) * backdrop


def _attributes(head: HeadSurface, scene: Patch, light: tuple[Array, Array]) -> NDArray[np.float32]:
    # Light, gloss and atlas coordinates. The scene has no texture, so its light is premultiplied by its colour.
    count = len(head.vertices)
    attributes = np.zeros((count + len(scene.vertices), 6), np.float32)
    attributes[:, :3], attributes[:, 3] = light
    attributes[count:, :3] *= scene.colors
    attributes[:count, 4:] = head.uv
    return attributes
