"""Positions of whole scenes from a file, for data whose objects do not stand independently of one another."""

import pickle
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core.errors import UserError

OFFICIAL_FACTOR = 0.23788  # scene units per unit of CLEVR's coordinates, in the official configurations


def read_positions(file: Path, objects: int, factor: float = OFFICIAL_FACTOR) -> Tensor:
    """Read translations (N, objects, 3) of the boxes of N scenes from an array `coordinates` in a .npz file.

    factor: scene units per unit of the file. Raises UserError that names the file and what is wrong.
    """
    try:
        with np.load(file, allow_pickle=False) as arrays:
            coordinates = np.asarray(arrays["coordinates"], np.float32)
    except FileNotFoundError as error:
        raise UserError(f"{file}: no such file; method.positions names a .npz file with an array 'coordinates'") from error
    except (KeyError, ValueError, OSError, BadZipFile, pickle.UnpicklingError) as error:
        raise UserError(f"{file}: no array 'coordinates' can be read from it ({error})") from error
    if coordinates.ndim != 3 or coordinates.shape[1:] != (objects, 3) or not np.isfinite(coordinates).all():
        raise UserError(f"{file}: 'coordinates' must be finite numbers (N, {objects}, 3), got {coordinates.shape}")
    return torch.from_numpy(coordinates * np.float32(factor))
