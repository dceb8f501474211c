"""A dense truncated signed distance field: depth maps in, a mesh out."""

import math
from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor

from deep3dmap.core.errors import UserError
from deep3dmap.geometry.cameras import invert
from deep3dmap.geometry.frusta import bounds_of_depths
from deep3dmap.ops._backend import Backend
from deep3dmap.ops.tsdf import integrate

MAX_VOXELS = 600_000_000


class TSDFVolume:
    """A grid of (X, Y, Z) voxels; voxel (i, j, k) samples origin + (i, j, k) * voxel_size, in the world, in metres."""

    def __init__(
        self,
        origin: Any,
        dimensions: tuple[int, int, int],
        voxel_size: float,
        truncation: float,
        colors: bool = True,
        backend: Backend = "auto",
        max_voxels: int = MAX_VOXELS,
    ) -> None:
        count = math.prod(dimensions)
        if count > max_voxels:
            fits = math.ceil(voxel_size * (count / max_voxels) ** (1 / 3) * 1000) / 1000
            size = f"{' x '.join(map(str, dimensions))} voxels, {count * (20 if colors else 8) / 2**30:.1f} GB"
            raise UserError(
                f"a volume of {size} is above the limit of {max_voxels} voxels; use a voxel_size of at least {fits} m"
            )
        self.origin = torch.as_tensor(origin, dtype=torch.float32)
        self.voxel_size, self.truncation, self.backend = float(voxel_size), float(truncation), backend
        self.tsdf, self.weight = torch.ones(dimensions), torch.zeros(dimensions)
        self.color = torch.zeros(3, *dimensions) if colors else None

    @classmethod
    def for_frames(
        cls,
        depths: Iterable[Tensor],
        intrinsics: Any,
        world_from_camera: Any,
        *,
        voxel_size: float,
        truncation: float,
        max_depth: float = math.inf,
        colors: bool = True,
        max_voxels: int = MAX_VOXELS,
    ) -> "TSDFVolume":
        """Make an empty volume around everything the depth maps see, with a margin of the truncation distance.

        Raises UserError if no pixel is valid, or, before anything is allocated, if the grid would be too large.
        """
        bounds = bounds_of_depths(depths, intrinsics, world_from_camera, max_depth)
        if bounds is None:
            raise UserError(f"no valid depth in any frame (0 < depth <= {max_depth:g} m); check the unit and max_depth")
        lower, upper = bounds
        margin = truncation + voxel_size
        x, y, z = torch.ceil((upper - lower + 2 * margin) / voxel_size).long().tolist()
        return cls(lower - margin, (x + 1, y + 1, z + 1), voxel_size, truncation, colors, max_voxels=max_voxels)

    def integrate(
        self, depth: Tensor, intrinsics: Any, world_from_camera: Any, image: Tensor | None = None, max_depth: float = math.inf
    ) -> None:
        """Fold in one depth map (H, W) metres with its image (3, H, W), needed where the volume keeps colours."""
        if self.color is not None and image is None:
            raise ValueError("this volume keeps colours: give an image, or make it with colors=False")
        pose = invert(torch.as_tensor(world_from_camera, dtype=torch.float64))
        integrate(
            self.tsdf, self.weight, depth, torch.as_tensor(intrinsics), pose, self.origin, self.voxel_size, self.truncation,
            color=self.color, image=image if self.color is not None else None, max_depth=max_depth, backend=self.backend,
        )  # fmt: skip

    def extract_mesh(self, min_weight: float = 1.0) -> tuple[Tensor, Tensor, Tensor | None]:
        """Return the zero surface: vertices (V, 3) float32 world, faces (F, 3) int64 facing free space, colours (V, 3) or None.

        Only cells all of whose voxels have been seen at least `min_weight` times make a surface.
        """
        known = _surface_cells(self.tsdf, self.weight >= min_weight)
        if not known.any():
            return torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64), None if self.color is None else torch.zeros(0, 3)
        from skimage.measure import marching_cubes

        # With this orientation faces are counter-clockwise seen from free space, where the field is positive.
        vertices, faces, _, _ = marching_cubes(self.tsdf.numpy(), 0.0, mask=known.numpy(), gradient_direction="descent")
        index = torch.from_numpy(vertices.copy()).float()
        return self.origin + index * self.voxel_size, torch.from_numpy(faces.astype("int64")), self._colors_at(index)

    def _colors_at(self, index: Tensor) -> Tensor | None:
        if self.color is None:
            return None
        nearest = index.round().long()
        return self.color[:, nearest[:, 0], nearest[:, 1], nearest[:, 2]].T.clamp(0, 1).contiguous()


def _surface_cells(tsdf: Tensor, seen: Tensor) -> Tensor:
    """Return a mask for marching cubes: true at the far corner of each cell that is wholly seen and crossed by the surface."""
    if min(tsdf.shape) < 2:
        return torch.zeros_like(seen)
    whole, low, high = seen, tsdf, tsdf
    for axis in range(3):
        length = whole.shape[axis] - 1
        first, second = (axis, 0, length), (axis, 1, length)
        whole = whole.narrow(*first) & whole.narrow(*second)
        low = torch.minimum(low.narrow(*first), low.narrow(*second))
        high = torch.maximum(high.narrow(*first), high.narrow(*second))
    mask = torch.zeros_like(seen)
    mask[1:, 1:, 1:] = whole & (low <= 0) & (high >= 0)
    return mask
