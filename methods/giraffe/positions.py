"""Object positions of complete scenes from a file, for data whose objects are not placed independently."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import read_npz

OFFICIAL_FACTOR = 0.23788  # scene units per unit of CLEVR's coordinates, in the official configurations


def read_positions(file: Path, objects: int) -> Tensor:
    """Read box translations (N, objects, 3) of N scenes, in scene units, from `coordinates` in a .npz file of CLEVR.

    Raises UserError naming the file and the problem.
    """
    coordinates = read_npz(file, "file of positions (method.positions)", ("coordinates",), skip_objects=True)["coordinates"]
    if (
        coordinates.ndim != 3
        or coordinates.shape[1:] != (objects, 3)
        or not len(coordinates)
        or coordinates.dtype.kind not in "fiu"
    ):
        shape = f"{coordinates.dtype} {coordinates.shape}"
        raise UserError(f"{file}: 'coordinates' must be numbers (N, {objects}, 3) of at least one scene, got {shape}")
    return torch.from_numpy(coordinates.astype(np.float32) * np.float32(OFFICIAL_FACTOR))
