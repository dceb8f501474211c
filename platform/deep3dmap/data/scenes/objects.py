"""Writes a procedural object to disk in the layout of NeRF's synthetic scenes, with its ground-truth mesh."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deep3dmap.core.ply import to_ply
from deep3dmap.data.formats import nerf_synthetic
from deep3dmap.data.scenes.object_designs import DESIGNS, Design
from deep3dmap.data.scenes.rooms_shapes import refined
from deep3dmap.data.scenes.solid_render import Daylight, SolidRenderer
from deep3dmap.data.scenes.sphere_cameras import orbiting_cameras, scattered_cameras

SECONDS_PER_VIEW = 0.015  # render time of one view of 128 x 128 pixels on one core
MESH_EDGE = 0.05


@dataclass(frozen=True)
class ObjectRecipe:
    """Settings that determine the files of an object. train, val, test: views per split; size: image side in pixels."""

    design: str
    seed: int
    train: int
    val: int
    test: int
    size: int
    supersample: int


def write_object(folder: Path, recipe: ObjectRecipe) -> None:
    """Write three splits of views, and mesh.ply with the part of the surface visible in the training views."""
    design = Design()
    DESIGNS[recipe.design](design)
    quads, _ = refined(design.quads(), MESH_EDGE)
    renderer = SolidRenderer(quads, design.materials, Daylight(), recipe.supersample)
    rng = np.random.default_rng(recipe.seed)
    splits = {
        "train": scattered_cameras(recipe.train, recipe.size, rng),
        "val": scattered_cameras(recipe.val, recipe.size, rng),
        "test": orbiting_cameras(recipe.test, recipe.size),
    }
    for split, cameras in splits.items():
        pictures = [renderer.picture(camera) for camera in cameras]
        if split == "train":
            (folder / "mesh.ply").write_bytes(to_ply(renderer.visible_mesh()))
        nerf_synthetic.write_split(folder, split, [p.image for p in pictures], [p.mask for p in pictures], cameras)
