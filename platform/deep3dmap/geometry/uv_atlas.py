"""The UV atlas of a face: the mapping between texels of a position map and points of the surface.

A position map is a (3, S, S) image whose texel (row r, column c) stores the position of the surface point with the atlas
coordinates u = c / (S - 1), v = 1 - r / (S - 1); v points up, texels are points at integer coordinates. Layout, masks and
weights after Feng et al., "Joint 3D Face Reconstruction and Dense Alignment with Position Map Regression Network", ECCV 2018.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from deep3dmap.core.errors import UserError
from deep3dmap.core.files import check_finite, read_npy, read_npz, reading

LANDMARK_WEIGHT, FEATURE_WEIGHT, FACE_WEIGHT = 16 / 16, 4 / 16, 3 / 16
FIELDS = ("landmark_texels", "face_mask", "region_weight")
MAX_TEXELS = 1 << 26
CANONICAL = "canonical"
CANONICAL_FILE = "canonical_vertices.npy"
PRNET_FILES = ("uv_kpt_ind.txt", "face_ind.txt", "uv_weight_mask.png", "uv_face_mask.png")


@dataclass(frozen=True)
class UVAtlas:
    """The atlas of a face.

    landmark_texels: (68, 2) int64, row and column of the 68 iBUG landmarks. face_mask: (S, S) bool, texels on the face.
    region_weight: (S, S) float32, weight of a texel in a loss: landmarks 16, eyes, nose and mouth 4, the rest of the face 3,
    neck and outside 0, all divided by 16. canonical: (3, S, S) float32 position map of the mean face in a frontal view, in any
    unit (x right, y down, z towards the viewer), to which poses are relative, or None; only face texels are used. Raises
    ValueError for inconsistent arrays.
    """

    landmark_texels: NDArray[np.int64]
    face_mask: NDArray[np.bool_]
    region_weight: NDArray[np.float32]
    canonical: NDArray[np.float32] | None = None

    def __post_init__(self) -> None:
        object.__setattr__(self, "landmark_texels", np.ascontiguousarray(self.landmark_texels, np.int64))
        object.__setattr__(self, "face_mask", np.ascontiguousarray(self.face_mask, bool))
        object.__setattr__(self, "region_weight", np.ascontiguousarray(self.region_weight, np.float32))
        size = len(self.face_mask)
        if self.face_mask.shape != (size, size) or self.region_weight.shape != (size, size):
            raise ValueError(f"masks must be square and equal, got {self.face_mask.shape} and {self.region_weight.shape}")
        if self.landmark_texels.shape != (68, 2):
            raise ValueError(f"landmark_texels must be (68, 2), got {self.landmark_texels.shape}")
        if self.landmark_texels.min() < 0 or self.landmark_texels.max() >= size:
            raise ValueError(f"landmark_texels must lie in the {size}x{size} map")
        if not self.face_mask[tuple(self.landmark_texels.T)].all():
            raise ValueError("every landmark texel must lie inside the face mask")
        if self.canonical is not None:
            object.__setattr__(self, CANONICAL, np.ascontiguousarray(self.canonical, np.float32))
            self._check(self.canonical)

    @property
    def size(self) -> int:
        """Side S of the map in texels."""
        return len(self.face_mask)

    @cached_property
    def face_index(self) -> NDArray[np.int64]:
        """Flat row-major indices of the face texels, (N,), ascending."""
        return np.flatnonzero(self.face_mask)

    def triangles(self) -> NDArray[np.int64]:
        """Return triangles (T, 3) over the face texels, two per complete 2x2 block, counter-clockwise from outside.

        Vertex ids are indices into `flatnonzero(face_mask)`, the order of `points`.
        """
        mask, size = self.face_mask, self.size
        rows, columns = np.nonzero(mask[:-1, :-1] & mask[:-1, 1:] & mask[1:, :-1] & mask[1:, 1:])
        top_left = rows * size + columns
        top_right, bottom_left, bottom_right = top_left + 1, top_left + size, top_left + size + 1
        lower = np.stack([top_left, bottom_left, bottom_right], 1)
        upper = np.stack([top_left, bottom_right, top_right], 1)
        vertex_of_texel = np.cumsum(mask.ravel()) - 1
        return vertex_of_texel[np.stack([lower, upper], 1).reshape(-1, 3)].astype(np.int64)

    def texels_of_uv(self, uv: NDArray[Any]) -> NDArray[np.float64]:
        """Convert atlas coordinates (N, 2) in [0, 1], v up, to fractional row and column (N, 2)."""
        uv = np.asarray(uv, np.float64)
        return (self.size - 1) * np.stack([1 - uv[:, 1], uv[:, 0]], 1)

    def uv_of_texels(self, texels: NDArray[Any]) -> NDArray[np.float64]:
        """Invert `texels_of_uv`: convert row and column (N, 2) to u and v (N, 2)."""
        texels = np.asarray(texels, np.float64)
        return np.stack([texels[:, 1], self.size - 1 - texels[:, 0]], 1) / (self.size - 1)

    def sample(self, position_map: NDArray[Any], uv: NDArray[Any]) -> NDArray[np.float32]:
        """Sample a (3, S, S) map bilinearly at atlas coordinates (N, 2), clamped to [0, 1]; returns (N, 3)."""
        self._check(position_map)
        texels = self.texels_of_uv(uv).clip(0, self.size - 1)
        corner = np.minimum(texels.astype(np.int64), self.size - 2)
        (row, column), (down, right) = corner.T, (texels - corner).T
        above = (1 - right) * position_map[:, row, column] + right * position_map[:, row, column + 1]
        below = (1 - right) * position_map[:, row + 1, column] + right * position_map[:, row + 1, column + 1]
        return ((1 - down) * above + down * below).T.astype(np.float32)

    def landmarks(self, position_map: Any) -> Any:
        """Return the landmarks (..., 68, 3) of a map (..., 3, S, S), as an array or tensor like the map."""
        self._check(position_map)
        rows, columns = self.landmark_texels.T
        return position_map[..., rows, columns].mT

    def points(self, position_map: Any) -> Any:
        """Return the N face texels (..., N, 3) of a map (..., 3, S, S), row by row, as an array or tensor like the map."""
        self._check(position_map)
        rows, columns = np.divmod(self.face_index, self.size)
        return position_map[..., rows, columns].mT

    def resized(self, size: int) -> "UVAtlas":
        """Return the atlas with `size` texels per side; masks are resampled by nearest texel, landmarks stay in the mask."""
        nearest = np.round(np.arange(size) * (self.size - 1) / (size - 1)).astype(np.int64)
        mask = self.face_mask[np.ix_(nearest, nearest)]
        texels = np.round(self.landmark_texels * (size - 1) / (self.size - 1)).astype(np.int64)
        texels = nearest_inside(mask, texels)
        weight = np.minimum(self.region_weight, FEATURE_WEIGHT)[np.ix_(nearest, nearest)]
        weight[tuple(texels.T)] = self.region_weight.max()
        canonical = None if self.canonical is None else self.canonical[:, nearest[:, None], nearest]
        return UVAtlas(texels, mask, weight, canonical)

    def save(self, file: Path) -> None:
        """Write the atlas as .npz."""
        names = FIELDS if self.canonical is None else (*FIELDS, CANONICAL)
        np.savez_compressed(file, allow_pickle=False, **{name: getattr(self, name) for name in names})

    @classmethod
    def load(cls, file: Path) -> "UVAtlas":
        """Read a file written by `save`; raises UserError naming the file and the field."""
        arrays = read_npz(file, "atlas", FIELDS)
        with reading(file, "atlas", "write it with UVAtlas.save"):
            return cls(*(arrays[name] for name in (*FIELDS, CANONICAL) if name in arrays))

    @classmethod
    def from_prnet_folder(cls, folder: Path) -> "UVAtlas":
        """Read the `uv-data` folder of PRNet: uv_kpt_ind.txt, face_ind.txt, uv_weight_mask.png, uv_face_mask.png,
        and canonical_vertices.npy if it exists.

        The region weight is the product of both masks, because the weight mask is not zero outside the face.
        Raises UserError naming a file that is missing or inconsistent.
        """
        kpt_file, index_file, weight_file, mask_file = (_require_file(folder / name) for name in PRNET_FILES)
        weight, mask = _read_grey(weight_file), _read_grey(mask_file)
        if weight.shape != mask.shape:
            raise UserError(
                f"{weight_file}: {weight.shape} texels, but {mask_file.name} has {mask.shape}; use files from one release"
            )
        landmarks = _read_numbers(kpt_file)
        if landmarks.shape != (2, 68):
            raise UserError(f"{kpt_file}: expected 2 rows (column, row) of 68 numbers, got {landmarks.shape}")
        index = _read_numbers(index_file).ravel().astype(np.int64)
        if not np.array_equal(index, np.flatnonzero(mask > 0)):
            raise UserError(f"{index_file}: its texels do not match {mask_file.name}; use files from one release")
        try:
            return cls(landmarks[::-1].T.astype(np.int64), mask > 0, weight * mask, _read_canonical_map(folder, mask > 0))
        except ValueError as error:
            raise UserError(f"{kpt_file}: {error}") from error

    def _check(self, position_map: Any) -> None:
        if tuple(position_map.shape[-3:]) != (3, self.size, self.size):
            raise ValueError(f"a map of this atlas must be (..., 3, {self.size}, {self.size}), got {tuple(position_map.shape)}")


def nearest_inside(mask: NDArray[np.bool_], texels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Move texels (N, 2) (row, column) outside the mask to the nearest texel inside it."""
    inside = np.argwhere(mask)
    distance = ((texels[:, None] - inside[None]) ** 2).sum(2)
    return np.where(mask[tuple(texels.T)][:, None], texels, inside[distance.argmin(1)])


def _read_canonical_map(folder: Path, mask: NDArray[np.bool_]) -> NDArray[np.float32] | None:
    file = folder / CANONICAL_FILE
    if not file.is_file():
        return None
    vertices = read_npy(file, ".npy")
    if vertices.shape != (mask.sum(), 3):
        raise UserError(f"{file}: expected {mask.sum()} x 3 numbers, one row per face texel, got {vertices.shape}")
    positions = np.zeros((3, *mask.shape), np.float32)
    positions[:, mask] = vertices.T
    return positions


def _require_file(file: Path) -> Path:
    if not file.is_file():
        raise UserError(f"{file}: not found; a PRNet uv-data folder contains {', '.join(PRNET_FILES)}")
    return file


def _read_grey(file: Path) -> NDArray[np.float32]:
    from PIL import Image

    with reading(file, "picture"), Image.open(file) as picture:
        if picture.width * picture.height > MAX_TEXELS:
            raise UserError(f"{file}: {picture.width}x{picture.height} texels are too many for an atlas; restore the file")
        return np.asarray(picture.convert("L"), np.float32) / np.float32(255)


def _read_numbers(file: Path) -> NDArray[np.float64]:
    with reading(file, "table of numbers"):
        numbers = np.loadtxt(file)
    check_finite(file, {"the table": numbers})
    return numbers
