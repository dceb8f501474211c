"""Pictures of an indoor result: some frames with prediction and truth, and both surfaces from outside."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Mesh
from deep3dmap.render.mesh_renderer import MeshImages, render_mesh
from deep3dmap.render.views import overview
from deep3dmap.render.visualization import contact_sheet, depth_picture, enlarged, error_picture, save_png

FRAMES = 4
TILE = 240  # minimum height of a tile, so that small frames are legible
OVERVIEW = (600, 800)
LARGEST_ERROR = 0.2  # metres at the upper end of the error map

Tile = tuple[str, Tensor]


def write_pictures(predicted: Mesh, truth: dict[str, Any], folder: Path) -> list[Path]:
    """Write frames.png and overview.png into `folder` and return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    count = len(truth["images"])
    chosen = np.unique(np.linspace(0, count - 1, min(FRAMES, count) + 2)[1:-1].round().astype(int))
    tiles = [tile for index in chosen for tile in _frame_tiles(predicted, truth, int(index))]
    files = [folder / "frames.png", folder / "overview.png"]
    caption = f"depth error: dark = 0, bright = at least {LARGEST_ERROR * 100:.0f} cm, grey = no depth to compare"
    save_png(contact_sheet(tiles, columns=len(tiles) // len(chosen), caption=caption), files[0])
    above = _overview_tiles(predicted, truth)
    save_png(contact_sheet(above, columns=2, caption="from above; back faces are culled"), files[1])
    return files


def _frame_tiles(predicted: Mesh, truth: dict[str, Any], index: int) -> list[Tile]:
    camera = truth["intrinsics"][index], truth["world_from_camera"][index]
    sensor, true = (torch.from_numpy(np.asarray(truth[key][index])) for key in ("depths", "true_depths"))
    drawn = _draw(predicted, *camera, *true.shape)
    both = (drawn.depth > 0) & (true > 0)
    tiles = [(f"frame {index}", torch.from_numpy(np.asarray(truth["images"][index])))]
    tiles.append(("sensor depth", depth_picture(sensor, *_range(true))))
    tiles.append(("predicted surface", drawn.image))
    if "mesh" in truth:
        tiles.append(("true surface", _draw(truth["mesh"], *camera, *true.shape).image))
    tiles.append(("predicted depth", depth_picture(drawn.depth, *_range(true))))
    tiles.append((_error_title(drawn.depth, true, both), error_picture((drawn.depth - true).abs(), both, LARGEST_ERROR)))
    return [(title, _resized(image)) for title, image in tiles]


def _overview_tiles(predicted: Mesh, truth: dict[str, Any]) -> list[Tile]:
    meshes = {"predicted": predicted, "true": truth["mesh"]} if "mesh" in truth else {"predicted": predicted}
    # Both are rendered with the same camera, placed by the truth if available, so that they can be compared.
    placed_by = next((mesh for mesh in reversed(meshes.values()) if not mesh.is_empty), None)
    if placed_by is None:
        return [("predicted: empty", torch.full((3, *OVERVIEW), 0.9))]
    height, width = OVERVIEW
    # Up is the mean up direction of the scan's cameras, so that a world that is not level is shown level.
    up = -np.asarray(truth["world_from_camera"])[:, :3, 1].mean(0)
    camera = overview(placed_by.vertices, placed_by.faces, width=width, height=height, up=tuple(up), elevation_degrees=50.0)
    return [(_mesh_title(name, mesh), _draw(mesh, *camera, height, width).image) for name, mesh in meshes.items()]


def _draw(mesh: Mesh, intrinsics: Any, pose: Any, height: int, width: int) -> MeshImages:
    return render_mesh(mesh.vertices, mesh.faces, intrinsics, pose, height, width, colors=mesh.colors, cull="back")


def _range(true: Tensor) -> tuple[float, float]:
    valid = true[true > 0]
    return (float(valid.min()), float(valid.max())) if len(valid) else (0.0, 1.0)


def _error_title(predicted: Tensor, true: Tensor, both: Tensor) -> str:
    if not both.any():
        return "depth error: no common pixels"
    return f"depth error, mean {float((predicted - true)[both].abs().mean()) * 100:.1f} cm"


def _mesh_title(name: str, mesh: Mesh) -> str:
    return f"{name}: {len(mesh.faces):,} triangles" if not mesh.is_empty else f"{name}: empty"


def _resized(image: Tensor) -> Tensor:
    return torch.nn.functional.avg_pool2d(image, 2) if image.shape[1] >= 2 * TILE else enlarged(image, TILE)
