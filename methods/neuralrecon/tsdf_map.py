"""The surface of an ongoing reconstruction: a sparse truncated signed distance map; newer fragments overwrite older ones."""

import math

import torch
from torch import Tensor

from deep3dmap.core import Mesh, UserError
from deep3dmap.geometry.tsdf_volume import MAX_VOXELS, TSDFVolume
from deep3dmap.methods.neuralrecon.global_map import Box, GlobalMap, decode_name, encode_name, spread, union
from deep3dmap.methods.neuralrecon.voxel_grid import FREE

TRUNCATION_VOXELS = 3


class TSDFMap:
    """The predicted signed distances of one scene, fused by direct substitution without parameters.

    size: the fragment box in voxels. voxel_size: metres. full: the newest fragment replaces everything inside its box, which
    erases surfaces it no longer predicts; otherwise it replaces only the voxels that it predicts.
    """

    def __init__(self, size: tuple[int, int, int], voxel_size: float, full: bool = True) -> None:
        self.size, self.voxel_size, self.full = size, voxel_size, full
        self.scene: str | None = None
        self.origin = torch.zeros(3)
        self.map = GlobalMap(1)

    def reset(self, scene: str | None = None, origin: Tensor | None = None) -> None:
        """Clear the map; `origin` (3,) is the position of voxel [0, 0, 0] in metres, the world's origin by default."""
        self.scene, self.origin = scene, torch.zeros(3) if origin is None else origin.detach().cpu().clone()
        self.map.clear()

    @torch.no_grad()
    def update(self, scene: str, origin: Tensor, coordinates: Tensor, tsdf: Tensor, world_origin: Tensor | None = None) -> None:
        """Fold in a fragment; a new scene name starts a new map at `world_origin` (3,).

        origin: (3,) world metres of the fragment's lowest voxel, a whole number of voxels from the map's origin. coordinates:
        (N, 3) voxels counted from there, without duplicates. tsdf: (N,) or (N, 1) in truncations.
        """
        if scene != self.scene:
            self.reset(scene, world_origin)
        self.map.to(coordinates.device)
        box = Box.at(origin, self.origin, self.voxel_size, self.size)
        keys, values = box.keys(coordinates), tsdf.reshape(-1, 1).float()
        if not self.full:
            self.map.write(box, keys, values, same_keys_only=True)
            return
        old_keys, old = self.map.read(box)
        updated = union(old_keys[old[:, 0].abs() < FREE], keys[values[:, 0].abs() < FREE])
        self.map.write(box, updated, spread(updated, keys, values, fill=FREE))

    def dense(self, max_voxels: int = MAX_VOXELS) -> TSDFVolume:
        """Return the whole scene on the CPU, free where nothing was predicted; the weight is 1 at predicted voxels.

        Raises UserError before allocating if the volume would be too large.
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
        """Return the zero surface in world metres, faces counter-clockwise seen from free space; raises UserError like `dense`.

        single_layer: create faces only in cells whose corners were all predicted. Otherwise the step from predicted to
        unpredicted voxels adds a second layer behind every surface, as in the official export.
        """
        vertices, faces, _ = self.dense(max_voxels).extract_mesh(min_weight=1 if single_layer else 0)
        return Mesh(vertices.numpy(), faces.numpy())

    def bytes(self) -> int:
        """Return the size of the map in bytes."""
        return self.map.bytes()

    def state(self) -> dict[str, Tensor]:
        """Return the complete state as tensors, for saving."""
        return {"scene": encode_name(self.scene or ""), "origin": self.origin, **self.map.state()}

    def load_state(self, state: dict[str, Tensor]) -> None:
        """Restore the state returned by `state`."""
        self.scene, self.origin = decode_name(state["scene"]) or None, state["origin"].cpu().clone()
        self.map.load_state(state)


def _too_large(scene: str | None, shape: tuple[int, int, int], max_voxels: int) -> str:
    voxels = math.prod(shape)
    size = " x ".join(str(side) for side in shape)
    return (
        f"scene '{scene}': a dense export is {size} voxels and needs {voxels * 8 / 2**30:.1f} GiB, above the limit of "
        f"{max_voxels} voxels; raise max_voxels to {voxels}, or use a larger voxel_size"
    )
