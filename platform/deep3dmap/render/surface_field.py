"""A triangle mesh as a field: signed distance and colour on a grid, for volume renderers."""

import math
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import grid_sample, normalize

from deep3dmap.ops.rasterize import corner_values
from deep3dmap.render.quadrature import laplace_density
from deep3dmap.render.renderer import FieldSamples, Lights, Surface
from deep3dmap.render.shading import shade

Array = NDArray[Any]
# Distance from the surface, in cells, within which distances are exact; beyond, they are accurate to a cell.
BAND = 2.0
# Thickness added to each side of open surfaces, in cells.
HALF_THICKNESS = 0.75
# Scale of the Laplace distribution that converts distances to densities, in cells.
BETA = 0.25
# Smallest size of cells and faces, in world units: squares of smaller sizes are outside float32's range.
SMALLEST = 1e-9


class SurfaceField:
    """Density, colour and normals around a mesh, from a grid with `resolution` cells along the mesh's longest side.

    A closed mesh is solid; an open one is a thin sheet. The nearest face of a cell and the set of inside cells are treated as
    constant; distances, and with them densities, are differentiable in the vertices, and colours in the surface's appearance.
    Faces that are degenerate or have non-finite vertices are skipped; without any faces the field is empty.
    """

    def __init__(self, surface: Surface, lights: Lights, eye: Tensor, resolution: int) -> None:
        corners = corner_values(surface.vertices, surface.faces)
        valid = _find_valid_faces(corners.detach())
        used_vertices = surface.vertices.detach()[surface.faces[valid].unique()]
        low, high = (
            (used_vertices.amin(0), used_vertices.amax(0))
            if len(used_vertices)
            else (used_vertices.new_zeros(3), used_vertices.new_ones(3))
        )
        self.cell = max(float((high - low).max()) / resolution, SMALLEST)
        margin = math.ceil(BAND + 1)
        self.low = low - margin * self.cell
        self.shape = tuple(math.ceil(float(side) / self.cell) + 1 + 2 * margin for side in high - low)
        self.bounds = torch.stack([self.low, self.low + self.cell * (self.low.new_tensor(self.shape) - 1)])
        distance, colors = self._fill(surface, corners, valid.nonzero()[:, 0], lights, eye)
        near = distance.clamp(-BAND * self.cell, BAND * self.cell)
        self.grid = torch.cat([distance[None], colors, torch.stack(torch.gradient(near))])

    def __call__(self, points: Tensor, directions: Tensor) -> FieldSamples:
        """Return density, colour and outward normals at world points (N, 3), trilinearly interpolated."""
        found = self._read(self.grid, points)
        return FieldSamples(laplace_density(found[:, 0], BETA * self.cell), found[:, 1:4], normalize(found[:, 4:], dim=1))

    def density(self, points: Tensor) -> Tensor:
        """Return the density (N,) only."""
        return laplace_density(self._read(self.grid[:1], points)[:, 0], BETA * self.cell)

    def _read(self, grid: Tensor, points: Tensor) -> Tensor:
        place = ((points - self.bounds[0]) / (self.bounds[1] - self.bounds[0]) * 2 - 1).flip(1)[None, None, None]
        return grid_sample(grid[None], place, mode="bilinear", padding_mode="border", align_corners=True)[0, :, 0, 0].T

    def _fill(self, surface: Surface, corners: Tensor, kept: Tensor, lights: Lights, eye: Tensor) -> tuple[Tensor, Tensor]:
        """Return the grids of signed distance (X, Y, Z) and colour (3, X, Y, Z); kept: valid faces."""
        colors = corners.new_zeros(*self.shape, 3)
        if len(kept) == 0:
            # An empty image must be differentiable too, with zero gradients.
            appearance = surface.colors if surface.texture is None else surface.texture
            colors = colors if appearance is None else colors + appearance[:0].sum()
            return corners.new_full(self.shape, 1e3 * self.cell) + 0 * surface.vertices.sum(), colors.permute(3, 0, 1, 2)
        triangles = ((corners.detach()[kept].double() - self.low.double()) / self.cell).cpu().numpy()
        solid = _is_closed(triangles)
        inside = torch.from_numpy(_inside(triangles, self.shape) if solid else np.zeros(self.shape, bool)).to(corners.device)
        approximate, nodes, face, barycentrics = _nearest(triangles, self.shape)
        distance = self.cell * torch.from_numpy(approximate).to(corners)
        node_ids = tuple(torch.from_numpy(axis.copy()).to(corners.device) for axis in nodes.T)
        ids = kept[torch.from_numpy(face).to(kept.device)]
        weights = torch.from_numpy(barycentrics).to(corners)
        closest = (weights[..., None] * corners.index_select(0, ids)).sum(1)
        separation = (self.low + self.cell * torch.stack(node_ids, 1) - closest).norm(dim=1)
        sign = torch.where(inside, -1.0, 1.0).to(corners)
        exact = sign[node_ids] * separation if solid else separation - HALF_THICKNESS * self.cell
        shaded = shade(surface, ids, weights, lights, eye)
        return (distance * sign).index_put(node_ids, exact), colors.index_put(node_ids, shaded).permute(3, 0, 1, 2)


def _find_valid_faces(corners: Tensor) -> Tensor:
    """Return a mask (F,) of faces (F, 3, 3) that have finite corners and are not degenerate up to rounding."""
    a, b, c = corners.double().unbind(1)
    longest = torch.stack([b - a, c - b, a - c]).square().sum(-1).amax(0)
    area = torch.linalg.cross(b - a, c - a).norm(dim=1)
    return torch.isfinite(corners).all(-1).all(-1) & (area > 1e-6 * longest) & (longest > SMALLEST**2)


def _is_closed(triangles: Array) -> bool:
    """Return whether each edge of triangles (F, 3, 3) is traversed equally often in both directions."""
    _, ids = np.unique(triangles.reshape(-1, 3), axis=0, return_inverse=True)
    faces = ids.reshape(-1, 3)
    edges = np.concatenate([faces, faces[:, [1, 2, 0]]], 1).reshape(-1, 2, 3).transpose(0, 2, 1).reshape(-1, 2)
    forward = edges[:, 0] < edges[:, 1]
    _, undirected = np.unique(np.sort(edges, 1), axis=0, return_inverse=True)
    return not np.bincount(undirected.reshape(-1), weights=np.where(forward, 1, -1)).any()


def _inside(triangles: Array, shape: tuple[int, ...]) -> Array:
    """Return a mask of grid nodes inside a closed mesh, in grid units, by a majority vote over the three axes."""
    votes = np.zeros(shape, np.int8)
    for axis in range(3):
        order = [axis, (axis + 1) % 3, (axis + 2) % 3]
        winding = _winding(triangles[..., order], tuple(shape[k] for k in order))
        votes += (winding != 0).transpose(np.argsort(order))
    return votes >= 2


def _winding(triangles: Array, shape: tuple[int, ...]) -> Array:
    """Return the winding number of the mesh at each node, counted along lines parallel to the first axis."""
    # Lines slightly offset from the nodes do not pass through corners or along edges that lie on the grid.
    shift = np.array([1.7e-4, 2.9e-4])
    flat = triangles[..., 1:] - shift
    first = np.ceil(flat.min(1)).clip(0).astype(int)
    last = np.floor(flat.max(1)).clip(-1, np.array(shape[1:]) - 1).astype(int)
    counts = (last - first + 1).clip(0)
    face = np.repeat(np.arange(len(flat)), counts.prod(1))
    place = np.arange(len(face)) - np.repeat(np.cumsum(counts.prod(1)) - counts.prod(1), counts.prod(1))
    line = first[face] + np.stack([place // counts[face, 1], place % counts[face, 1]], 1)
    offset = flat[face] - line[:, None]
    area = [_cross(offset[:, (k + 1) % 3], offset[:, (k + 2) % 3]) for k in range(3)]
    total = area[0] + area[1] + area[2]
    crossed = ((np.stack(area) >= 0).all(0) | (np.stack(area) <= 0).all(0)) & (total != 0)
    weights = np.stack(area, 1)[crossed] / total[crossed, None]
    height = np.ceil((weights * triangles[face[crossed], :, 0]).sum(1)).clip(0, shape[0]).astype(int)
    changes = np.zeros((shape[0] + 1, *shape[1:]), np.int32)
    np.add.at(changes, (height, *line[crossed].T), np.sign(total[crossed]).astype(np.int32))
    return changes.cumsum(0)[:-1]


def _cross(first: Array, second: Array) -> Array:
    return first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]


def _nearest(triangles: Array, shape: tuple[int, ...]) -> tuple[Array, Array, Array, Array]:
    """Return approximate distances of all nodes from a mesh, and the nearest faces of nodes close to it, in grid units.

    Returns distances (X, Y, Z), accurate to a cell, and nodes (N, 3) with faces (N,) and barycentrics (N, 3) of the nearest
    points.
    """
    from scipy.ndimage import distance_transform_edt
    from scipy.spatial import cKDTree
    from trimesh.triangles import closest_point, points_to_barycentric

    points, owner = _sample_triangles(triangles)
    empty = np.ones(shape, bool)
    empty[tuple(np.rint(points).astype(int).clip(0, np.array(shape) - 1).T)] = False
    distance = distance_transform_edt(empty)
    nodes = np.argwhere(distance <= BAND + 1)
    candidates = owner[cKDTree(points).query(nodes, k=min(4, len(points)))[1].reshape(len(nodes), -1)]
    closest = [closest_point(triangles[column], nodes) for column in candidates.T]
    best = np.stack([np.linalg.norm(point - nodes, axis=1) for point in closest]).argmin(0)
    row = np.arange(len(nodes))
    face, nearest = candidates[row, best], np.stack(closest)[best, row]
    barycentrics = points_to_barycentric(triangles[face], nearest).clip(0, 1)
    return distance, nodes, face, barycentrics / barycentrics.sum(1, keepdims=True)


def _sample_triangles(triangles: Array) -> tuple[Array, Array]:
    """Return points (N, 3) at most about half a unit apart that cover the triangles, and their triangles, (N,).

    They are the centres of subdivided triangles, because a point on an edge would not identify a single face.
    """
    longest = np.linalg.norm(triangles - np.roll(triangles, 1, 1), axis=2).max(1)
    steps = np.ceil(2 * longest).clip(1).astype(int)
    parts: list[tuple[Array, Array]] = []
    for count in np.unique(steps):
        ids = np.flatnonzero(steps == count)
        lattice = np.concatenate([_subdivision_centres(count, 1), _subdivision_centres(count, 2)])
        parts.append((np.einsum("lk,fkc->flc", lattice, triangles[ids]).reshape(-1, 3), np.repeat(ids, len(lattice))))
    return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])


def _subdivision_centres(count: int, rest: int) -> Array:
    """Return barycentrics (N, 3) of the part centres of a triangle with sides cut into `count`, upright (1) or inverted (2)."""
    i, j = (index.reshape(-1) for index in np.mgrid[:count, :count])
    k = count - rest - i - j
    return (3 * np.stack([i, j, k], 1)[k >= 0] + rest) / (3 * count)
