"""Drawing for the pictures of the face suite: boxes, landmarks and surfaces on top of a photograph."""

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from deep3dmap.core import Mesh
from deep3dmap.ops.rasterize import interpolate, rasterize
from deep3dmap.render.mesh_renderer import render_in_image

Color = tuple[int, int, int]

# The polylines of the 68 iBUG landmarks: first index, last index, closed.
CURVES = (
    *((0, 16, False), (17, 21, False), (22, 26, False), (27, 30, False), (31, 35, False)),
    *((36, 41, True), (42, 47, True), (48, 59, True), (60, 67, True)),
)


def photograph(image: NDArray[Any], scale: int) -> Image.Image:
    """Return a (3, H, W) image in [0, 1] as a picture, enlarged `scale` times."""
    picture = _picture(image)
    return picture.resize((picture.width * scale, picture.height * scale), Image.Resampling.BICUBIC)


def fade(picture: Image.Image, share: float = 0.55) -> Image.Image:
    """Return the picture in grey, blended with a fraction `share` of white, as a background for drawing."""
    return Image.blend(picture.convert("L").convert("RGB"), Image.new("RGB", picture.size, "white"), share)


def draw_box(picture: Image.Image, box: NDArray[Any], scale: int, color: Color) -> None:
    """Draw a box (left, top, right, bottom) in image pixels."""
    ImageDraw.Draw(picture).rectangle([float(value) * scale for value in box], outline=color, width=max(2, scale))


def draw_landmarks(picture: Image.Image, landmarks: NDArray[Any], scale: int, color: Color) -> None:
    """Draw 68 landmarks, (68, 2 or more) in image pixels, and the curves connecting them."""
    draw, radius = ImageDraw.Draw(picture), max(1.5, picture.width / 250)
    points = [(float(x) * scale, float(y) * scale) for x, y in np.asarray(landmarks)[:, :2]]
    for first, last, closed in CURVES:
        curve = points[first : last + 1] + ([points[first]] if closed else [])
        draw.line(curve, fill=color, width=max(1, round(radius / 2)))
    for x, y in points:
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=color)


def draw_discs(picture: Image.Image, points: NDArray[Any], scale: int, colors: NDArray[Any]) -> None:
    """Draw points (N, 2 or more) in image pixels as discs with colours (N, 3) in [0, 1]."""
    draw, radius = ImageDraw.Draw(picture), picture.width / 80
    for (x, y), color in zip(np.asarray(points)[:, :2] * scale, _bytes(colors)):
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=tuple(color), outline=(90, 90, 90))


def draw_surface(picture: Image.Image, mesh: Mesh, scale: int, colors: NDArray[Any] | None = None) -> None:
    """Draw a mesh in image pixels over the picture, with unshaded vertex colours (V, 3), or shaded in grey without them."""
    vertices, faces = torch.from_numpy(mesh.vertices) * scale, torch.from_numpy(mesh.faces)
    seen = render_in_image(vertices, faces, picture.height, picture.width)
    image = seen.image if colors is None else _flat(vertices, faces, colors, picture)
    mask = Image.fromarray(np.uint8(255 * (seen.face_id >= 0).numpy()))
    picture.paste(_picture(image.numpy()), (0, 0), mask)


def _flat(vertices: Tensor, faces: Tensor, colors: NDArray[Any], picture: Image.Image) -> Tensor:
    # The rasteriser treats smaller depth as nearer, whereas larger z of a face is nearer.
    seen = rasterize(vertices * torch.tensor([1.0, 1.0, -1.0]), faces, picture.height, picture.width, perspective=False)
    return interpolate(seen, faces, torch.from_numpy(np.asarray(colors, np.float32)))


def colormap(values: NDArray[Any], low: float, high: float, name: str = "viridis") -> NDArray[np.float64]:
    """Map values (N,) to colours (N, 3); values are clipped to the range from `low` to `high`."""
    from matplotlib import colormaps

    spread = high - low if high > low else 1.0
    return np.asarray(colormaps[name](((np.asarray(values, np.float64) - low) / spread).clip(0, 1)))[:, :3]


def color_bar(picture: Image.Image, low: str, high: str, name: str = "viridis") -> None:
    """Draw a horizontal colour bar with labelled ends near the lower edge."""
    draw, width, height = ImageDraw.Draw(picture), picture.width, picture.height
    left, right, top, bottom = int(0.2 * width), int(0.8 * width), int(0.94 * height), int(0.965 * height)
    colors = _bytes(colormap(np.linspace(0, 1, right - left), 0, 1, name))
    for x, color in enumerate(colors):
        draw.line([left + x, top, left + x, bottom], fill=tuple(color))
    size = max(11, height // 32)
    for text, x, anchor in ((low, left - 4, "rm"), (high, right + 4, "lm")):
        draw.text((x, (top + bottom) / 2), text, (20, 20, 20), anchor=anchor, font_size=size)


def caption(picture: Image.Image, lines: list[tuple[str, Color]]) -> None:
    """Write lines of text into the upper left corner, each in its colour on a dark background."""
    draw, size = ImageDraw.Draw(picture), max(12, picture.height // 28)
    for row, (text, color) in enumerate(lines):
        at = (6, 4 + row * (size + 5))
        draw.rectangle(draw.textbbox(at, text, font_size=size), fill=(0, 0, 0))
        draw.text(at, text, color, font_size=size)


def _picture(image: NDArray[Any]) -> Image.Image:
    return Image.fromarray(np.ascontiguousarray(_bytes(np.asarray(image).transpose(1, 2, 0)).astype(np.uint8)))


def _bytes(colors: NDArray[Any]) -> NDArray[np.int64]:
    return np.round(np.asarray(colors) * 255).clip(0, 255).astype(np.int64)
