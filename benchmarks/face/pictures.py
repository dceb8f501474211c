"""Pictures of one face: the input, the prediction, the truth, and their differences."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from deep3dmap.benchmarks.face import drawing
from deep3dmap.core import Mesh, Reconstruction
from deep3dmap.geometry.position_maps import sample
from deep3dmap.metrics.face import box_size
from deep3dmap.render.visualization import save_png

SIDE = 480
GIVEN, PREDICTED, TRUE = (255, 210, 60), (255, 70, 70), (60, 230, 110)
WORST = 10.0  # percent; upper end of the error map


def write(reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
    """Write one PNG per panel and a contact sheet into `folder`; returns their paths, the sheet first."""
    folder.mkdir(parents=True, exist_ok=True)
    panels = _panels(reconstruction, truth)
    files = []
    for name, picture in panels.items():
        files.append(save_png(picture, folder / f"{name}.png"))
    return [save_png(contact_sheet(list(panels.values())), folder / "sheet.png"), *files]


def contact_sheet(panels: list[Image.Image], columns: int = 3, gap: int = 8) -> Image.Image:
    """Arrange panels of the same size in rows on a dark background."""
    width, height = panels[0].width + gap, panels[0].height + gap
    rows = -(-len(panels) // columns)
    sheet = Image.new("RGB", (gap + min(columns, len(panels)) * width, gap + rows * height), (24, 24, 24))
    for index, panel in enumerate(panels):
        row, column = divmod(index, columns)
        sheet.paste(panel, (gap + column * width, gap + row * height))
    return sheet


def _panels(reconstruction: Reconstruction, truth: dict[str, Any]) -> dict[str, Image.Image]:
    scale = max(1, round(SIDE / truth["image"].shape[-1]))
    photo = drawing.photograph(truth["image"], scale)
    panels = {"landmarks": _landmarks(reconstruction, truth, photo.copy(), scale)}
    surface = true_surface(truth)
    depths = [m.vertices[:, 2] - m.vertices[:, 2].mean() for m in (reconstruction.mesh, surface) if m is not None]
    spread = max((float(np.abs(np.percentile(depth, (2, 98))).max()) for depth in depths), default=1.0)
    if reconstruction.mesh is not None:
        panels["surface"] = _shaded(reconstruction.mesh, photo.copy(), scale)
        panels["depth_predicted"] = _depth(reconstruction.mesh, photo, scale, spread, "predicted depth", PREDICTED)
    if surface is not None:
        panels["surface_true"] = _shaded(surface, photo.copy(), scale, "true surface", TRUE)
        panels["depth_true"] = _depth(surface, photo, scale, spread, "true depth", TRUE)
    if reconstruction.landmarks is not None or (surface is not None and reconstruction.position_map is not None):
        panels["error"] = _errors(reconstruction, truth, surface, photo, scale)
    order = ("landmarks", "surface", "surface_true", "error", "depth_predicted", "depth_true")
    return {name: panels[name] for name in order if name in panels}


def _landmarks(reconstruction: Reconstruction, truth: dict[str, Any], photo: Image.Image, scale: int) -> Image.Image:
    drawing.draw_box(photo, truth["box"], scale, GIVEN)
    drawing.draw_landmarks(photo, truth["landmarks_68"], scale, TRUE)
    lines = [("box given", GIVEN), ("true landmarks", TRUE)]
    if reconstruction.landmarks is not None:
        drawing.draw_landmarks(photo, reconstruction.landmarks, scale, PREDICTED)
        lines.append(("predicted landmarks", PREDICTED))
    drawing.caption(photo, lines)
    return photo


def _shaded(
    mesh: Mesh, photo: Image.Image, scale: int, title: str = "predicted surface", color: drawing.Color = PREDICTED
) -> Image.Image:
    drawing.draw_surface(photo, mesh, scale)
    drawing.caption(photo, [(title, color)])
    return photo


def _depth(mesh: Mesh, photo: Image.Image, scale: int, spread: float, title: str, color: drawing.Color) -> Image.Image:
    ground = drawing.fade(photo)
    depth = mesh.vertices[:, 2] - mesh.vertices[:, 2].mean()
    drawing.draw_surface(ground, mesh, scale, drawing.colormap(depth, -spread, spread))
    drawing.color_bar(ground, f"{spread:.0f} px behind", "in front")
    drawing.caption(ground, [(title, color)])
    return ground


def _errors(
    reconstruction: Reconstruction, truth: dict[str, Any], surface: Mesh | None, photo: Image.Image, scale: int
) -> Image.Image:
    ground, title = drawing.fade(photo), "error of the landmarks"
    size = float(box_size(torch.from_numpy(np.asarray(truth["landmarks_68"], np.float64))))
    if surface is not None and reconstruction.position_map is not None:
        error = _share(sample(reconstruction.position_map, truth["dense_uv"]), surface.vertices, size)
        drawing.draw_surface(ground, surface, scale, drawing.colormap(error, 0, WORST, "inferno"))
        title = "error of all points"
    elif reconstruction.landmarks is not None:
        error = _share(reconstruction.landmarks, np.asarray(truth["landmarks_68"]), size)
        drawing.draw_discs(ground, truth["landmarks_68"], scale, drawing.colormap(error, 0, WORST, "inferno"))
    drawing.color_bar(ground, "0 %", f"{WORST:.0f} %", "inferno")
    drawing.caption(ground, [(f"{title}, mean {error.mean():.2f} % of the box", (255, 255, 255))])
    return ground


def _share(predicted: NDArray[Any], truth: NDArray[Any], size: float) -> NDArray[np.float64]:
    return 100 * np.linalg.norm(predicted[:, :2] - truth[:, :2], axis=1) / size


def true_surface(truth: dict[str, Any]) -> Mesh | None:
    """Triangulate the dense ground truth over its atlas coordinates; None if the sample has none."""
    if "dense_points" not in truth or "dense_uv" not in truth:
        return None
    from scipy.spatial import Delaunay

    uv = np.asarray(truth["dense_uv"], np.float64)
    faces = Delaunay(uv).simplices.astype(np.int64)
    first, second, third = uv[faces].transpose(1, 0, 2)
    edges = np.stack([np.linalg.norm(a - b, axis=1) for a, b in ((first, second), (second, third), (third, first))])
    # Long edges bridge concavities of the outline and are not part of the surface.
    faces = faces[edges.max(0) < 4 * np.median(edges)]
    (ax, ay), (bx, by) = (uv[faces[:, k]].T - uv[faces[:, 0]].T for k in (1, 2))
    area = ax * by - ay * bx
    # v points up and image rows go down, so faces counter-clockwise in the atlas point inwards in the image.
    faces[area > 0] = faces[area > 0][:, ::-1]
    return Mesh(np.asarray(truth["dense_points"], np.float32), faces)
