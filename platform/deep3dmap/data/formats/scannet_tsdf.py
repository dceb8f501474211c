"""Prepared distances of scans, as NeuralRecon's tools lay them out beside ScanNet.

SCENE/full_tsdf_layer0.npz (finest), 1, 2: `arr_0`, (X, Y, Z) in truncations
SCENE/tsdf_info.pkl: {vol_origin (3,), voxel_size}, metres
"""

import io
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import torch

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.scene_tsdf import LEVELS, SceneTSDF

_ALLOWED = {
    ("numpy", "ndarray"),
    ("numpy", "dtype"),
    ("numpy.core.multiarray", "_reconstruct"),
    ("numpy._core.multiarray", "_reconstruct"),
    ("numpy.core.multiarray", "scalar"),
    ("numpy._core.multiarray", "scalar"),
}


class _PlainUnpickler(pickle.Unpickler):
    """Reads arrays and plain containers; anything else could run code."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it holds a {module}.{name}")
        return super().find_class(module, name)


def is_prepared(folder: Path) -> bool:
    """Whether the folder holds the distances of one scan."""
    return (folder / "tsdf_info.pkl").is_file() and (folder / f"full_tsdf_layer{LEVELS - 1}.npz").is_file()


def read_scene_tsdf(folder: Path) -> SceneTSDF:
    """Read the prepared distances of a scan; raises UserError that names a damaged file."""
    info = read_plain_pickle(folder / "tsdf_info.pkl")
    try:
        origin, voxel_size = torch.as_tensor(np.array(info["vol_origin"], np.float64)), float(info["voxel_size"])
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{folder / 'tsdf_info.pkl'}: expected vol_origin (3,) and voxel_size ({error})") from error
    levels = []
    for level in range(LEVELS):
        file = folder / f"full_tsdf_layer{level}.npz"
        try:
            with np.load(file) as arrays:
                levels.append(torch.from_numpy(np.asarray(arrays["arr_0"], np.float32)))
        except (OSError, ValueError, KeyError) as error:
            raise UserError(f"{file}: damaged ({error}); remove {folder} and prepare it again") from error
    return SceneTSDF(levels, origin, voxel_size)


def write_scene_tsdf(folder: Path, scene: SceneTSDF) -> None:
    """Write the distances of a scan into `folder`."""
    for level, tsdf in enumerate(scene.tsdf):
        np.savez_compressed(folder / f"full_tsdf_layer{level}.npz", tsdf.numpy())
    info = {"vol_origin": scene.origin.numpy(), "voxel_size": scene.voxel_size}
    (folder / "tsdf_info.pkl").write_bytes(pickle.dumps(info, protocol=4))


def read_plain_pickle(file: Path) -> Any:
    """Read a pickle of arrays and plain containers; raises UserError for anything else, without running it."""
    try:
        return _PlainUnpickler(io.BytesIO(file.read_bytes())).load()
    except (OSError, pickle.UnpicklingError, EOFError, ValueError, ImportError, AttributeError, IndexError) as error:
        raise UserError(f"{file}: not a pickle of plain arrays ({error})") from error
