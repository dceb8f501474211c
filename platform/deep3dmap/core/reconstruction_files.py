"""Reading the files of a saved reconstruction; a damaged file is reported in one line."""

import json
import math
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import read_npz, reading
from deep3dmap.core.pinhole_camera import Camera, check_pose

ABOUT_FILE, ARRAYS_FILE, CAMERAS_FILE, MESH_FILE = "reconstruction.json", "arrays.npz", "transforms.json", "mesh.ply"
OWN_FILES = (ABOUT_FILE, ARRAYS_FILE, CAMERAS_FILE, MESH_FILE)
REMEDY = "reconstruct again"
GAUGES = ("metric", "scale", "similarity")
# Shapes of the parts that have a fixed number of dimensions; None = any length.
SHAPES: dict[str, tuple[int | None, ...]] = {
    "points": (None, 3),
    "depth": (None, None, None),
    "normals": (None, 3, None, None),
    "landmarks": (None, 3),
    "images": (None, 3, None, None),
    "samples": (None, 3, None, None),
    "texture": (3, None, None),
    "vertex_uv": (None, 2),
    "visible": (None,),
    "frontal": (3, None, None),
    "pointmaps": (None, None, None, 3),
    "confidence": (None, None, None),
}


def read_about(folder: Path) -> dict[str, Any]:
    """Return the content of reconstruction.json: frame, unit, gauge, parts, files and notes.

    Raises UserError if the file is missing or damaged.
    """
    file = folder / ABOUT_FILE
    if not file.is_file():
        raise UserError(f"{folder}: no {ABOUT_FILE}, so this is not a saved reconstruction")
    about = {"gauge": GAUGES[0], "files": [], **_json(file)}
    for name, kind in (("frame", str), ("unit", str), ("parts", list), ("files", list), ("notes", dict)):
        if not isinstance(about.get(name), kind):
            raise UserError(f"{file}: '{name}' is missing or not a {kind.__name__}; {REMEDY}")
    if not all(isinstance(part, str) for part in about["parts"]):
        raise UserError(f"{file}: 'parts' must be a list of names; {REMEDY}")
    if about["gauge"] not in GAUGES:
        raise UserError(f"{file}: 'gauge' must be one of {', '.join(GAUGES)}; {REMEDY}")
    return about


def read_files(folder: Path, names: Collection[Any]) -> dict[str, bytes]:
    """Return the content of additional files in the folder; raises UserError for one that is missing or outside of it."""
    contents = {}
    for name in names:
        file = folder / str(name)
        if Path(str(name)).name != name or not file.is_file() or file.is_symlink():
            raise UserError(f"{folder / ABOUT_FILE}: 'files' names '{name}', which is not a file in this folder; {REMEDY}")
        contents[str(name)] = file.read_bytes()
    return contents


def read_arrays(folder: Path, known: Collection[str]) -> dict[str, NDArray[Any]]:
    """Return the arrays in arrays.npz, empty if the file does not exist; raises UserError for unknown names or wrong shapes."""
    file = folder / ARRAYS_FILE
    if not file.is_file():
        return {}
    arrays = read_npz(file, "reconstruction")
    for name, array in arrays.items():
        if name not in known:
            raise UserError(f"{file}: '{name}' is not a part of a reconstruction; {REMEDY}")
        wanted = SHAPES.get(name, (None,) * array.ndim)
        if array.ndim != len(wanted) or any(want not in (None, have) for want, have in zip(wanted, array.shape)):
            raise UserError(f"{file}: {name} has the wrong shape {array.shape}; {REMEDY}")
        if array.dtype.kind not in "fiub":
            raise UserError(f"{file}: {name} holds {array.dtype} instead of numbers; {REMEDY}")
    return arrays


def check_parts(folder: Path, named: Collection[str], found: Collection[str]) -> None:
    """Raise UserError for a part that reconstruction.json names but no file contains."""
    for part in named:
        if part not in found:
            raise UserError(f"{folder / ABOUT_FILE}: 'parts' names '{part}', which no file in this folder contains; {REMEDY}")


def read_cameras(folder: Path) -> list[Camera]:
    """Return the cameras in transforms.json; raises UserError naming the first invalid frame."""
    file = folder / CAMERAS_FILE
    frames = _json(file).get("frames")
    if not isinstance(frames, list):
        raise UserError(f"{file}: no list 'frames' in this file; {REMEDY}")
    return [_camera(f"{file}: frame {number}", frame) for number, frame in enumerate(frames)]


def _camera(where: str, frame: Any) -> Camera:
    try:
        intrinsics = np.array(frame["intrinsics"], np.float64)
        pose = np.array(frame["transform_matrix"], np.float64)
        width, height = frame["w"], frame["h"]
    except (KeyError, TypeError, ValueError) as error:
        raise UserError(f"{where}: needs intrinsics, transform_matrix, w and h ({error}); {REMEDY}") from error
    if intrinsics.shape != (3, 3) or not np.isfinite(intrinsics).all():
        raise UserError(f"{where}: intrinsics must be a finite 3x3 matrix; {REMEDY}")
    if not all(isinstance(side, int) and 0 < side < 1 << 16 for side in (width, height)):
        raise UserError(f"{where}: w and h must be whole pixels, got {width!r} and {height!r}; {REMEDY}")
    return Camera(intrinsics, check_pose(pose, where), width, height)


def _json(file: Path) -> dict[str, Any]:
    with reading(file, "JSON file", REMEDY):
        found = json.loads(file.read_text(), parse_constant=_finite, parse_float=_finite)
        if not isinstance(found, dict):
            raise UserError(f"{file}: expected an object, got a {type(found).__name__}; {REMEDY}")
    return found


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text} is not finite")
    return value
