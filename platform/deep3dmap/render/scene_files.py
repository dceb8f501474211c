"""Renders images of a reconstructed scene: a turntable of its mesh, and novel views."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core.mesh import Mesh
from deep3dmap.core.method import Views
from deep3dmap.core.pinhole_camera import Camera
from deep3dmap.render.animations import write_animation
from deep3dmap.render.camera_orbit import orbit_of_cameras, up_direction
from deep3dmap.render.views import turntable
from deep3dmap.render.visualization import contact_sheet

TURNS, SHEET, SIZE = 24, 8, 320
CAMERAS = ("intrinsics", "world_from_camera", "images")

# Renders a scene from given cameras.
Render = Callable[[Sequence[Camera]], Views]


def write_turntable(mesh: Mesh, sample: dict[str, Any], folder: Path) -> list[Path]:
    """Write turntable.png (a contact sheet) and turntable.webp (animated) of a world mesh; writes nothing if it is empty.

    sample: the method's input, whose cameras determine the up direction.
    """
    if mesh.is_empty:
        return []
    up = up_direction(sample)
    sides = turntable(mesh.vertices, mesh.faces, mesh.colors, TURNS, elevation_degrees=25.0, size=SIZE, up=up, supersample=2)
    return _write(sides, [f"{360 * index // TURNS} degrees" for index in range(TURNS)], folder, "turntable")


def write_novel_views(render: Render, sample: dict[str, Any], folder: Path) -> list[Path]:
    """Write novel_views.png and novel_views.webp: the scene from a circle around the point that the given cameras look at.

    Writes nothing if the sample has no cameras.
    """
    if not set(CAMERAS) <= sample.keys():
        return []
    height, width = np.shape(sample["images"][0])[-2:]
    cameras = orbit_of_cameras(sample["intrinsics"], sample["world_from_camera"], height, width, TURNS)
    # Render one camera at a time, as they are independent.
    frames = [torch.from_numpy(render([camera]).images[0]) for camera in cameras]
    return _write(frames, [f"{360 * index // TURNS} degrees" for index in range(TURNS)], folder, "novel_views")


def _write(frames: Sequence[Tensor], titles: Sequence[str], folder: Path, name: str) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    shown = range(0, len(frames), len(frames) // SHEET)
    contact_sheet([(titles[index], frames[index]) for index in shown], columns=SHEET // 2).save(folder / f"{name}.png")
    return [folder / f"{name}.png", write_animation(frames, folder / f"{name}.webp")]
