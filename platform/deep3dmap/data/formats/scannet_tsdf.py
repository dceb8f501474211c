"""Prepared TSDFs and fragments of scans in the layout of NeuralRecon's tools, one folder per scan.

full_tsdf_layer0.npz (finest), 1, 2: `arr_0`, (X, Y, Z) in units of the truncation distance
tsdf_info.pkl: {vol_origin (3,), voxel_size}, metres
fragments.pkl: list of {scene, fragment_id, image_ids, vol_origin, voxel_size}; for phone captures, the last two are replaced by
extrinsics (V, 4, 4), camera-to-world, and intrinsics (V, 3, 3), integer pixel centres
"""

import io
import pickle
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import read_npz, reading
from deep3dmap.core.pinhole_camera import check_pose
from deep3dmap.geometry.scene_tsdf import LEVELS, SceneTSDF

_ALLOWED = {("numpy", "ndarray"), ("numpy", "dtype")} | {
    (f"numpy.{core}.{module}", name)
    for core in ("core", "_core")  # NumPy 1 and NumPy 2
    for module, name in (("multiarray", "_reconstruct"), ("multiarray", "scalar"), ("numeric", "_frombuffer"))
}


@dataclass(frozen=True)
class Fragment:
    """A set of views of a scan that are reconstructed together.

    image_ids: V frame numbers. vol_origin: (3,) world position in metres and voxel_size, metres, of the scan's TSDF; None if
    there is none. extrinsics: (V, 4, 4) camera-to-world and intrinsics: (V, 3, 3), pixel centres at +0.5; None if they are
    stored in the scan's own files.
    """

    scene: str
    fragment_id: int
    image_ids: list[int]
    vol_origin: NDArray[np.float64] | None = None
    voxel_size: float | None = None
    extrinsics: NDArray[np.float64] | None = None
    intrinsics: NDArray[np.float64] | None = None


class PreparedLevels(Sequence[Tensor]):
    """The TSDF levels of a scan, from fine to coarse, loaded together on first access."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __len__(self) -> int:
        return LEVELS

    @overload
    def __getitem__(self, index: int) -> Tensor: ...
    @overload
    def __getitem__(self, index: slice) -> list[Tensor]: ...
    def __getitem__(self, index: int | slice) -> Tensor | list[Tensor]:
        """Return level `index`; raises UserError naming a damaged file."""
        return self._levels[index]

    @cached_property
    def _levels(self) -> list[Tensor]:
        return [_read_level(self._folder / f"full_tsdf_layer{level}.npz") for level in range(LEVELS)]


class _PlainUnpickler(pickle._Unpickler):
    """Unpickler for arrays and plain containers; anything else could execute code.

    It derives from the pure-Python unpickler, since the C one may allocate arbitrary memory for damaged sizes.
    """

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it contains a {module}.{name}")
        return super().find_class(module, name)


def is_prepared(folder: Path) -> bool:
    """Return whether the folder contains the prepared TSDF of a scan."""
    levels = (folder / f"full_tsdf_layer{level}.npz" for level in range(LEVELS))
    return (folder / "tsdf_info.pkl").is_file() and all(level.is_file() for level in levels)


def read_scene_tsdf(folder: Path) -> SceneTSDF:
    """Open the prepared TSDF of a scan, with lazily loaded arrays. Raises UserError naming a damaged file."""
    file = folder / "tsdf_info.pkl"
    info = read_plain_pickle(file)
    try:
        origin, voxel_size = np.array(info["vol_origin"], np.float64).reshape(3), float(info["voxel_size"])
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise UserError(f"{file}: expected vol_origin (3,) and voxel_size ({error!r})") from error
    if not np.isfinite(origin).all() or not 0 < voxel_size < np.inf:
        raise UserError(f"{file}: vol_origin {origin.tolist()} and voxel_size {voxel_size} are not metres; prepare it again")
    return SceneTSDF(PreparedLevels(folder), torch.from_numpy(origin), voxel_size)


def write_scene_tsdf(folder: Path, scene: SceneTSDF) -> None:
    """Write the TSDF of a scan into `folder`."""
    for level, tsdf in enumerate(scene.tsdf):
        np.savez_compressed(folder / f"full_tsdf_layer{level}.npz", tsdf.numpy())
    info = {"vol_origin": scene.origin.numpy(), "voxel_size": scene.voxel_size}
    (folder / "tsdf_info.pkl").write_bytes(pickle.dumps(info, protocol=4))


def read_fragments(file: Path) -> list[Fragment]:
    """Read fragments.pkl of a scan or of a whole split; raises UserError naming the file and the invalid fragment."""
    found = read_plain_pickle(file)
    if not isinstance(found, list) or not found:
        raise UserError(f"{file}: expected a list of fragments, got {type(found).__name__}")
    return [_fragment(f"{file}, fragment {number}", row) for number, row in enumerate(found)]


def read_plain_pickle(file: Path) -> Any:
    """Read a pickle of arrays and plain containers; raises UserError for anything else, without executing it."""
    with reading(file, "pickle of plain arrays"):
        return _PlainUnpickler(io.BytesIO(file.read_bytes())).load()


def _read_level(file: Path) -> Tensor:
    arrays = read_npz(file, "prepared scan", ("arr_0",), remedy=f"remove {file.parent} and prepare it again")
    level = np.asarray(arrays["arr_0"], np.float32)
    if level.ndim != 3:
        raise UserError(f"{file}: expected (X, Y, Z) distances, got {level.shape}; remove {file.parent} and prepare it again")
    return torch.from_numpy(level)


def _fragment(where: str, row: Any) -> Fragment:
    try:
        ids = [int(number) for number in row["image_ids"]]
        origin, voxel_size = row.get("vol_origin"), row.get("voxel_size")
        return Fragment(
            str(row["scene"]),
            int(row["fragment_id"]),
            ids,
            None if origin is None else _finite("vol_origin", origin, (3,)),
            None if voxel_size is None else float(_finite("voxel_size", voxel_size, ())),
            _poses(where, row.get("extrinsics"), len(ids)),
            _all_intrinsics(row.get("intrinsics"), len(ids)),
        )
    except (KeyError, AttributeError, TypeError, ValueError) as error:
        raise UserError(
            f"{where}: expected scene, fragment_id, image_ids and arrays with a row for each ({error!r})"
        ) from error


def _poses(where: str, found: Any, count: int) -> NDArray[np.float64] | None:
    if found is None:
        return None
    return np.stack([check_pose(pose, where) for pose in np.array(found, np.float64).reshape(count, 4, 4)])


def _all_intrinsics(found: Any, count: int) -> NDArray[np.float64] | None:
    if found is None:
        return None
    intrinsics = _finite("intrinsics", found, (count, 3, 3))
    intrinsics[:, :2, 2] += 0.5
    return intrinsics


def _finite(name: str, values: Any, shape: tuple[int, ...]) -> NDArray[np.float64]:
    array = np.array(values, np.float64).reshape(shape)
    if not np.isfinite(array).all():
        raise ValueError(f"{name} contains NaN or infinity")
    return array
