"""Procedural heads seen by several calibrated cameras at once, with exact ground truth.

World: metres, y up, close to the frame of the head template (x to the subject's left, z out of the face), from which each head
is slightly rotated and shifted. Only the Lambertian template surface is rendered, without raised hair or shoulders, so that
images, masks and mesh agree to the pixel.
"""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.core.ply import to_ply
from deep3dmap.data.formats.images import write_image
from deep3dmap.data.formats.multiview import write_views
from deep3dmap.data.generation import item_seed, make_items
from deep3dmap.data.scenes import head_backdrop
from deep3dmap.data.scenes.head_extras import vertex_normals
from deep3dmap.data.scenes.head_model import head_model
from deep3dmap.data.scenes.head_subject import HeadSubject, irradiance, sample_subject
from deep3dmap.data.scenes.head_texture import color_at, head_texture
from deep3dmap.data.scenes.light import light_harmonics, randomise_exposure
from deep3dmap.data.scenes.orbit_cameras import Orbit, sample_cameras
from deep3dmap.data.scenes.view_render import DrawnView, LitSurface, draw_view, project_points, visible
from deep3dmap.geometry.rotations import matrix_of_axis_angle

Array = NDArray[np.float64]
ALBEDO_GAMMA = 2.2  # gamma of albedo.png; the gamma of the images is part of the plan
CENTRE = (0.0, -0.03, 0.03)  # point the cameras look at, in metres in the template's frame


@dataclass(frozen=True)
class MultiviewPlan:
    """Generation settings. Equal plans produce identical files, regardless of the number of processes.

    recordings: number of recordings per person. splits: "identity" assigns every person to one split; "recording" uses the
    same people in all splits, with different expressions, lights and cameras.
    """

    train: int
    val: int
    test: int
    recordings: int
    splits: str
    views: int
    image_size: int
    supersample: int
    grid: int
    texture_size: int
    most_yaw: float
    most_pitch: float
    gamma: float
    noise: float
    seed: int

    def count(self, split: str) -> int:
        """Return the number of samples in a split."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]

    def person(self, split: str, index: int) -> str:
        """Return the name of the person in a sample; equal names mean the same person."""
        group = "person" if self.splits == "recording" else split
        return f"{group}_{index // self.recordings:05d}"


@dataclass(frozen=True)
class Job:
    """One sample to generate."""

    plan: MultiviewPlan
    split: str
    index: int
    folder: str


def sample_name(plan: MultiviewPlan, split: str, index: int) -> str:
    """Return the name of a sample and of its folder: the person and the recording number."""
    return f"{plan.person(split, index)}_{index % plan.recordings}"


def write_split(plan: MultiviewPlan, split: str, folder: Path, workers: int = 1, quiet: bool = True) -> None:
    """Write one folder per subject of a split into `folder`."""
    jobs = [Job(plan, split, index, str(folder)) for index in range(plan.count(split))]
    make_items(make_subject, jobs, title=f"multiview_heads ({split})", seconds=seconds_each(plan), workers=workers, quiet=quiet)


def seconds_each(plan: MultiviewPlan) -> float:
    """Return the approximate generation time of one subject on one core in seconds."""
    return 0.02 + plan.views * (0.003 + 7e-8 * (plan.image_size * plan.supersample) ** 2)


def make_subject(job: Job) -> None:
    """Generate one sample: views, cameras, mesh.ply, albedo.png and truth.npz."""
    plan = job.plan
    rng = np.random.default_rng(item_seed("multiview_heads", plan.seed, job.split, job.index))
    person = plan.person(job.split, job.index)
    subject = _subject(plan, np.random.default_rng(item_seed("multiview_heads", plan.seed, person)), rng)
    model, pose = head_model(plan.grid), _sample_motion(rng)
    vertices = model.shape(subject.identity, subject.expression) / 1000 @ pose[:3, :3].T + pose[:3, 3]
    light = randomise_exposure(subject.light, rng)
    texture = head_texture(plan.texture_size).paint(subject, np.random.default_rng(item_seed("skin", plan.seed, person)))
    surface = _surface(vertices, light, texture, plan.grid)
    target = pose[:3, :3] @ np.array(CENTRE) + pose[:3, 3] + rng.normal(0, 0.006, 3)
    cameras = sample_cameras(rng, _orbit(plan), target, plan.image_size)
    views = [_photograph(surface, camera, plan, rng) for camera in cameras]
    folder = Path(job.folder) / sample_name(plan, job.split, job.index)
    folder.mkdir()
    write_views(folder, [view.image for view in views], [view.mask for view in views], cameras)
    write_image(folder / "albedo.png", texture ** (1 / ALBEDO_GAMMA))
    colors = model.albedo(subject.albedo) ** (1 / ALBEDO_GAMMA)
    (folder / "mesh.ply").write_bytes(to_ply(Mesh(vertices, model.faces, colors)))
    truth: dict[str, NDArray[Any]] = _landmarks(vertices, views, cameras, plan.grid) | {
        "vertices": vertices.astype(np.float32),
        "world_from_template": pose,
        "identity": subject.identity.astype(np.float32),
        "expression": subject.expression.astype(np.float32),
        "albedo": subject.albedo.astype(np.float32),
        "light_harmonics": light_harmonics(light).astype(np.float32),
    }
    np.savez(folder / "truth.npz", allow_pickle=False, **truth)


def _subject(plan: MultiviewPlan, person: np.random.Generator, recording: np.random.Generator) -> HeadSubject:
    # Attributes of the person come from one generator, attributes of the recording from the other.
    person_subject = sample_subject(person, head_model(plan.grid), 0.0)
    recording_subject = sample_subject(recording, head_model(plan.grid), 0.0)
    return replace(
        person_subject,
        expression=recording_subject.expression,
        gaze=recording_subject.gaze,
        light=recording_subject.light,
        glasses=False,
    )


def _sample_motion(rng: np.random.Generator) -> Array:
    pose = np.eye(4)
    pose[:3, :3] = matrix_of_axis_angle(np.radians(rng.uniform(-8, 8, 3))).numpy()
    pose[:3, 3] = rng.uniform(-0.015, 0.015, 3)
    return pose


def _surface(vertices: Array, light: Array, texture: NDArray[np.float32], grid: int) -> LitSurface:
    model = head_model(grid)
    normals = vertex_normals(vertices, model.faces)

    def color_of(uv: Tensor) -> Tensor:
        return color_at(texture, uv)

    return LitSurface(vertices, model.faces, irradiance(normals, light), model.uv.astype(np.float64), color_of)


def _orbit(plan: MultiviewPlan) -> Orbit:
    return Orbit(
        views=plan.views,
        yaws=(-plan.most_yaw, plan.most_yaw),
        jitter=min(5.0, plan.most_yaw / max(plan.views, 1) / 2),
        pitches=(-plan.most_pitch, plan.most_pitch),
        field_of_view=(20.0, 35.0),
        extent=(0.34, 0.40),
    )


def _photograph(surface: LitSurface, camera: Camera, plan: MultiviewPlan, rng: np.random.Generator) -> DrawnView:
    backdrop = head_backdrop.background(plan.image_size, rng)
    view = draw_view(surface, camera, backdrop, plan.supersample, plan.gamma)
    grain = rng.standard_normal(view.image.shape, np.float32) * np.float32(plan.noise)
    return view._replace(image=(view.image + grain).clip(0, 1))


def _landmarks(vertices: Array, views: list[DrawnView], cameras: list[Camera], grid: int) -> dict[str, NDArray[np.float32]]:
    model = head_model(grid)
    points = model.landmarks(vertices)
    normals = model.landmarks(vertex_normals(vertices, model.faces))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    return {
        "landmarks_68_views": np.stack([project_points(points, camera)[0] for camera in cameras]),
        "landmark_visibility": np.stack(
            [visible(points, normals, view, camera) for view, camera in zip(views, cameras)]
        ).astype(np.float32),
    }
