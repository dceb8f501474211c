"""Reads Wavefront OBJ files without splitting, merging or reordering vertices and texture coordinates."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import reading


@dataclass(frozen=True)
class ObjMesh:
    """vertices: (V, 3). faces: (F, 3). uv: (Vt, 2), v up, and faces_uv: (F, 3) into it, or both None."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]
    uv: NDArray[np.float64] | None
    faces_uv: NDArray[np.int64] | None


def read_obj(file: Path) -> ObjMesh:
    """Read the v, vt and f lines of an OBJ file; polygons are split into fans. Raises UserError naming an invalid line."""
    points: list[list[float]] = []
    coordinates: list[list[float]] = []
    corners: list[list[tuple[int, int]]] = []
    with reading(file, "OBJ"):
        lines = file.read_text(errors="replace").splitlines()
    for number, line in enumerate(lines, 1):
        word, *values = line.split("#")[0].split() or [""]
        try:
            if word == "v":
                points.append(_numbers(values, 3))
            elif word == "vt":
                coordinates.append(_numbers(values, 2))
            elif word == "f":
                corners += _fan([_corner(value, len(points), len(coordinates)) for value in values])
        except (ValueError, IndexError) as error:
            raise UserError(f"{file}: line {number} is not valid OBJ: '{line.strip()[:60]}'") from error
    if not corners:
        raise UserError(f"{file}: an empty mesh without faces")
    with reading(file, "OBJ"):
        both = np.array(corners, np.int64)
    if both[..., 0].max() >= len(points) or both[..., 0].min() < 0 or both[..., 1].max() >= len(coordinates):
        raise UserError(f"{file}: a face refers to a vertex or texture coordinate that is not in the file")
    textured = bool((both[..., 1] >= 0).all())
    uv = np.array(coordinates, np.float64).reshape(-1, 2) if textured else None
    with reading(file, "OBJ"):
        mesh = ObjMesh(np.array(points, np.float64).reshape(-1, 3), both[..., 0], uv, both[..., 1] if textured else None)
    _check_finite(file, mesh.vertices, "vertices", "vertex")
    if mesh.uv is not None:
        _check_finite(file, mesh.uv, "texture coordinates", "number")
    return mesh


def _check_finite(file: Path, rows: NDArray[np.float64], what: str, one: str) -> None:
    bad = np.flatnonzero(~np.isfinite(rows).all(1))
    if len(bad):
        raise UserError(f"{file}: {len(bad)} {what} are not finite numbers, the first is {one} {bad[0]} (zero-based)")


def _numbers(words: list[str], count: int) -> list[float]:
    if len(words) < count:
        raise ValueError(f"at least {count} numbers")
    return [float(word) for word in words[:count]]


def _corner(word: str, points: int, coordinates: int) -> tuple[int, int]:
    # Ids are 1-based; negative ones count back from the last line read. Returns -1 for no texture coordinate.
    point, texture = [*word.split("/"), ""][:2]
    return _id(int(point), points), _id(int(texture), coordinates) if texture else -1


def _id(number: int, count: int) -> int:
    if number == 0 or number < -count:
        raise ValueError(f"id {number}")
    return number - 1 if number > 0 else count + number


def _fan(polygon: list[tuple[int, int]]) -> list[list[tuple[int, int]]]:
    if len(polygon) < 3:
        raise ValueError("a face has at least three corners")
    return [[polygon[0], polygon[k], polygon[k + 1]] for k in range(1, len(polygon) - 1)]
