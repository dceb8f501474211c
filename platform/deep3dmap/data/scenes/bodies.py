"""Procedural bodies seen by several calibrated cameras at once, with exact ground truth.

World: metres, y up, the floor at y = 0, the body near the origin. Surfaces are Lambertian, and images, masks and mesh agree to
the pixel.
"""

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.core.ply import to_ply
from deep3dmap.data.formats.multiview import write_views
from deep3dmap.data.generation import item_seed, make_items
from deep3dmap.data.scenes import head_backdrop
from deep3dmap.data.scenes.body_clothes import Clothes, color_at
from deep3dmap.data.scenes.body_subject import Body, sample_body, sample_light, sample_person
from deep3dmap.data.scenes.head_extras import vertex_normals
from deep3dmap.data.scenes.head_subject import irradiance
from deep3dmap.data.scenes.light import light_harmonics
from deep3dmap.data.scenes.orbit_cameras import Orbit, sample_cameras
from deep3dmap.data.scenes.procedural_body import body_model
from deep3dmap.data.scenes.view_render import DrawnView, LitSurface, draw_view, inside, project_points
from deep3dmap.geometry.body_model import BodyTemplate
from deep3dmap.geometry.rotations import matrix_of_axis_angle

Array = NDArray[np.float64]
COLOR_GAMMA = 2.2  # gamma of the colours in mesh.ply


@dataclass(frozen=True)
class BodiesPlan:
    """Generation settings. Equal plans produce identical files, regardless of the number of processes.

    train, val, test: number of samples per split. recordings: number of poses per person; splits share no people.
    """

    train: int
    val: int
    test: int
    recordings: int
    views: int
    image_size: int
    supersample: int
    gamma: float
    noise: float
    seed: int

    def count(self, split: str) -> int:
        """Return the number of samples in a split."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]


@dataclass(frozen=True)
class Job:
    """One sample to generate."""

    plan: BodiesPlan
    split: str
    index: int
    folder: str


def sample_name(plan: BodiesPlan, split: str, index: int) -> str:
    """Return the name of a sample and of its folder: the person and the recording number."""
    return f"{_person(plan, split, index)}_{index % plan.recordings}"


def _person(plan: BodiesPlan, split: str, index: int) -> str:
    return f"{split}_{index // plan.recordings:05d}"


def write_split(plan: BodiesPlan, split: str, folder: Path, workers: int = 1, quiet: bool = True) -> None:
    """Write one folder per body of a split into `folder`."""
    jobs = [Job(plan, split, index, str(folder)) for index in range(plan.count(split))]
    make_items(make_body, jobs, title=f"bodies ({split})", seconds=seconds_each(plan), workers=workers, quiet=quiet)


def seconds_each(plan: BodiesPlan) -> float:
    """Return the approximate generation time of one body on one core in seconds."""
    return 0.02 + plan.views * (0.003 + 7e-8 * (plan.image_size * plan.supersample) ** 2)


@cache
def _template() -> BodyTemplate:
    return BodyTemplate(body_model()).double()


def make_body(job: Job) -> None:
    """Generate one sample: views, cameras, mesh.ply and truth.npz."""
    plan, template = job.plan, _template()
    person_seed = item_seed("bodies", plan.seed, _person(plan, job.split, job.index))
    rng = np.random.default_rng(item_seed("bodies", plan.seed, job.split, job.index))
    betas, clothes = sample_person(np.random.default_rng(person_seed))
    body, light = sample_body(rng, template, betas), sample_light(rng)
    vertices = template.vertices(body.parameters())[0].numpy()
    surface = _surface(vertices, light, clothes)
    cameras = sample_cameras(rng, _orbit(plan, vertices, rng), (vertices.min(0) + vertices.max(0)) / 2, plan.image_size)
    views = [_photograph(surface, camera, plan, rng) for camera in cameras]
    folder = Path(job.folder) / sample_name(plan, job.split, job.index)
    folder.mkdir()
    write_views(folder, [view.image for view in views], [view.mask for view in views], cameras)
    colors = color_at(clothes, torch.from_numpy(surface.look.T)).numpy().T ** (1 / COLOR_GAMMA)
    (folder / "mesh.ply").write_bytes(to_ply(Mesh(vertices, surface.faces, colors)))
    np.savez(folder / "truth.npz", allow_pickle=False, **_truth(body, vertices, cameras, light))


def _surface(vertices: Array, light: Array, clothes: Clothes) -> LitSurface:
    model = body_model()
    lit = irradiance(vertex_normals(vertices, model.faces), light)
    return LitSurface(vertices, model.faces, lit, model.rest.astype(np.float64), partial(color_at, clothes))


def _orbit(plan: BodiesPlan, vertices: Array, rng: np.random.Generator) -> Orbit:
    start, size = rng.uniform(0, 360), float(np.ptp(vertices, axis=0).max())
    return Orbit(
        views=plan.views,
        yaws=(start, start + 360),
        jitter=min(12.0, 120 / plan.views),
        pitches=(-5.0, 25.0),
        field_of_view=(30.0, 50.0),
        extent=(1.10 * size, 1.28 * size),
    )


def _photograph(surface: LitSurface, camera: Camera, plan: BodiesPlan, rng: np.random.Generator) -> DrawnView:
    backdrop = head_backdrop.background(plan.image_size, rng)
    view = draw_view(surface, camera, backdrop, plan.supersample, plan.gamma)
    grain = rng.standard_normal(view.image.shape, np.float32) * np.float32(plan.noise)
    return view._replace(image=(view.image + grain).clip(0, 1))


def _truth(body: Body, vertices: Array, cameras: list[Camera], light: Array) -> dict[str, NDArray[Any]]:
    joints = _template().landmarks(torch.from_numpy(vertices)[None])[0].numpy()
    pixels = [project_points(joints, camera)[0] for camera in cameras]
    arrays = {
        "vertices": vertices,
        "joints": joints,
        "joints_views": np.stack(pixels),
        "joint_visibility": np.stack([inside(seen, camera) for seen, camera in zip(pixels, cameras)]),
        "betas": body.betas,
        "body_pose": body.body_pose,
        "global_orient": body.global_orient,
        "translation": body.translation,
        "light_harmonics": light_harmonics(light),
    }
    return {name: array.astype(np.float32) for name, array in arrays.items()} | {
        "world_from_template": _world_from_template(body)
    }


def _world_from_template(body: Body) -> NDArray[np.float64]:
    """Return the rigid transform (4, 4) that combines `global_orient`, about the root joint, and `translation`."""
    root = _template().joints({"betas": torch.from_numpy(body.betas.astype(np.float32))[None]})[0, 0].double().numpy()
    motion = np.eye(4)
    motion[:3, :3] = matrix_of_axis_angle(body.global_orient).numpy()
    motion[:3, 3] = root - motion[:3, :3] @ root + body.translation
    return motion
