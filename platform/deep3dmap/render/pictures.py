"""Pictures for people: colour maps, overlays and contact sheets."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

EMPTY = 0.18
TITLE_HEIGHT = 26
GAP = 8


def depth_picture(depth: Tensor, low: float | None = None, high: float | None = None) -> Tensor:
    """Colour a depth map (H, W) from near (bright) to far; 0 is dark grey. low, high: metres, default the map's own range."""
    valid = torch.isfinite(depth) & (depth > 0)
    if not valid.any():
        return torch.full((3, *depth.shape), EMPTY)
    low = float(depth[valid].min()) if low is None else low
    high = float(depth[valid].max()) if high is None else high
    return _mapped(1 - (depth - low) / max(high - low, 1e-9), valid, "viridis")


def error_picture(error: Tensor, valid: Tensor, largest: float) -> Tensor:
    """Colour an error map (H, W), from 0 (dark) to `largest` and above (bright); pixels that are not valid are dark grey."""
    return _mapped(error / largest, valid, "inferno")


def _mapped(values: Tensor, valid: Tensor, name: str) -> Tensor:
    from matplotlib import colormaps

    colors = torch.from_numpy(colormaps[name](values.nan_to_num().clamp(0, 1).numpy())[..., :3].copy()).float().permute(2, 0, 1)
    return torch.where(valid, colors, torch.tensor(EMPTY))


def to_pil(image: Tensor) -> Any:
    """Turn (3, H, W) in [0, 1] into a PIL image."""
    from PIL import Image

    return Image.fromarray((image.detach().clamp(0, 1) * 255).round().byte().permute(1, 2, 0).numpy())


def from_pil(picture: Any) -> Tensor:
    """Turn a PIL image into (3, H, W) in [0, 1]."""
    return torch.from_numpy(np.asarray(picture.convert("RGB")).copy()).permute(2, 0, 1).float() / 255


def draw_points(image: Tensor, points: Tensor, color: tuple[int, int, int], radius: float = 2.0) -> Tensor:
    """Draw points (N, 2) in pixels, centres at +0.5, as filled circles."""
    from PIL import ImageDraw

    picture = to_pil(image)
    pen = ImageDraw.Draw(picture)
    for x, y in (points[:, :2] - 0.5).tolist():
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=color)
    return from_pil(picture)


def contact_sheet(tiles: Sequence[tuple[str, Tensor]], columns: int, caption: str = "") -> Any:
    """Lay titled images (3, H, W) out in a grid, all scaled to the first one's height; returns a PIL image."""
    from PIL import Image, ImageDraw, ImageFont

    font, small = ImageFont.load_default(size=16), ImageFont.load_default(size=14)
    height = tiles[0][1].shape[1]
    pictures = [(title, _scaled(to_pil(image), height)) for title, image in tiles]
    rows = [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
    widths = [max((row[i][1].width for row in rows if i < len(row)), default=0) for i in range(min(columns, len(pictures)))]
    head = TITLE_HEIGHT + GAP if caption else 0
    size = (sum(widths) + GAP * (len(widths) + 1), head + len(rows) * (height + TITLE_HEIGHT + GAP) + GAP)
    sheet = Image.new("RGB", size, "white")
    pen = ImageDraw.Draw(sheet)
    pen.text((GAP, GAP), caption, fill="black", font=font)
    for r, row in enumerate(rows):
        top = head + r * (height + TITLE_HEIGHT + GAP)
        for c, (title, picture) in enumerate(row):
            left = GAP + sum(widths[:c]) + GAP * c
            pen.text((left, top + 6), title, fill=(60, 60, 60), font=small)
            sheet.paste(picture, (left, top + TITLE_HEIGHT))
    return sheet


def _scaled(picture: Any, height: int) -> Any:
    if picture.height == height:
        return picture
    return picture.resize((max(1, round(picture.width * height / picture.height)), height))


def save_png(image: Tensor, file: Path) -> Path:
    """Write (3, H, W) in [0, 1] as PNG."""
    to_pil(image).save(file)
    return file
