"""CLEVR-like images: simple objects on a plane, with masks and attributes, written in CLEVR's layout."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from deep3dmap.core.errors import UserError
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.data.formats.clevr import image_name, write_scenes
from deep3dmap.data.formats.images import write_gray16, write_image
from deep3dmap.data.generation import item_seed, make_items
from deep3dmap.data.scenes.clevr_layout import (
    LayoutRules,
    SceneObject,
    directions,
    relationships,
    sample_camera,
    sample_objects,
)
from deep3dmap.data.scenes.clevr_render import Picture, draw, sample_lights
from deep3dmap.geometry.cameras import project

# Minimum visible area of an object as a fraction of the image: 200 of CLEVR's 480 x 320 pixels.
MIN_VISIBLE_SHARE = 200 / (480 * 320)
ATTEMPTS = 50


@dataclass(frozen=True)
class ClevrPlan:
    """Generation settings. Equal plans produce identical files, regardless of the number of processes."""

    train: int
    val: int
    test: int
    image_size: int
    fewest: int
    most: int
    supersample: int
    layout: LayoutRules
    seed: int

    def count(self, split: str) -> int:
        """Return the number of images in a split."""
        return {"train": self.train, "val": self.val, "test": self.test}[split]


@dataclass(frozen=True)
class Job:
    """One image to generate."""

    plan: ClevrPlan
    split: str
    index: int
    root: str


def write_split(plan: ClevrPlan, split: str, root: Path, workers: int = 1, quiet: bool = True) -> None:
    """Write images/, masks/ and scenes/ of a split."""
    for kind in ("images", "masks"):
        (root / kind / split).mkdir(parents=True)
    jobs = [Job(plan, split, index, str(root)) for index in range(plan.count(split))]
    title, seconds = f"clevr ({split})", seconds_each(plan)
    scenes = make_items(make_picture, jobs, title=title, seconds=seconds, workers=workers, quiet=quiet)
    write_scenes(root, split, scenes, {"version": "1.0", "license": "Apache-2.0", "source": "deep3dmap.data.scenes.clevr"})


def seconds_each(plan: ClevrPlan) -> float:
    """Return the approximate generation time of one image on one core in seconds."""
    return 0.01 + 2e-7 * (plan.image_size * plan.supersample) ** 2


def make_picture(job: Job) -> dict[str, Any]:
    """Generate one image with its mask, and return its scene description in CLEVR's format."""
    plan, name = job.plan, image_name(job.split, job.index)
    rng = np.random.default_rng(item_seed("clevr", plan.seed, job.split, job.index))
    camera, objects, picture = _sample_visible_scene(rng, plan)
    root = Path(job.root)
    write_image(root / "images" / job.split / name, picture.image)
    write_gray16(root / "masks" / job.split / name, picture.object_number)
    return {
        "image_index": job.index,
        "image_filename": name,
        "split": job.split,
        "objects": [_describe_object(item, camera) for item in objects],
        "directions": {key: vector.tolist() for key, vector in directions(camera).items()},
        "relationships": relationships(objects, camera),
    }


def _sample_visible_scene(rng: np.random.Generator, plan: ClevrPlan) -> tuple[Camera, list[SceneObject], Picture]:
    """Draw scenes until every object is sufficiently visible."""
    count = int(rng.integers(plan.fewest, plan.most + 1))
    min_pixels = max(1, round(MIN_VISIBLE_SHARE * plan.image_size**2))
    for _ in range(ATTEMPTS):
        camera = sample_camera(rng, plan.layout, plan.image_size)
        objects = sample_objects(rng, plan.layout, count, camera)
        picture = draw(objects, camera, sample_lights(rng), plan.supersample)
        if np.bincount(picture.object_number.ravel(), minlength=count + 1)[1:].min() >= min_pixels:
            return camera, objects, picture
    raise UserError(f"{count} objects hide one another; use fewer (dataset.most_objects) or larger images (dataset.image_size)")


def _describe_object(item: SceneObject, camera: Camera) -> dict[str, Any]:
    pixels, depth = project(np.array([item.position]), camera.intrinsics, camera.camera_from_world)
    fields = asdict(item)
    position = fields.pop("position")
    return fields | {"3d_coords": list(position), "pixel_coords": [*pixels[0].tolist(), depth[0].item()]}
