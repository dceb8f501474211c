"""Pictures of a procedural room and the part of its surface that the pictures show."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from deep3dmap.core.mesh import Mesh
from deep3dmap.data.scenes.rooms_layout import Room
from deep3dmap.data.scenes.rooms_lighting import Lighting
from deep3dmap.data.scenes.rooms_shapes import Quads, refined, triangles
from deep3dmap.ops.rasterize import Fragments, interpolate, rasterize_camera

_FINE = 2  # colour is computed for this many pixels squared and averaged


@dataclass(frozen=True)
class Frame:
    """One view. image: (3, H, W) RGB in [0, 1]. depth: (H, W) metres. cosine: (H, W) between ray and normal. quad: (2H, 2W)."""

    image: NDArray[np.float32]
    depth: NDArray[np.float32]
    cosine: NDArray[np.float32]
    quad: NDArray[np.int64]


class RoomRenderer:
    """Draws a room with its light, and keeps which parts of it have been seen."""

    def __init__(self, room: Room, mesh_edge: float) -> None:
        self._room, self._lighting = room, Lighting(room)
        self._vertices = room.quads.corners.reshape(-1, 3)
        self._faces = torch.from_numpy(triangles(room.quads))
        attributes = [room.quads.normals, room.quads.local, room.quads.corners]
        self._attributes = torch.from_numpy(np.concatenate([a.reshape(-1, 3) for a in attributes], 1).astype(np.float32))
        self._fine, self._parent = refined(room.quads, mesh_edge)
        self._centres = self._fine.corners.mean(1)
        self._seen = np.zeros(len(self._fine), bool)

    def frame(self, world_from_camera: NDArray[np.float64], intrinsics: NDArray[np.float64], height: int, width: int) -> Frame:
        """Draw one view (pose (4, 4), intrinsics (3, 3) with pixel centres at +0.5)."""
        exact = self._fragments(world_from_camera, intrinsics, height, width)
        scale = np.diag([_FINE, _FINE, 1.0])
        fine = self._fragments(world_from_camera, scale @ intrinsics, _FINE * height, _FINE * width)
        quad = np.where(fine.face_id.numpy() < 0, -1, fine.face_id.numpy() // 2).astype(np.int64)
        self._mark_seen(world_from_camera, scale @ intrinsics, quad)
        image = self._shade(fine, quad).reshape(3, height, _FINE, width, _FINE).mean((2, 4))
        return Frame(image, exact.depth.numpy(), self._cosine(exact, world_from_camera), quad)

    def seen_mesh(self) -> Mesh:
        """Return the finely cut surface that at least one of the drawn views showed, with its colours."""
        chosen = np.flatnonzero(self._seen)
        quads = Quads(*(getattr(self._fine, name)[chosen] for name in ("corners", "normals", "material", "local")))
        flat = {name: getattr(quads, name).reshape(-1, 3).astype(np.float32) for name in ("corners", "normals", "local")}
        first, owner = _merged(quads)
        material = np.repeat(quads.material, 4)[first]
        received = self._lighting.irradiance(flat["corners"][first], flat["normals"][first])
        colors = self._lighting.shade(flat["local"][first], material, received)
        faces = owner[triangles(quads)]
        proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        return Mesh(flat["corners"][first], faces[proper], colors)

    def _fragments(self, pose: NDArray[np.float64], intrinsics: NDArray[np.float64], height: int, width: int) -> Fragments:
        camera = torch.from_numpy(_to_camera(self._vertices, pose).astype(np.float32))
        return rasterize_camera(camera, self._faces, torch.from_numpy(intrinsics), height, width)

    def _shade(self, fragments: Fragments, quad: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the image (3, 2H, 2W). A pixel that shows one quad gets its light once; texture is always computed finely."""
        normals, local, points = interpolate(fragments, self._faces, self._attributes).numpy().reshape(3, 3, *quad.shape)
        received = self._light(points, normals, quad)
        covered = np.flatnonzero(quad.reshape(-1) >= 0)
        material = self._room.quads.material[quad.reshape(-1)[covered]]
        image = np.zeros((quad.size, 3), np.float32)
        image[covered] = self._lighting.shade(_rows(local)[covered], material, received.reshape(-1)[covered])
        return image.T.reshape(3, *quad.shape)

    def _light(self, points: NDArray[np.float32], normals: NDArray[np.float32], quad: NDArray[np.int64]) -> NDArray[np.float32]:
        height, width = quad.shape[0] // _FINE, quad.shape[1] // _FINE
        block = (height, _FINE, width, _FINE)
        same = (quad.reshape(block) == quad.reshape(block)[:, :1, :, :1]).all((1, 3))
        centre, facing = (values.reshape(3, *block).mean((2, 4), dtype=np.float32) for values in (points, normals))
        coarse = np.zeros((height, width), np.float32)
        coarse[same] = self._lighting.irradiance(centre[:, same].T, _unit(facing[:, same].T))
        received = coarse.repeat(_FINE, 0).repeat(_FINE, 1)
        mixed = ~same.repeat(_FINE, 0).repeat(_FINE, 1)
        received[mixed] = self._lighting.irradiance(points[:, mixed].T, _unit(normals[:, mixed].T))
        return received

    def _cosine(self, fragments: Fragments, pose: NDArray[np.float64]) -> NDArray[np.float32]:
        normals, _, points = interpolate(fragments, self._faces, self._attributes).numpy().reshape(3, 3, *fragments.depth.shape)
        ray = pose[:3, 3].astype(np.float32)[:, None, None] - points
        scale = np.sqrt(np.square(ray).sum(0) * np.square(normals).sum(0))
        return np.abs((ray * normals).sum(0)) / np.maximum(scale, np.float32(1e-6))

    def _mark_seen(self, pose: NDArray[np.float64], intrinsics: NDArray[np.float64], quad: NDArray[np.int64]) -> None:
        # A small quad is seen if the pixel at its centre shows the large quad it was cut from: no depth tolerance is needed.
        unseen = np.flatnonzero(~self._seen)
        centre = _to_camera(self._centres[unseen], pose)
        before = centre[:, 2] > 0.05
        pixel = centre[before] @ intrinsics.T
        at = np.floor(pixel[:, :2] / pixel[:, 2:]).astype(np.int64)
        inside = ((at >= 0) & (at < (quad.shape[1], quad.shape[0]))).all(1)
        candidates = unseen[before][inside]
        shown = quad[at[inside, 1], at[inside, 0]]
        self._seen[candidates[shown == self._parent[candidates]]] = True


def _rows(image: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.ascontiguousarray(image.reshape(3, -1).T)


def _unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    return vectors / np.sqrt(np.einsum("ij,ij->i", vectors, vectors) + np.float32(1e-12))[:, None]


def _to_camera(points: NDArray[np.float64], pose: NDArray[np.float64]) -> NDArray[np.float64]:
    return (points - pose[:3, 3]) @ pose[:3, :3]


def _merged(quads: Quads) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Join corners that lie within 0.1 mm on the same material; return the first of each and, for each corner, its number."""
    cells = np.rint(quads.corners.reshape(-1, 3) * 1e4).astype(np.int64)
    cells -= cells.min(0)
    x, y, z = (cells.max(0) + 1).tolist()
    keys = ((np.repeat(quads.material, 4) * x + cells[:, 0]) * y + cells[:, 1]) * z + cells[:, 2]
    _, first, owner = np.unique(keys, return_index=True, return_inverse=True)
    return first, owner
