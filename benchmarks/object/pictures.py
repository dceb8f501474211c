"""Pictures of a result of the object suite: held-out views next to their truth, and the mesh from all sides."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Mesh, Views
from deep3dmap.metrics.image_similarity import psnr
from deep3dmap.render.mesh_renderer import render_mesh
from deep3dmap.render.views import orbit
from deep3dmap.render.visualization import contact_sheet, depth_picture, enlarged, error_picture, save_png

SHOWN, SIDES = 4, 4
SIDE = 200  # minimum height of a tile, so that small photographs are legible
WORST = 0.5  # mean absolute error of the channels at the upper end of the error map

Tile = tuple[str, Tensor]


def write_views(views: Views, truth: dict[str, Any], folder: Path) -> list[Path]:
    """Write views.png into `folder` and return its path: truth, prediction, error and depth of some held-out views."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(truth["test_images"])
    rows = [_row(views, truth, index) for index in sorted({index * count // SHOWN for index in range(SHOWN)})]
    caption = f"held-out views; error: dark = 0, bright = at least {WORST}; depth: bright = near"
    sheet = contact_sheet([tile for row in rows for tile in row], columns=len(rows[0]), caption=caption)
    return [save_png(sheet, folder / "views.png")]


def write_turntable(predicted: Mesh | None, truth: Mesh | None, folder: Path) -> list[Path]:
    """Write turntable.png into `folder` and return its path; nothing is written without a mesh."""
    if predicted is None:
        return []
    folder.mkdir(parents=True, exist_ok=True)
    meshes = {"predicted": predicted, **({"true": truth} if truth is not None else {})}
    # Both are rendered with the same cameras, placed around the truth if available, so that they can be compared.
    placed_by = next((mesh for mesh in reversed(meshes.values()) if not mesh.is_empty), None)
    if placed_by is None:
        sheet = contact_sheet([("predicted: empty", torch.full((3, 2 * SIDE, 2 * SIDE), 0.9))], columns=1)
    else:
        cameras = orbit(placed_by.vertices, SIDES, elevation_degrees=20.0, width=2 * SIDE, height=2 * SIDE)
        sheet = contact_sheet(
            [
                (f"{name}: {len(mesh.faces):,} triangles, side {number}", _render(mesh, camera))
                for name, mesh in meshes.items()
                for number, camera in enumerate(cameras, 1)
            ],
            columns=SIDES,
        )
    return [save_png(sheet, folder / "turntable.png")]


def _row(views: Views, truth: dict[str, Any], index: int) -> list[Tile]:
    true, predicted = (
        torch.from_numpy(np.asarray(one, np.float32)) for one in (truth["test_images"][index], views.images[index])
    )
    predicted = predicted.clamp(0, 1)
    error = (predicted - true).abs().mean(0)
    tiles = [
        (f"view {index}", enlarged(true, SIDE)),
        (f"prediction, {psnr(predicted, true):.1f} dB", enlarged(predicted, SIDE)),
        ("error", enlarged(error_picture(error, torch.ones_like(error, dtype=torch.bool), WORST), SIDE)),
    ]
    if views.depth is not None:
        tiles.append(("depth", enlarged(depth_picture(torch.from_numpy(np.asarray(views.depth[index], np.float32))), SIDE)))
    return tiles


def _render(mesh: Mesh, camera: tuple[Any, Any]) -> Tensor:
    intrinsics, pose = camera
    drawn = render_mesh(mesh.vertices, mesh.faces, intrinsics, pose, 2 * SIDE, 2 * SIDE, colors=mesh.colors, supersample=2)
    return drawn.image
