"""Rendering of a procedural room, and tracking of the surface that the images show."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from deep3dmap.core.mesh import Mesh
from deep3dmap.data.scenes.rooms_layout import Room
from deep3dmap.data.scenes.rooms_lighting import Lighting
from deep3dmap.data.scenes.rooms_shapes import Quads, refined, refined_centres, triangles
from deep3dmap.ops.faces_in_view import FacesInView, faces_in_view
from deep3dmap.ops.rasterize import Fragments, interpolate_at, rasterize

_FINE = 2  # colour samples per pixel side, averaged per pixel
_NEAR = 0.01  # near plane in metres


@dataclass(frozen=True)
class RenderedFrame:
    """One view. image: (3, H, W) RGB in [0, 1]. depth: (H, W) metres. cosine: (H, W) between ray and normal."""

    image: NDArray[np.float32]
    depth: NDArray[np.float32]
    cosine: NDArray[np.float32]


class RoomRenderer:
    """Renders a room with its lights, and tracks which parts of it have been seen."""

    def __init__(self, room: Room, mesh_edge: float) -> None:
        self._lighting = Lighting(room)
        self._vertices = room.quads.corners.reshape(-1, 3)
        self._faces = torch.from_numpy(triangles(room.quads))
        self._material = torch.from_numpy(room.quads.material).repeat_interleave(2)
        corners, normals, local = (_vertex_values(room.quads, name) for name in ("corners", "normals", "local"))
        self._place, self._local = torch.cat([corners, normals], 1), local
        self._surface = SeenSurface(room.quads, mesh_edge)

    def frame(
        self, world_from_camera: NDArray[np.float64], intrinsics: NDArray[np.float64], height: int, width: int
    ) -> RenderedFrame:
        """Render one view from its pose (4, 4) and intrinsics (3, 3), pixel centres at +0.5."""
        camera = torch.from_numpy(_to_camera(self._vertices, world_from_camera).astype(np.float32))
        fine_intrinsics = np.diag([_FINE, _FINE, 1.0]) @ intrinsics
        seen = faces_in_view(camera, self._faces, torch.from_numpy(intrinsics).float(), height, width, _NEAR)
        exact, fine = (
            rasterize(seen.pixels(torch.from_numpy(k).float()), seen.faces, n * height, n * width)
            for k, n in ((intrinsics, 1), (fine_intrinsics, _FINE))
        )
        surface = SurfaceInView(seen, self._faces, self._place, self._local)
        quads = surface.quads(fine)
        self._surface.mark(world_from_camera, fine_intrinsics, quads)
        place = surface.place(exact.face_id.flatten(), exact.barycentrics.view(-1, 3))
        normals = _unit(place[3:])
        received = self._light(surface, fine, quads, surface.quads(exact), place[:3], normals)
        image = self._shade(surface, fine, received)
        cosine = _cosine(place[:3], normals, world_from_camera).reshape(height, width)
        return RenderedFrame(image.numpy(), exact.depth.numpy(), cosine.numpy())

    def visible_mesh(self) -> Mesh:
        """Return the finely subdivided surface seen in at least one rendered view, with its colours."""
        quads = self._surface.quads()
        first, owner = _merged(quads)
        corners, normals, local = (
            _vertex_values(quads, name)[first].T.contiguous() for name in ("corners", "normals", "local")
        )
        material = torch.from_numpy(quads.material)[first // 4]
        colors = self._lighting.shade(local, material, self._lighting.irradiance(corners, normals))
        faces = owner[triangles(quads)]
        proper = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
        return Mesh(corners.T.contiguous().numpy(), faces[proper], colors.T.contiguous().numpy())

    def _shade(self, surface: "SurfaceInView", fine: Fragments, received: Tensor) -> Tensor:
        """Return the image (3, H, W), averaged from texture evaluated at every fine sample."""
        face_id = fine.face_id.flatten()
        local = surface.local(face_id, fine.barycentrics.view(-1, 3))
        material = self._material.index_select(0, surface.source).index_select(0, face_id.clamp(min=0))
        color = self._lighting.shade(local, material, received.flatten()).mul_(face_id >= 0)
        return _joined(color.view(3, *fine.face_id.shape), torch.add).mul_(1 / _FINE**2)

    def _light(
        self, surface: "SurfaceInView", fine: Fragments, quads: Tensor, exact: Tensor, points: Tensor, normals: Tensor
    ) -> Tensor:
        """Return the light (2H, 2W) at the fine samples; for pixels that show a single quad, it is computed only once.

        quads (2H, 2W), exact (H, W): quads at the fine samples and at pixel centres. points, normals (3, H W): at centres.
        """
        height, width = exact.shape
        once = self._lighting.irradiance(points, normals).view(height, 1, width, 1)
        received = once.expand(height, _FINE, width, _FINE).reshape(_FINE * height, _FINE * width)
        blocks = quads.view(height, _FINE, width, _FINE)
        other = (blocks != exact.view(height, 1, width, 1)).view_as(quads)
        samples = _samples_of(torch.from_numpy(np.flatnonzero(_joined(other, torch.logical_or).numpy())), width)
        of_samples = (values.index_select(0, samples) for values in (fine.face_id.flatten(), fine.barycentrics.view(-1, 3)))
        each = surface.place(*of_samples)
        received.view(-1).index_copy_(0, samples, self._lighting.irradiance(each[:3], _unit(each[3:])))
        return received


class SurfaceInView:
    """The faces of a room that may be visible in a view, with the attributes of their points."""

    def __init__(self, seen: FacesInView, faces: Tensor, place: Tensor, local: Tensor) -> None:
        """place (V, 6), local (V, 3): points and normals, and texture coordinates, at the vertices of `faces`."""
        self.source = seen.source
        self._quad = np.append(seen.source.numpy() >> 1, -1)
        # Every face has its own corners, because corners of clipped faces lie between the vertices of the room.
        self._corners = torch.arange(3 * len(seen.source)).view(-1, 3)
        self._place, self._local = (seen.at_corners(faces, values).flatten(0, 1) for values in (place, local))

    def quads(self, fragments: Fragments) -> Tensor:
        """Return the quad visible at each pixel (H, W), -1 for none."""
        return torch.from_numpy(self._quad[fragments.face_id.numpy()])

    def place(self, face_id: Tensor, barycentrics: Tensor) -> Tensor:
        """Return the points and normals, (6, N), of samples; 0 for samples that show nothing."""
        return interpolate_at(face_id, barycentrics, self._corners, self._place).T

    def local(self, face_id: Tensor, barycentrics: Tensor) -> Tensor:
        """Return the texture coordinates (3, N) of samples."""
        return interpolate_at(face_id, barycentrics, self._corners, self._local).T


class SeenSurface:
    """A finely subdivided surface that records which of its pieces have been seen."""

    def __init__(self, quads: Quads, mesh_edge: float) -> None:
        self._quads, self._mesh_edge = quads, mesh_edge
        centres, self._cut_from = refined_centres(quads, mesh_edge)
        self._seen = torch.zeros(len(centres), dtype=torch.bool)
        # Centres, parent quads and indices of the pieces that may still be unseen.
        self._centres = torch.from_numpy(np.ascontiguousarray(centres.T))
        self._parent, self._index = torch.from_numpy(self._cut_from), torch.arange(len(centres))

    def mark(self, world_from_camera: NDArray[np.float64], intrinsics: NDArray[np.float64], quad: Tensor) -> None:
        """Mark the pieces visible in a view, given the quad at each pixel of `quad` (H, W), -1 for none."""
        # A piece is seen if the pixel at its centre shows its parent quad, which needs no depth tolerance.
        turn = world_from_camera[:3, :3].T
        matrix = torch.from_numpy(intrinsics @ np.column_stack([turn, -turn @ world_from_camera[:3, 3]]))
        candidates = self._candidates_of(quad)
        x, y, z = torch.addmm(matrix[:, 3:], matrix[:, :3], self._centres.index_select(1, candidates))
        column, row = x.div_(z).floor_(), y.div_(z).floor_()
        inside = (z > 0.05) & (column >= 0) & (row >= 0) & (column < quad.shape[1]) & (row < quad.shape[0])
        pixel = row.mul_(quad.shape[1]).add_(column).masked_fill_(~inside, 0).long()
        shown = candidates[inside & (quad.flatten().index_select(0, pixel) == self._parent.index_select(0, candidates))]
        self._seen[self._index.index_select(0, shown)] = True
        if len(shown) > 0.05 * len(self._index):
            remaining = (~self._seen.index_select(0, self._index)).nonzero()[:, 0]
            self._centres = self._centres.index_select(1, remaining)
            self._parent, self._index = self._parent[remaining], self._index[remaining]

    def _candidates_of(self, quad: Tensor) -> Tensor:
        """Return which of the possibly unseen pieces belong to a quad that is visible in the image."""
        pixels = np.bincount((quad + 1).flatten().numpy(), minlength=len(self._quads) + 1)
        return torch.from_numpy(np.flatnonzero((pixels > 0)[1:][self._parent.numpy()]))

    def quads(self) -> Quads:
        """Return the pieces that have been seen."""
        seen = self._seen.numpy()
        shown = np.zeros(len(self._quads), bool)
        shown[self._cut_from[seen]] = True
        # Subdividing a subset of the quads yields the same pieces in the same order.
        fine, _ = refined(self._quads.chosen(shown), self._mesh_edge)
        return fine.chosen(seen[shown[self._cut_from]])


def _samples_of(pixels: Tensor, width: int) -> Tensor:
    """Return the fine samples (N _FINE^2,) of pixels (N,) of an image of the given width; both use row-major indices."""
    rows, columns = pixels // width, pixels % width
    first = _FINE * (_FINE * width * rows + columns)
    within = (_FINE * width * torch.arange(_FINE)[:, None] + torch.arange(_FINE)).flatten()
    return (first[:, None] + within).flatten()


def _joined(fine: Tensor, join: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Reduce the fine samples (..., H _FINE, W _FINE) of each pixel to one value (..., H, W) with `join`."""
    # Reducing whole rows first is many times faster than pooling.
    rows = reduce(join, fine.unflatten(-2, (-1, _FINE)).unbind(-2))
    return reduce(join, rows.unflatten(-1, (-1, _FINE)).unbind(-1))


def _cosine(points: Tensor, normals: Tensor, pose: NDArray[np.float64]) -> Tensor:
    ray = torch.tensor(pose[:3, 3:], dtype=torch.float32) - points
    return (ray * normals).sum(0).abs_() / ray.square().sum(0).sqrt_().clamp_(min=1e-6)


def _vertex_values(quads: Quads, name: str) -> Tensor:
    return torch.from_numpy(getattr(quads, name).reshape(-1, 3).astype(np.float32))


def _unit(vectors: Tensor) -> Tensor:
    return vectors / (vectors.square().sum(0) + 1e-12).sqrt_()


def _to_camera(points: NDArray[np.float64], pose: NDArray[np.float64]) -> NDArray[np.float64]:
    return (points - pose[:3, 3]) @ pose[:3, :3]


def _merged(quads: Quads) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Merge corners of one material on a 0.1 mm grid; return the first corner of each group and each corner's group."""
    cells = np.rint(quads.corners.reshape(-1, 3) * 1e4).astype(np.int64)
    cells -= cells.min(0)
    x, y, z = (cells.max(0) + 1).tolist()
    keys = ((np.repeat(quads.material, 4) * x + cells[:, 0]) * y + cells[:, 1]) * z + cells[:, 2]
    _, first, owner = np.unique(keys, return_index=True, return_inverse=True)
    return first, owner
