"""A dense truncated signed distance field: integrates depth maps and extracts a mesh."""

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
    """A grid of (X, Y, Z) voxels; voxel (i, j, k) samples origin + (i, j, k) * voxel_size, in world coordinates, in metres.

    tsdf: (X, Y, Z) in units of the truncation distance. weight: (X, Y, Z) number of frames. color: (3, X, Y, Z) mean colour, or
    None. All are on `device`, as depth maps and images must be; meshes are extracted on the CPU.
    """

    def __init__(
        self,
        origin: Any,
        dimensions: tuple[int, int, int],
        voxel_size: float,
        truncation: float,
        colors: bool = True,
        backend: Backend = "auto",
        device: torch.device | str = "cpu",
    ) -> None:
        self.origin = torch.as_tensor(origin, dtype=torch.float32)
        self.voxel_size, self.truncation, self.backend = float(voxel_size), float(truncation), backend
        self.tsdf, self.weight = torch.ones(dimensions, device=device), torch.zeros(dimensions, device=device)
        self.color = torch.zeros(3, *dimensions, device=device) if colors else None

    @classmethod
    def for_bounds(
        cls,
        lower: Any,
        upper: Any,
        voxel_size: float,
        truncation: float,
        colors: bool = True,
        max_voxels: int = MAX_VOXELS,
    ) -> "TSDFVolume":
        """Create an empty volume around the box from lower (3,) to upper (3,) with a margin of the truncation distance.

        Raises UserError, before allocating anything, if the grid would have more than `max_voxels` voxels, and ValueError if
        the box is inverted or not finite or the voxel size is not positive.
        """
        lower, upper = (torch.as_tensor(value, dtype=torch.float64) for value in (lower, upper))
        if not (torch.isfinite(upper - lower).all() and (upper >= lower).all() and voxel_size > 0):
            raise ValueError(f"no volume from {lower.tolist()} to {upper.tolist()} with voxels of {voxel_size} m")
        dimensions = _dimensions(upper - lower, voxel_size, truncation)
        if math.prod(dimensions) > max_voxels:
            size = f"{' x '.join(map(str, dimensions))} voxels, {math.prod(dimensions) * (20 if colors else 8) / 1e6:.0f} MB"
            fits = _fitting_voxel_size(upper - lower, voxel_size, truncation, max_voxels)
            raise UserError(
                f"a volume of {size} is above the limit of {max_voxels} voxels; use a voxel_size of at least {fits:g} m"
            )
        return cls(lower - (truncation + voxel_size), dimensions, voxel_size, truncation, colors)

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
        """Create an empty volume around all surface points in the depth maps, see `for_bounds`.

        Raises UserError, before allocating anything, if no pixel is valid or the grid would be too large.
        """
        bounds = bounds_of_depths(depths, intrinsics, world_from_camera, max_depth)
        if bounds is None:
            raise UserError(f"no valid depth in any frame (0 < depth <= {max_depth:g} m); check the unit and max_depth")
        return cls.for_bounds(*bounds, voxel_size, truncation, colors, max_voxels)

    def integrate(
        self, depth: Tensor, intrinsics: Any, world_from_camera: Any, image: Tensor | None = None, max_depth: float = math.inf
    ) -> None:
        """Integrate a depth map (H, W) in metres, and its image (3, H, W) if the volume has colours.

        intrinsics: (3, 3) pixels, centres at +0.5. world_from_camera: (4, 4), OpenCV axes. Raises ValueError if the image is
        missing.
        """
        if self.color is not None and image is None:
            raise ValueError("this volume stores colours: pass an image, or create the volume with colors=False")
        pose = invert(torch.as_tensor(world_from_camera, dtype=torch.float64))
        integrate(
            self.tsdf, self.weight, depth, torch.as_tensor(intrinsics), pose, self.origin, self.voxel_size, self.truncation,
            color=self.color, image=image if self.color is not None else None, max_depth=max_depth, backend=self.backend,
        )  # fmt: skip

    def extract_mesh(self, min_weight: float = 1.0) -> tuple[Tensor, Tensor, Tensor | None]:
        """Extract the zero level set: world vertices (V, 3) float32, faces (F, 3) int64, and colours (V, 3) or None.

        Faces are oriented towards free space. Only cells whose voxels have all been observed at least `min_weight` times
        contribute.
        """
        known = _surface_cells(self.tsdf, self.weight >= min_weight)
        if not known.any():
            return torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.int64), None if self.color is None else torch.zeros(0, 3)
        from skimage.measure import marching_cubes

        # With this orientation faces are counter-clockwise from free space, where the field is positive.
        vertices, faces, _, _ = marching_cubes(self.tsdf.numpy(), 0.0, mask=known.numpy(), gradient_direction="descent")
        index = torch.from_numpy(vertices.copy()).float()
        return self.origin + index * self.voxel_size, torch.from_numpy(faces.astype("int64")), self._colors_at(index)

    def _colors_at(self, index: Tensor) -> Tensor | None:
        if self.color is None:
            return None
        # A vertex lies on a grid edge, so interpolating between its two ends is trilinear; both have been observed.
        low, high = index.floor().long(), index.ceil().long()
        share = (index - low).amax(1)
        return torch.lerp(self._color_of(low), self._color_of(high), share[:, None]).clamp(0, 1)

    def _color_of(self, voxels: Tensor) -> Tensor:
        return self.color[:, voxels[:, 0], voxels[:, 1], voxels[:, 2]].T  # type: ignore[index]


def _dimensions(extent: Tensor, voxel_size: float, truncation: float) -> tuple[int, int, int]:
    cells = torch.ceil((extent + 2 * (truncation + voxel_size)) / voxel_size).long()
    x, y, z = (cells + 1).tolist()
    return x, y, z


def _fitting_voxel_size(extent: Tensor, voxel_size: float, truncation: float, max_voxels: int) -> float:
    """Return a voxel size in whole millimetres, at most one per cent too large, for which the grid is within the limit."""
    fits = math.ceil(voxel_size * 1000)
    while math.prod(_dimensions(extent, fits / 1000, truncation)) > max_voxels:
        fits = max(fits + 1, int(fits * 1.01))
    return fits / 1000


def _surface_cells(tsdf: Tensor, seen: Tensor) -> Tensor:
    """Return a mask for marching cubes: true at the far corner of each fully observed cell that the surface crosses."""
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
