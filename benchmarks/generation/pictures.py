"""The picture of a generator: a sheet of its samples next to a sheet of photographs."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Reconstruction
from deep3dmap.render.visualization import contact_sheet, enlarged

COLUMNS, ROWS = 4, 4
TILE = 96


def write_sheet(reconstruction: Reconstruction, truth: dict[str, Any], folder: Path) -> list[Path]:
    """Write samples.png and return its path; nothing is written without samples."""
    if reconstruction.samples is None or not len(reconstruction.samples):
        return []
    folder.mkdir(parents=True, exist_ok=True)
    count = COLUMNS * ROWS
    samples = torch.from_numpy(np.asarray(reconstruction.samples[:count], np.float32))
    photographs = truth["images"]
    real = torch.from_numpy(np.stack([photographs[index] for index in range(min(count, len(photographs)))]))
    file = folder / "samples.png"
    contact_sheet([("samples", _mosaic(samples)), ("photographs", _mosaic(real))], columns=2).save(file)
    return [file]


def _mosaic(pictures: Tensor) -> Tensor:
    """Arrange (N, 3, H, W) in rows of four, enlarged by an integer factor."""
    large = enlarged(pictures, TILE)
    mosaic = torch.ones(ROWS * COLUMNS, *large.shape[1:])
    mosaic[: len(large)] = large
    rows = mosaic.unflatten(0, (ROWS, COLUMNS)).permute(2, 0, 3, 1, 4)
    return rows.flatten(1, 2).flatten(2, 3)
