"""The surface of a running reconstruction: a sparse truncated signed distance map in which the newest fragment wins."""

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from deep3dmap.core import Mesh, UserError
from deep3dmap.geometry.tsdf_volume import MAX_VOXELS
from deep3dmap.methods.neuralrecon.global_map import Box, GlobalMap, decode_name, encode_name, spread, union

FREE = 1.0


@dataclass(frozen=True)
class SceneVolume:
    """A dense scene: signed distances (X, Y, Z) in truncations, 1 = free or never predicted, and the world metres of [0, 0, 0].

    predicted: (X, Y, Z) bool, which voxels the newest fragment there has predicted.
    """

    tsdf: Tensor
    predicted: Tensor
    origin: Tensor
    voxel_size: float

    def mesh(self, single_layer: bool = True) -> Mesh:
        """Return the zero surface in world metres, faces counter-clockwise seen from free space.

        single_layer: faces only in cells all of whose corners were predicted. Otherwise the step from predicted to
        never-predicted voxels closes every surface with a second layer behind it, as in the official export.
        """
        cells = _surface_cells(self.tsdf, self.predicted if single_layer else torch.ones_like(self.predicted))
        if not cells.any():
            return Mesh(np.zeros((0, 3)), np.zeros((0, 3)))
        from skimage.measure import marching_cubes

        vertices, faces, _, _ = marching_cubes(self.tsdf.numpy(), 0.0, mask=cells.numpy(), gradient_direction="descent")
        return Mesh(self.origin.double().numpy() + vertices * self.voxel_size, faces)


class TSDFMap:
    """The predicted signed distances of one scene, without any parameter (direct substitution).

    size: the fragment box in voxels. voxel_size: metres. full: the newest fragment replaces everything inside its box, so that
    a surface it no longer predicts is erased; otherwise it replaces only the voxels it predicts.
    """

    def __init__(self, size: tuple[int, int, int], voxel_size: float, full: bool = True) -> None:
        self.size, self.voxel_size, self.full = size, voxel_size, full
        self.scene: str | None = None
        self.origin = torch.zeros(3)
        self.map = GlobalMap(1)

    def reset(self, scene: str | None = None, origin: Tensor | None = None) -> None:
        """Forget everything; `origin` (3,) metres is where voxel [0, 0, 0] lies, the world's origin by default."""
        self.scene, self.origin = scene, torch.zeros(3) if origin is None else origin.detach().cpu().clone()
        self.map.clear()

    @torch.no_grad()
    def update(self, scene: str, origin: Tensor, coordinates: Tensor, tsdf: Tensor, world_origin: Tensor | None = None) -> None:
        """Fold in a fragment; a new scene's name, or another `world_origin` (3,), starts a new map.

        origin: (3,) world metres of the fragment's lowest voxel, whole voxels from the map's. coordinates: (N, 3) voxels
        counted from there, each once. tsdf: (N,) or (N, 1) in truncations.
        """
        if scene != self.scene:
            self.reset(scene, world_origin)
        self.map.to(coordinates.device)
        box = Box.at(origin, self.origin, self.voxel_size, self.size)
        keys, values = box.keys(coordinates), tsdf.reshape(-1, 1).float()
        if not self.full:
            self.map.put(box, keys, values, only_these=True)
            return
        old_keys, old = self.map.take(box)
        updated = union(old_keys[old[:, 0].abs() < FREE], keys[values[:, 0].abs() < FREE])
        self.map.put(box, updated, spread(updated, keys, values, fill=FREE))

    def dense(self, max_voxels: int = MAX_VOXELS) -> SceneVolume:
        """Return the whole scene, on the CPU; raises UserError, before anything is allocated, if it would be too large."""
        coordinates, values = self.map.coordinates.cpu(), self.map.values[:, 0].cpu()
        if len(coordinates) == 0:
            nothing = torch.ones(0, 0, 0)
            return SceneVolume(nothing, nothing.bool(), self.origin, self.voxel_size)
        lowest = coordinates.amin(0)
        shape = (coordinates.amax(0).long() - lowest + 1).tolist()
        if math.prod(shape) > max_voxels:
            raise UserError(_too_large(self.scene, shape, max_voxels))
        tsdf, at = torch.full(shape, FREE), (coordinates - lowest).long().unbind(1)
        tsdf[at] = values
        return SceneVolume(tsdf, tsdf != FREE, self.origin + lowest * self.voxel_size, self.voxel_size)

    def mesh(self, single_layer: bool = True, max_voxels: int = MAX_VOXELS) -> Mesh:
        """Return the surface in world metres, see `SceneVolume.mesh`; raises UserError as `dense` does."""
        return self.dense(max_voxels).mesh(single_layer)

    def bytes(self) -> int:
        """Return the memory the map takes."""
        return self.map.bytes()

    def state(self) -> dict[str, Tensor]:
        """Return everything as tensors, to be saved."""
        return {"scene": encode_name(self.scene or ""), "origin": self.origin, **self.map.state()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Go on from what `state` returned."""
        self.scene, self.origin = decode_name(state["scene"]) or None, state["origin"].cpu().clone()
        self.map.load_state(state)


def _too_large(scene: str | None, shape: list[int], max_voxels: int) -> str:
    voxels = math.prod(shape)
    size = " x ".join(str(side) for side in shape)
    return (
        f"scene '{scene}': a dense export is {size} voxels and needs {voxels * 5 / 2**30:.1f} GiB, above the limit of "
        f"{max_voxels} voxels; raise max_voxels to {voxels}, or use a larger voxel_size"
    )


def _surface_cells(tsdf: Tensor, known: Tensor) -> Tensor:
    """Return the mask marching cubes wants: true at the far corner of each cell of known corners that the surface crosses."""
    mask = torch.zeros_like(known)
    if min(known.shape) < 2:
        return mask
    whole, low, high = known, tsdf, tsdf
    for axis in range(3):
        first, second = (axis, 0, whole.shape[axis] - 1), (axis, 1, whole.shape[axis] - 1)
        whole = whole.narrow(*first) & whole.narrow(*second)
        low = torch.minimum(low.narrow(*first), low.narrow(*second))
        high = torch.maximum(high.narrow(*first), high.narrow(*second))
    mask[1:, 1:, 1:] = whole & (low <= 0) & (high > 0)
    return mask
