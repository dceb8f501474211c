"""Pictures of a result of the body suite: photographs, predicted and true surfaces, and their differences."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Mesh
from deep3dmap.geometry.cameras import invert, transform
from deep3dmap.geometry.closest_points import ClosestPoints
from deep3dmap.metrics.silhouette import COVERAGE_THRESHOLD, silhouette
from deep3dmap.metrics.surface_distance import box_diagonal
from deep3dmap.ops.rasterize import interpolate, rasterize_camera
from deep3dmap.render.mesh_renderer import render_mesh
from deep3dmap.render.views import orbit
from deep3dmap.render.visualization import contact_sheet, enlarged, enlargement, error_picture, save_png

GIVEN_ROWS, HELD_OUT_ROWS = 2, 1
SIDE = 240  # minimum height of a tile, so that small photographs are legible
WORST = 0.02  # fraction of the subject's diagonal at the upper end of the error map
UP = (0.0, 1.0, 0.0)
BOTH, MISSED, EXTRA, NEITHER = (0.75, 0.75, 0.75), (0.15, 0.4, 0.95), (0.9, 0.25, 0.2), (0.12, 0.12, 0.12)

Tile = tuple[str, Tensor]


def write(predicted: Mesh, truth: dict[str, Any], held: Sequence[int], folder: Path) -> list[Path]:
    """Write views.png and turntable.png into `folder` and return their paths. held: indices of the held-out views."""
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    if {"intrinsics", "world_from_camera"} <= truth.keys():
        files.append(folder / "views.png")
        save_png(_views_sheet(predicted, truth, held), files[-1])
    files.append(folder / "turntable.png")
    save_png(_turntable(predicted, truth.get("mesh")), files[-1])
    return files


def _views_sheet(predicted: Mesh, truth: dict[str, Any], held: Sequence[int]) -> Any:
    errors, worst = _vertex_errors(predicted, truth.get("mesh"))
    given = [view for view in range(len(truth["images"])) if view not in held]
    chosen = [*given[:: max(1, len(given) // GIVEN_ROWS)][:GIVEN_ROWS], *held[:HELD_OUT_ROWS]]
    rows = [_row(predicted, truth, view, view in held, errors, worst) for view in chosen]
    caption = "outlines: grey = both, blue = missing, red = excess"
    if errors is not None:
        caption += f"; distance to the true surface: dark = 0, bright = at least {1000 * worst:.0f} mm"
    return contact_sheet([tile for row in rows for tile in row], columns=len(rows[0]), caption=caption)


def _row(predicted: Mesh, truth: dict[str, Any], view: int, is_held: bool, errors: Tensor | None, worst: float) -> list[Tile]:
    camera = truth["intrinsics"][view], truth["world_from_camera"][view]
    photo = torch.from_numpy(np.asarray(truth["images"][view], np.float32))
    height, width = photo.shape[1:]
    factor = enlargement(height, SIDE)
    size = height * factor, width * factor
    fine = np.diag([factor, factor, 1.0]) @ np.asarray(camera[0], np.float64), camera[1]
    tiles = [(f"view {view}, {'held out' if is_held else 'given'}", enlarged(photo, SIDE))]
    if "masks" in truth:
        mask = torch.from_numpy(np.asarray(truth["masks"][view], np.float32))
        tiles.append(("mask", enlarged(mask.expand(3, -1, -1), SIDE)))
    tiles.append(("reconstruction", _render(predicted, fine, size)))
    if "mesh" in truth:
        tiles.append(("true surface", _render(truth["mesh"], fine, size)))
    if "masks" in truth:
        seen = silhouette(predicted.vertices, predicted.faces, *camera, height, width)
        tiles.append(("outlines", enlarged(_outlines(seen, mask > COVERAGE_THRESHOLD), SIDE)))
    if errors is not None:
        tiles.append(("distance to the truth", _error_map(predicted, fine, size, errors, worst)))
    return tiles


def _outlines(seen: Tensor, mask: Tensor) -> Tensor:
    colors = torch.tensor([NEITHER, MISSED, EXTRA, BOTH])
    return colors[mask.long() + 2 * seen.long()].permute(2, 0, 1)


def _vertex_errors(predicted: Mesh, truth: Mesh | None) -> tuple[Tensor | None, float]:
    """Return the distances (V,) of the predicted vertices to the true surface, and the upper end of their colour scale."""
    if truth is None or predicted.is_empty:
        return None, 0.0
    found = ClosestPoints(truth.vertices, truth.faces)(predicted.vertices)
    return found.distance.float(), WORST * box_diagonal(truth.vertices)


def _error_map(mesh: Mesh, camera: tuple[Any, Any], size: tuple[int, int], errors: Tensor, worst: float) -> Tensor:
    pose = torch.as_tensor(np.asarray(camera[1]), dtype=torch.float64)
    points = transform(torch.from_numpy(mesh.vertices), invert(pose).float()).contiguous()
    faces = torch.from_numpy(mesh.faces)
    seen = rasterize_camera(points, faces, torch.as_tensor(camera[0]).float(), *size)
    return error_picture(interpolate(seen, faces, errors[:, None])[0], seen.face_id >= 0, worst)


def _turntable(predicted: Mesh, truth: Mesh | None) -> Any:
    meshes = {"predicted": predicted, **({"true": truth} if truth is not None else {})}
    # Both are rendered with the same cameras, placed around the truth if available, so that they can be compared.
    placed_by = next((mesh for mesh in reversed(meshes.values()) if not mesh.is_empty), None)
    size = 2 * SIDE
    if placed_by is None:
        return contact_sheet([("predicted: empty", torch.full((3, size, size), 0.9))], columns=1)
    views = orbit(placed_by.vertices, 4, elevation_degrees=10.0, width=size, height=size, up=UP)
    tiles = [
        (f"{name}: {len(mesh.faces):,} triangles, side {number}", _render(mesh, view, (size, size)))
        for name, mesh in meshes.items()
        for number, view in enumerate(views, 1)
    ]
    return contact_sheet(tiles, columns=len(views))


def _render(mesh: Mesh, camera: tuple[Any, Any], size: tuple[int, int]) -> Tensor:
    return render_mesh(mesh.vertices, mesh.faces, *camera, *size, colors=mesh.colors).image
