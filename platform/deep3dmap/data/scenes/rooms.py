"""Writes a procedural room to disk in the layout of 7-Scenes or ScanNet."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from deep3dmap.data.formats import scannet, sevenscenes
from deep3dmap.data.scenes.rooms_camera import camera_path, pinhole
from deep3dmap.data.scenes.rooms_layout import design_room
from deep3dmap.data.scenes.rooms_render import RoomRenderer
from deep3dmap.data.scenes.rooms_sensor import sensed_depth

LAYOUTS = {"sevenscenes": sevenscenes, "scannet": scannet}


@dataclass(frozen=True)
class RoomRecipe:
    """Settings that determine the files of a room.

    depth_noise: strength of the sensor's errors, 0 = exact depth. layout: one of LAYOUTS.
    """

    seed: int
    frames: int
    width: int
    height: int
    depth_noise: float
    mesh_edge: float
    layout: str = "sevenscenes"


def write_room(folder: Path, recipe: RoomRecipe) -> None:
    """Write frames, intrinsics and the observed part of the ground-truth mesh of a room; z is up, the floor at z = 0."""
    design, walk, noise = (np.random.default_rng(s) for s in np.random.SeedSequence(recipe.seed).spawn(3))
    room = design_room(design)
    intrinsics = pinhole(recipe.width, recipe.height)
    renderer = RoomRenderer(room, recipe.mesh_edge)
    layout = LAYOUTS[recipe.layout]
    layout.write_intrinsics(folder, intrinsics)
    for number, pose in enumerate(camera_path(room, recipe.frames, walk)):
        frame = renderer.frame(pose, intrinsics, recipe.height, recipe.width)
        depth = sensed_depth(frame.depth, frame.cosine, noise, recipe.depth_noise)
        layout.write_frame(folder, number, frame.image, depth, pose, frame.depth)
    layout.write_scan_mesh(folder, renderer.visible_mesh())


def seconds_each(frames: int, width: int, height: int) -> float:
    """Return the approximate generation time of one room on one core in seconds."""
    return 0.5 + frames * (0.013 + 4.4e-7 * width * height)
