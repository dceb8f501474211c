"""Images of procedural heads with exact depth, for evaluating single-view shape reconstruction.

A head in front of a plain wall faces a camera with a ten-degree field of view; its centre, about which it rotates, is at
depth 1. It is Lambertian and lit by one distant and one ambient light. Images are the product of the albedo texture and the
shading, without a display curve, so that the model of Wu et al. (CVPR 2020) can represent them.
"""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.formats.face_depth import FARTHEST, NEAREST, write_depth, write_truth
from deep3dmap.data.formats.images import write_gray16, write_image
from deep3dmap.data.generation import item_seed, make_items
from deep3dmap.data.scenes.head_extras import Patch, join_patches, vertex_normals
from deep3dmap.data.scenes.head_model import head_model
from deep3dmap.data.scenes.head_render import HeadSurface, RenderSettings, closed_head
from deep3dmap.data.scenes.head_subject import HeadSubject, sample_subject
from deep3dmap.data.scenes.head_texture import color_at
from deep3dmap.data.scenes.view_render import LitSurface, draw_view
from deep3dmap.geometry.relief import ReliefCamera
from deep3dmap.ops.rasterize import rasterize_camera

Array = NDArray[np.float64]
ALBEDO_GAMMA = 2.2
CENTRE = np.array([0.0, 0.0, 0.03])  # centre of rotation in the head's frame in metres, placed at depth 1
SCALE = 0.61  # units of depth per metre, chosen so that a head fills the image
LIGHT_X, LIGHT_Y = (-1.0, 1.0), (-0.2, 0.8)


@dataclass(frozen=True)
class HeadsDepthPlan:
    """Generation settings. Equal plans produce identical files, regardless of the number of processes.

    yaw, pitch, roll: standard deviations in degrees, clipped at 2.5 sigma. shift: of the position, in units of depth.
    """

    train: int
    val: int
    test: int
    image_size: int
    supersample: int
    grid: int
    texture_size: int
    yaw: float
    pitch: float
    roll: float
    shift: float
    seed: int

    def count(self, split: str) -> int:
        """Return the number of images in a split."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]


@dataclass(frozen=True)
class Job:
    """One image to generate."""

    plan: HeadsDepthPlan
    split: str
    index: int
    folder: str


def write_split(plan: HeadsDepthPlan, split: str, folder: Path, workers: int = 1, quiet: bool = True) -> None:
    """Write a folder named `split`, with image/, depth/, mask/ and truth.csv, into `folder`."""
    for kind in ("image", "depth", "mask"):
        (folder / split / kind).mkdir(parents=True)
    jobs = [Job(plan, split, index, str(folder / split)) for index in range(plan.count(split))]
    title, seconds = f"face_depth ({split})", seconds_each(plan)
    made = make_items(make_head, jobs, title=title, seconds=seconds, workers=workers, quiet=quiet)
    write_truth(folder / split, dict(made))


def seconds_each(plan: HeadsDepthPlan) -> float:
    """Return the approximate generation time of one head on one core in seconds."""
    return 0.02 + 1e-7 * (plan.image_size * plan.supersample) ** 2


def make_head(job: Job) -> tuple[str, Array]:
    """Generate and write one image; returns its name, and its view and light (10,)."""
    plan = job.plan
    rng = np.random.default_rng(item_seed("heads_depth", plan.seed, job.split, job.index))
    subject = sample_subject(rng, head_model(plan.grid, 0), 0.0)
    subject = replace(subject, glasses=False, hair=replace(subject.hair, length=0.0))
    view, light = sample_view(rng, plan), sample_light(rng)
    surface = _lit_surface(subject, plan, view, light, rng)
    size = plan.image_size
    wall = rng.uniform(0.7, 0.95) + rng.uniform(-0.05, 0.05, (3, 1, 1))
    backdrop = np.broadcast_to(wall, (3, size, size)).astype(np.float32)
    seen = draw_view(surface, _camera(size), backdrop, plan.supersample, 1.0)
    name, folder = f"head_{job.index:05d}", Path(job.folder)
    write_image(folder / "image" / f"{name}.png", seen.image)
    write_gray16(folder / "mask" / f"{name}.png", np.round(seen.mask * 65535).astype(np.int64))
    write_depth(folder / "depth" / f"{name}.png", depth_of(surface.vertices, surface.faces, size))
    return name, np.concatenate([view, light])


def _lit_surface(subject: HeadSubject, plan: HeadsDepthPlan, view: Array, light: Array, rng: np.random.Generator) -> LitSurface:
    settings = RenderSettings(plan.image_size, plan.supersample, plan.grid, plan.texture_size, 0.0, 0)
    head, texture, patches = closed_head(subject, settings, rng)
    rest = Patch(**join_patches(patches))
    faces = np.concatenate([head.faces, rest.faces + len(head.vertices)])
    larger = np.exp(np.clip(rng.normal(0, 0.03), -0.06, 0.06))
    vertices = _to_camera_frame(np.concatenate([head.vertices, rest.vertices]), view, larger)
    # Face and patches do not share vertices at their seams, so each keeps its normals, as in the other head datasets.
    normals = np.concatenate([vertex_normals(vertices[part], own) for part, own in _parts(head, rest)])
    shade = light[0] + light[1] * (-normals @ _direction(light)).clip(0, None)
    # Atlas coordinates, a flag for textured vertices, and the colour of the others.
    attributes = np.zeros((len(vertices), 6))
    attributes[: len(head.vertices), :2], attributes[: len(head.vertices), 2] = head.uv, 1
    attributes[len(head.vertices) :, 3:] = rest.colors

    def color_of(drawn: torch.Tensor) -> torch.Tensor:
        skin = color_at(texture, drawn[:2])
        return torch.where(drawn[2] > 0.5, skin, drawn[3:]).clamp(min=1e-6) ** (1 / ALBEDO_GAMMA)

    return LitSurface(vertices, faces, shade[:, None].repeat(3, 1), attributes, color_of)


def _parts(head: HeadSurface, rest: Patch) -> tuple[tuple[slice, NDArray[np.int64]], ...]:
    count = len(head.vertices)
    return (slice(0, count), head.faces), (slice(count, None), rest.faces)


def sample_view(rng: np.random.Generator, plan: HeadsDepthPlan) -> Array:
    """Draw a view (6,): rx, ry, rz in radians, tx, ty, tz, as expected by `ReliefCamera.turn`."""
    spread = np.array([*np.radians([plan.pitch, plan.yaw, plan.roll]), plan.shift, plan.shift, 0.0])
    return rng.normal(size=6).clip(-2.5, 2.5) * spread


def sample_light(rng: np.random.Generator) -> Array:
    """Draw a light (4,): ambient, diffuse, and x and y of its direction at z = 1, pointing away from the camera."""
    return np.array([rng.uniform(0.3, 0.5), rng.uniform(0.4, 0.7), rng.uniform(*LIGHT_X), rng.uniform(*LIGHT_Y)])


def _direction(light: Array) -> Array:
    direction = np.array([light[2], light[3], 1.0])
    return direction / np.linalg.norm(direction)


def _to_camera_frame(millimetres: Array, view: Array, larger: float) -> Array:
    """Return the vertices of a head in the camera frame, in units of depth."""
    upright = np.array([1.0, -1.0, -1.0])
    ahead = (millimetres / 1000 - CENTRE) * SCALE * larger * upright + (0, 0, 1)
    return ReliefCamera(2).turn(torch.from_numpy(ahead)[None], torch.from_numpy(view)[None])[0].numpy()


def _camera(size: int) -> Camera:
    intrinsics = ReliefCamera(size).intrinsics(torch.zeros(0, dtype=torch.float64)).numpy()
    intrinsics[:2, 2] += 0.5  # a relief has integer pixel centres
    return Camera(intrinsics, np.eye(4), size, size)


def depth_of(vertices: Array, faces: NDArray[np.int64], size: int) -> NDArray[np.float32]:
    """Return the depth (H, W) at the pixel centres, FARTHEST for the background and for anything beyond it."""
    points = torch.from_numpy(vertices).float().contiguous()
    intrinsics = torch.from_numpy(_camera(size).intrinsics)
    depth = rasterize_camera(points, torch.from_numpy(faces), intrinsics, size, size).depth.numpy()
    return np.where((depth > 0) & (depth < FARTHEST), depth.clip(NEAREST, FARTHEST), np.float32(FARTHEST))
