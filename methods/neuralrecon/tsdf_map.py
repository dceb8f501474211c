"""The surface of a running reconstruction: a sparse truncated signed distance map in which the newest fragment wins."""

import math

import torch
from torch import Tensor

from deep3dmap.core import Mesh, UserError
from deep3dmap.geometry.tsdf_volume import MAX_VOXELS, TSDFVolume
from deep3dmap.methods.neuralrecon.global_map import Box, GlobalMap, decode_name, encode_name, spread, union
from deep3dmap.methods.neuralrecon.voxel_grid import FREE

TRUNCATION_VOXELS = 3


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

    def dense(self, max_voxels: int = MAX_VOXELS) -> TSDFVolume:
        """Return the whole scene on the CPU, free where nothing was predicted; its weight is 1 where the newest fragment did.

        Raises UserError, before anything is allocated, if that would be too large.
        """
        coordinates, values = self.map.coordinates.cpu(), self.map.values[:, 0].cpu()
        lowest = coordinates.amin(0) if len(coordinates) else torch.zeros(3)
        x, y, z = (coordinates.amax(0).long() - lowest + 1).tolist() if len(coordinates) else (0, 0, 0)
        if x * y * z > max_voxels:
            raise UserError(_too_large(self.scene, (x, y, z), max_voxels))
        origin = self.origin + lowest * self.voxel_size
        volume = TSDFVolume(origin, (x, y, z), self.voxel_size, TRUNCATION_VOXELS * self.voxel_size, colors=False)
        at = (coordinates - lowest).long().unbind(1)
        volume.tsdf[at], volume.weight[at] = values, (values != FREE).float()
        return volume

    def mesh(self, single_layer: bool = True, max_voxels: int = MAX_VOXELS) -> Mesh:
        """Return the zero surface in world metres, faces counter-clockwise seen from free space; raises UserError as `dense`.

        single_layer: faces only in cells all of whose corners were predicted. Otherwise the step from predicted to
        never-predicted voxels closes every surface with a second layer behind it, as in the official export.
        """
        vertices, faces, _ = self.dense(max_voxels).extract_mesh(min_weight=1 if single_layer else 0)
        return Mesh(vertices.numpy(), faces.numpy())

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


def _too_large(scene: str | None, shape: tuple[int, int, int], max_voxels: int) -> str:
    voxels = math.prod(shape)
    size = " x ".join(str(side) for side in shape)
    return (
        f"scene '{scene}': a dense export is {size} voxels and needs {voxels * 8 / 2**30:.1f} GiB, above the limit of "
        f"{max_voxels} voxels; raise max_voxels to {voxels}, or use a larger voxel_size"
    )
