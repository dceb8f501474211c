"""Pictures of a result of the outdoor suite: depth in held-out views next to the true depth."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.render.visualization import contact_sheet, depth_picture, enlarged, error_picture, save_png

SHOWN = 3
SIDE = 180
NEAREST, FARTHEST = 5.0, 100.0  # metres, range of the depth colours
WORST = 0.3  # relative error at the upper end of the error map

Tile = tuple[str, Tensor]


def write(depths: Sequence[Tensor], images: Any, truth: dict[str, Any], file: Path) -> Path:
    """Write one picture of some views: photograph, rendering if available, depth, true depth and relative error."""
    file.parent.mkdir(parents=True, exist_ok=True)
    chosen = sorted({index * len(depths) // SHOWN for index in range(SHOWN)})
    rows = [_row(depths[index], None if images is None else images[index], truth, index) for index in chosen]
    caption = f"depth: {NEAREST:g} m (bright) to {FARTHEST:g} m, grey = none or sky; error: dark = 0, bright = {WORST:.0%}"
    return save_png(contact_sheet([tile for row in rows for tile in row], columns=len(rows[0]), caption=caption), file)


def _row(depth: Tensor, image: Any, truth: dict[str, Any], index: int) -> list[Tile]:
    photo, true = (torch.from_numpy(np.asarray(truth[key][index], np.float32)) for key in ("test_images", "test_true_depths"))
    tiles = [(f"view {index}", photo)]
    if image is not None:
        tiles.append(("rendered", torch.from_numpy(np.asarray(image, np.float32)).clamp(0, 1)))
    both = (true > 0) & (depth > 0)
    error = (depth - true).abs() / true.clamp(min=1e-6)
    tiles += [("depth", _nearness(depth)), ("true depth", _nearness(true)), ("error", error_picture(error, both, WORST))]
    return [(title, enlarged(tile, SIDE)) for title, tile in tiles]


def _nearness(depth: Tensor) -> Tensor:
    # Linear in 1 / depth, since nearby depths would be indistinguishable otherwise.
    inverse = torch.where(depth > 0, 1 / depth.clamp(min=NEAREST, max=FARTHEST), 0.0)
    return depth_picture(torch.where(depth > 0, 1 / NEAREST + 1 / FARTHEST - inverse, 0.0), 1 / FARTHEST, 1 / NEAREST)
