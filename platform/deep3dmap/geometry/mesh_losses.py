"""Differentiable losses of a mesh: how far from a set of points it lies, and how regular it is.

Chamfer, edge, Laplacian and normal losses have the definitions of facebookresearch/pytorch3d (pytorch3d/loss). All take float32
or float64 tensors on any device and return a scalar. What is undefined for a mesh, such as the mean edge of a mesh without
edges, is 0 with a gradient of 0; a set of points that is empty raises ValueError.

`topology` is a `MeshTopology`, made once for many steps, or the faces (F, 3) themselves.
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from deep3dmap.geometry.mesh_topology import MeshTopology
from deep3dmap.geometry.nearest_neighbours import squared_distances

Laplacian = Literal["uniform", "cot", "cotcurv"]
FLAT = 1e-7  # twice the area of a face over the squares of its sides, below which it has no angles to speak of


def chamfer_loss(first: Tensor | Sequence[Tensor], second: Tensor | Sequence[Tensor]) -> Tensor:
    """Symmetric chamfer: mean of squared distances to the nearest point, both directions summed, then the mean over the batch.

    first: (N, 3), (B, N, 3) or B sets (Ni, 3). second: likewise with its own counts. In squared units; not the mean of the
    two directions and not a root. Raises ValueError for batches of different lengths and for empty sets.
    """
    firsts, seconds = _sets(first), _sets(second)
    if len(firsts) != len(seconds):
        raise ValueError(f"both must have the same number of sets of points, got {len(firsts)} and {len(seconds)}")
    pairs = zip(firsts, seconds)
    return torch.stack([squared_distances(p, q).mean() + squared_distances(q, p).mean() for p, q in pairs]).mean()


def edge_length_loss(vertices: Tensor, topology: MeshTopology | Tensor, target: float = 0.0) -> Tensor:
    """Mean over edges of (length - target)^2, for vertices (..., V, 3) in the unit of `target`."""
    topology = _topology(vertices, topology)
    start, end = (vertices.index_select(-2, topology.edges[:, k]) for k in (0, 1))
    return _mean((torch.linalg.vector_norm(start - end, dim=-1) - target).square())


def laplacian_loss(vertices: Tensor, topology: MeshTopology | Tensor, method: Laplacian = "uniform") -> Tensor:
    """Mean over vertices of the length of L v, for vertices (..., V, 3).

    uniform: L v is the mean of the neighbours minus the vertex. cot: neighbours weighted by the cotangents of the angles
    opposite the edge. cotcurv: the cotangent sum over four times the area around the vertex, a third of the mean
    curvature normal (Desbrun et al., SIGGRAPH 1999). Cotangents and areas count as constants, as in pytorch3d. A vertex
    without neighbours, or whose weights have no positive sum, has L v = 0; faces without area have no weight.
    """
    topology = _topology(vertices, topology)
    if method == "uniform":
        weights = vertices.new_ones(*vertices.shape[:-2], len(topology.edges))
        offset = _mean_offset(vertices, topology, topology.edges, weights)
    elif method in ("cot", "cotcurv"):
        sides = topology.faces[:, [[1, 2], [2, 0], [0, 1]]].reshape(-1, 2)
        with torch.no_grad():
            cotangents, areas = _cotangents(vertices, topology)
        if method == "cot":
            offset = _mean_offset(vertices, topology, sides, cotangents)
        else:
            offset = 0.25 * _inverse(areas)[..., None] * _offset_sum(vertices, topology, sides, cotangents)
    else:
        raise ValueError(f"method is uniform, cot or cotcurv, not '{method}'")
    return _mean(torch.linalg.vector_norm(offset, dim=-1))


def normal_consistency_loss(vertices: Tensor, topology: MeshTopology | Tensor) -> Tensor:
    """Mean over pairs of faces that share an edge of 1 - cos of the angle between their normals, for vertices (..., V, 3).

    0 for a plane. The winding of the faces does not matter. A face without area has the cosine 0 with its neighbours.
    """
    topology = _topology(vertices, topology)
    a, b, c, d = (vertices.index_select(-2, topology.hinges[:, k]) for k in range(4))
    first, second = torch.linalg.cross(b - a, c - a), -torch.linalg.cross(b - a, d - a)
    return _mean(1 - torch.nn.functional.cosine_similarity(first, second, dim=-1))


def _sets(points: Tensor | Sequence[Tensor]) -> list[Tensor]:
    if isinstance(points, Tensor):
        points = [points] if points.dim() == 2 else list(points)
    if not points or any(len(one) == 0 for one in points):
        raise ValueError("a set of points is empty, and the distance to nothing is undefined")
    return list(points)


def _topology(vertices: Tensor, topology: MeshTopology | Tensor) -> MeshTopology:
    found = topology if isinstance(topology, MeshTopology) else MeshTopology.of(topology, vertices.shape[-2])
    if vertices.dim() < 2 or vertices.shape[-2:] != (found.vertex_count, 3):
        raise ValueError(f"vertices must be (..., {found.vertex_count}, 3), got {tuple(vertices.shape)}")
    return found


def _mean(values: Tensor) -> Tensor:
    return values.mean() if values.numel() else values.sum()


def _offset_sum(vertices: Tensor, topology: MeshTopology, links: Tensor, weights: Tensor) -> Tensor:
    """(..., V, 3) sum over the links (L, 2) of a vertex of weight (..., L) times (neighbour - vertex)."""
    start, end = links.T
    pull = weights[..., None] * (vertices.index_select(-2, end) - vertices.index_select(-2, start))
    return torch.zeros_like(vertices).index_add(-2, start, pull).index_add(-2, end, -pull)


def _mean_offset(vertices: Tensor, topology: MeshTopology, links: Tensor, weights: Tensor) -> Tensor:
    """(..., V, 3) weighted mean of the neighbours minus the vertex."""
    start, end = links.T
    total = weights.new_zeros(*weights.shape[:-1], topology.vertex_count)
    total = total.index_add(-1, start, weights).index_add(-1, end, weights)
    return _inverse(total)[..., None] * _offset_sum(vertices, topology, links, weights)


def _cotangents(vertices: Tensor, topology: MeshTopology) -> tuple[Tensor, Tensor]:
    """(..., 3 F) cotangents of the corners in the order of the faces, and (..., V) area of the faces around each vertex."""
    corners = vertices.index_select(-2, topology.faces.reshape(-1)).unflatten(-2, (-1, 3))
    first, second = corners.roll(-1, -2) - corners, corners.roll(-2, -2) - corners
    twice_area = torch.linalg.vector_norm(torch.linalg.cross(first, second), dim=-1)
    # Relative to the sides, so that the unit of length does not decide which faces count as flat.
    flat = twice_area <= FLAT * (first.square().sum(-1) + second.square().sum(-1))
    cotangents = torch.where(flat, 0.0, (first * second).sum(-1) / torch.where(flat, 1.0, twice_area))
    areas = vertices.new_zeros(*vertices.shape[:-2], topology.vertex_count)
    areas = areas.index_add(-1, topology.faces.reshape(-1), 0.5 * twice_area.flatten(-2))
    return cotangents.flatten(-2), areas


def _inverse(values: Tensor) -> Tensor:
    positive = values > 0
    return torch.where(positive, 1 / torch.where(positive, values, 1.0), 0.0)
