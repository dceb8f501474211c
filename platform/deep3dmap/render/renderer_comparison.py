"""Compares several renderers on one surface: run time, agreement, and an image of their outputs side by side."""

import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from deep3dmap.geometry.cameras import invert, look_at
from deep3dmap.render.renderer import Lights, Projection, Renderer, Rendering, Surface, View
from deep3dmap.render.visualization import GAP, contact_sheet, depth_picture

# Number of timed runs, and the total time in seconds after which a slow renderer gets no more runs.
RUNS, MAX_SECONDS = 3, 4.0


@dataclass(frozen=True)
class Drawing:
    """The output of a renderer and its median run time in seconds."""

    renderer: Renderer
    rendering: Rendering
    seconds: float


@dataclass(frozen=True)
class Agreement:
    """Agreement of two renderings of a view. iou: of silhouettes above 0.5. depth: median difference where both are covered."""

    iou: float
    depth: float


def view_of(
    vertices: Tensor, size: int, azimuth: float, elevation: float, up: str = "y", projection: Projection = "perspective"
) -> View:
    """Return a square view of all vertices (V, 3) from `azimuth` and `elevation` in degrees.

    up: "y" or "z". Azimuth 0 views the mesh from +z if y is up, and from -y if z is up; azimuth 90 views it from +x. Raises
    ValueError for another `up` or projection.
    """
    if up not in ("y", "z") or projection not in ("perspective", "orthographic"):
        raise ValueError(f"up must be y or z and the projection perspective or orthographic, got {up} and {projection}")
    a, e = torch.deg2rad(torch.tensor([azimuth, elevation], dtype=torch.float64))
    right, front, above = a.sin() * e.cos(), a.cos() * e.cos(), e.sin()
    towards = torch.stack([right, above, front] if up == "y" else [right, -front, above])
    axis = torch.tensor([0.0, 1, 0] if up == "y" else [0.0, 0, 1], dtype=torch.float64)
    if abs(elevation) > 89.9:
        axis = torch.tensor([0.0, 0, -1] if up == "y" else [0.0, 1, 0], dtype=torch.float64)
    points = vertices.detach().double()
    low, high = points.amin(0), points.amax(0)
    pose = look_at(towards, torch.zeros(3), axis)
    x, y, z = ((points - (low + high) / 2) @ pose[:3, :3]).unbind(1)
    focal = 2.0 * size
    spread = torch.maximum(x.abs(), y.abs()).clamp(min=1e-9)
    distance = 1.06 * float((spread * focal / (size / 2) - z).amax())
    pose[:3, 3] = (low + high) / 2 + distance * towards
    if projection == "orthographic":
        focal = size / 2 / 1.06 / float(spread.amax())
    intrinsics = torch.tensor([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1]])
    return View(intrinsics, invert(pose).float(), size, size, projection, near=1e-3 * distance)


def light_from_upper_left(view: View) -> Lights:
    """Return ambient light and a distant light from above and to the left of the camera."""
    towards = view.camera_from_world[:3, :3].T @ view.camera_from_world.new_tensor([-0.5, -0.7, -1.0])
    x, y, z = (float(value) for value in towards)
    return Lights(ambient=(0.45,) * 3, directional=(0.6,) * 3, direction=(x, y, z))


@torch.no_grad()
def draw(renderer: Renderer, surface: Surface, view: View, lights: Lights) -> Drawing:
    """Render a surface a few times, after a warm-up run, and measure the time."""
    seconds: list[float] = []
    rendering = renderer.render(surface, view, lights)
    while len(seconds) < RUNS and sum(seconds) < MAX_SECONDS:
        start = time.perf_counter()
        rendering = renderer.render(surface, view, lights)
        seconds.append(time.perf_counter() - start)
    return Drawing(renderer, rendering, statistics.median(seconds))


def agreement(one: Rendering, other: Rendering) -> Agreement:
    """Compare two renderings of one view; depth is NaN if they share no covered pixel."""
    first, second = one.silhouette > 0.5, other.silhouette > 0.5
    either, both = int((first | second).sum()), first & second & (one.depth != 0) & (other.depth != 0)
    difference = (one.depth - other.depth)[both].abs()
    return Agreement(
        int((first & second).sum()) / either if either else 1.0, float(difference.median()) if len(difference) else torch.nan
    )


def comparison_picture(drawings: Sequence[Drawing], absent: Mapping[str, str], caption: str) -> Any:
    """Return a PIL image: a column per renderer, rows of colour, depth, normals and silhouette, and notes on absent ones."""
    depths = [drawing.rendering.depth[drawing.rendering.silhouette > 0.5] for drawing in drawings]
    seen = torch.cat([*depths, torch.zeros(0)])
    low, high = (float(seen.min()), float(seen.max())) if len(seen) else (0.0, 1.0)
    rows: list[list[tuple[str, Tensor]]] = [[], [], [], []]
    for drawing in drawings:
        rendering, name = drawing.rendering, drawing.renderer.name
        covered = rendering.silhouette > 0.5
        rows[0].append((f"{name}  {_duration(drawing.seconds)}", rendering.image))
        rows[1].append(("depth", torch.where(covered, _depth_colors(rendering.depth, covered, low, high), 1.0)))
        rows[2].append(("normals", _normal_colors(rendering.normals, covered)))
        rows[3].append(("silhouette", rendering.silhouette.expand(3, -1, -1)))
    sheet = contact_sheet([tile for row in rows for tile in row], len(drawings), caption)
    return _append_notes(sheet, [f"{name} is absent: {reason}" for name, reason in absent.items()])


def _depth_colors(depth: Tensor, covered: Tensor, low: float, high: float) -> Tensor:
    # Orthographic depths may have any sign, but `depth_picture` treats zero as empty.
    return depth_picture(torch.where(covered, depth - low + 1.0, 0.0), 1.0, 1.0 + high - low)


def _normal_colors(normals: Tensor, covered: Tensor) -> Tensor:
    """Colour normals in the usual convention: red right, green up, blue towards the viewer."""
    turned = normals * normals.new_tensor([1.0, -1.0, -1.0])[:, None, None]
    return torch.where(covered, turned / 2 + 0.5, 1.0)


def _duration(seconds: float) -> str:
    return (
        f"{seconds:.2g} s" if seconds >= 1 else f"{1000 * seconds:.2g} ms" if seconds < 0.0995 else f"{1000 * seconds:.0f} ms"
    )


def _append_notes(sheet: Any, notes: Sequence[str]) -> Any:
    """Append lines of text below an image, wrapped to its width."""
    from PIL import Image, ImageDraw, ImageFont

    font = ImageFont.load_default(size=13)
    lines: list[str] = []
    for note in notes:
        lines.append("")
        for word in note.split():
            longer = f"{lines[-1]} {word}".strip()
            if lines[-1] and font.getlength(longer) > sheet.width - 2 * GAP:
                lines.append(word)
            else:
                lines[-1] = longer
    if not lines:
        return sheet
    whole = Image.new("RGB", (sheet.width, sheet.height + 18 * len(lines) + GAP), "white")
    whole.paste(sheet, (0, 0))
    pen = ImageDraw.Draw(whole)
    for index, line in enumerate(lines):
        pen.text((GAP, sheet.height + 18 * index), line, fill=(90, 90, 90), font=font)
    return whole
