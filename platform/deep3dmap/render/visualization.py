"""Visualisation: colour maps, overlays and contact sheets."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

Color = tuple[int, int, int]

# The polylines of the 68 iBUG landmarks: first, last, closed.
LANDMARK_CURVES = (
    *((0, 16, False), (17, 21, False), (22, 26, False), (27, 30, False), (31, 35, False)),
    *((36, 41, True), (42, 47, True), (48, 59, True), (60, 67, True)),
)
EMPTY = 0.18
# Colour map of errors on 3D surfaces, whose darkest colour must be visible on a dark background too.
ERROR_COLORS = "plasma"
TITLE_HEIGHT = 26
GAP = 8


def depth_picture(depth: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """Colour a depth map (H, W) from near (bright) to far; 0 is dark grey. low, high: metres, by default the map's range."""
    valid = torch.isfinite(depth) & (depth > 0)
    if not valid.any():
        return torch.full((3, *depth.shape), EMPTY)
    low = float(depth[valid].min()) if low is None else low
    high = float(depth[valid].max()) if high is None else high
    return _apply_colormap(1 - (depth - low) / max(high - low, 1e-9), valid, "viridis")


def error_picture(error: Tensor, valid: Tensor, largest: float) -> Tensor:
    """Colour an error map (H, W) from 0 (dark) to `largest` and above (bright); invalid pixels are dark grey."""
    return _apply_colormap(error / largest, valid, "inferno")


def _apply_colormap(values: Tensor, valid: Tensor, name: str) -> Tensor:
    from matplotlib import colormaps

    colors = torch.from_numpy(colormaps[name](values.nan_to_num().clamp(0, 1).numpy())[..., :3].copy()).float().permute(2, 0, 1)
    return torch.where(valid, colors, torch.tensor(EMPTY))


def enlargement(size: int, least: int) -> int:
    """Return the smallest integer factor that enlarges `size` to at least `least` pixels."""
    return max(1, -(-least // size))


def enlarged(image: Tensor, least: int) -> Tensor:
    """Enlarge an image (..., H, W) by pixel repetition to a height of at least `least` pixels."""
    factor = enlargement(image.shape[-2], least)
    return image.repeat_interleave(factor, -2).repeat_interleave(factor, -1)


def to_pil(image: Tensor) -> Any:
    """Convert (3, H, W) in [0, 1] to a PIL image."""
    from PIL import Image

    return Image.fromarray((image.detach().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def from_pil(picture: Any) -> Tensor:
    """Convert a PIL image to (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.asarray(picture.convert("RGB")).copy()).permute(2, 0, 1).float() / 255


def draw_points(image: Tensor, points: Any, color: Color, radius: float = 2.0) -> Tensor:
    """Draw points (N, 2 or more) in pixels, centres at +0.5, as filled circles on a copy of the image (3, H, W)."""

    def draw(pen: Any) -> None:
        for x, y in _to_pil_coordinates(points):
            pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)

    return _draw_on_copy(image, draw)


def draw_box(image: Tensor, box: Any, color: Color, width: int = 2) -> Tensor:
    """Draw the outline of a box (left, top, right, bottom) in pixels on a copy of the image (3, H, W)."""
    corners = torch.as_tensor(box).reshape(2, 2)
    return _draw_on_copy(
        image,
        lambda pen: pen.rectangle([value for corner in _to_pil_coordinates(corners) for value in corner], None, color, width),
    )


def draw_landmarks_68(image: Tensor, landmarks: Any, color: Color, radius: float = 2.0) -> Tensor:
    """Draw the 68 iBUG landmarks (68, 2 or more) in pixels and their connecting curves on a copy of the image (3, H, W).

    Raises ValueError for another number of points.
    """
    places = _to_pil_coordinates(landmarks)
    if len(places) != 68:
        raise ValueError(f"expected 68 landmarks, got {len(places)}")

    def draw(pen: Any) -> None:
        for first, last, closed in LANDMARK_CURVES:
            pen.line(
                places[first : last + 1] + places[first : first + int(closed)], fill=color, width=max(1, round(radius / 2))
            )

    return draw_points(_draw_on_copy(image, draw), landmarks, color, radius)


def blend(image: Tensor, overlay: Tensor, mask: Tensor, share: float = 0.75) -> Tensor:
    """Blend the overlay (3, H, W) over the image (3, H, W) with opacity `share` where the mask (H, W) is true."""
    return torch.where(mask, (1 - share) * image + share * overlay, image)


def _to_pil_coordinates(points: Any) -> list[tuple[float, float]]:
    # PIL has the origin at the centre of the first pixel.
    return [(x, y) for x, y in (torch.as_tensor(points)[:, :2].double() - 0.5).tolist()]


def _draw_on_copy(image: Tensor, draw: Callable[[Any], None]) -> Tensor:
    from PIL import ImageDraw

    picture = to_pil(image)
    draw(ImageDraw.Draw(picture))
    return from_pil(picture)


def contact_sheet(tiles: Sequence[tuple[str, Tensor]], columns: int, caption: str = "") -> Any:
    """Arrange titled images (3, H, W) in a grid, all scaled to the height of the first; returns a PIL image.

    Columns are as wide as their widest image or title. Raises ValueError if there are no tiles or columns.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not tiles or columns < 1:
        raise ValueError(f"a contact sheet needs tiles and columns, got {len(tiles)} and {columns}")
    font, small = ImageFont.load_default(size=16), ImageFont.load_default(size=14)
    height = tiles[0][1].shape[1]
    cells = [(title, _scale_to_height(to_pil(image), height)) for title, image in tiles]
    widths = [
        max(max(picture.width, math.ceil(small.getlength(title))) for title, picture in cells[column::columns])
        for column in range(min(columns, len(cells)))
    ]
    rows = math.ceil(len(cells) / columns)
    head = TITLE_HEIGHT + GAP if caption else 0
    across = max(sum(widths) + GAP * (len(widths) + 1), math.ceil(font.getlength(caption)) + 2 * GAP)
    sheet = Image.new("RGB", (across, head + rows * (height + TITLE_HEIGHT + GAP) + GAP), "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, GAP), caption, fill="black", font=font)
    for index, (title, picture) in enumerate(cells):
        row, column = divmod(index, columns)
        left, top = GAP + sum(widths[:column]) + GAP * column, head + row * (height + TITLE_HEIGHT + GAP)
        pen.text((left, top + 6), title, fill=(60, 60, 60), font=small)
        sheet.paste(picture, (left, top + TITLE_HEIGHT))
    return sheet


def _scale_to_height(picture: Any, height: int) -> Any:
    if picture.height == height:
        return picture
    return picture.resize((max(1, round(picture.width * height / picture.height)), height))


def save_png(picture: Any, file: Path) -> Path:
    """Write a PIL image, or (3, H, W) in [0, 1], as PNG.

    Uses zlib level 3, which takes half the time of the default for a quarter more bytes: encoding the images of a suite takes
    longer than rendering them.
    """
    (to_pil(picture) if isinstance(picture, Tensor) else picture).save(file, "PNG", compress_level=3)
    return file
