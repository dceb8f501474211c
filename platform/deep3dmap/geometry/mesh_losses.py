"""Differentiable mesh losses: distance to a point set, and regularisation.

Chamfer, edge, Laplacian and normal losses are defined as in facebookresearch/pytorch3d (pytorch3d/loss). All take float32 or
float64 tensors on any device and return a scalar. Quantities that are undefined for a mesh, such as the mean edge length of a
mesh without edges, are 0 with a zero gradient; an empty point set raises ValueError.

`topology` is a `MeshTopology`, which can be created once and reused, or the faces (F, 3).
"""

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from deep3dmap.geometry.mesh_topology import MeshTopology
from deep3dmap.geometry.nearest_neighbours import squared_distances

Laplacian = Literal["uniform", "cot", "cotcurv"]
FLAT = 1e-7  # ratio of twice a face's area to its squared side lengths below which it counts as degenerate


def chamfer_loss(first: Tensor | Sequence[Tensor], second: Tensor | Sequence[Tensor]) -> Tensor:
    """Return the symmetric chamfer distance: mean squared distances to the nearest points, summed over both directions.

    first: (N, 3), (B, N, 3) or B sets (Ni, 3). second: likewise with its own counts. Averaged over the batch, in squared units.
    Raises ValueError for batches of different lengths and for empty sets.
    """
    firsts, seconds = _to_point_sets(first), _to_point_sets(second)
    if len(firsts) != len(seconds):
        raise ValueError(f"both must have the same number of sets of points, got {len(firsts)} and {len(seconds)}")
    pairs = zip(firsts, seconds)
    return torch.stack([squared_distances(p, q).mean() + squared_distances(q, p).mean() for p, q in pairs]).mean()


def edge_length_loss(vertices: Tensor, topology: MeshTopology | Tensor, target: float = 0.0) -> Tensor:
    """Return the mean over edges of (length - target)^2, for vertices (..., V, 3) in the unit of `target`."""
    topology = _to_topology(vertices, topology)
    start, end = (vertices.index_select(-2, topology.edges[:, k]) for k in (0, 1))
    return _mean((torch.linalg.vector_norm(start - end, dim=-1) - target).square())


def laplacian_loss(vertices: Tensor, topology: MeshTopology | Tensor, method: Laplacian = "uniform") -> Tensor:
    """Return the mean over vertices of the norm of L v, for vertices (..., V, 3).

    uniform: L v is the mean of the neighbours minus the vertex. cot: neighbours are weighted by the cotangents of the angles
    opposite the edge. cotcurv: the cotangent sum divided by four times the area around the vertex, a third of the mean
    curvature normal (Desbrun et al., SIGGRAPH 1999). Cotangents and areas are treated as constants, as in pytorch3d. L v = 0
    for a vertex without neighbours or whose weights do not have a positive sum; faces without area have no weight. Raises
    ValueError for an unknown method.
    """
    topology = _to_topology(vertices, topology)
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
            offset = 0.25 * _safe_inverse(areas)[..., None] * _offset_sum(vertices, topology, sides, cotangents)
    else:
        raise ValueError(f"method must be uniform, cot or cotcurv, not '{method}'")
    return _mean(torch.linalg.vector_norm(offset, dim=-1))


def normal_consistency_loss(vertices: Tensor, topology: MeshTopology | Tensor) -> Tensor:
    """Return the mean of 1 - cos(angle between normals) over pairs of faces that share an edge, for vertices (..., V, 3).

    0 for a plane. Independent of the winding of the faces. The cosine is 0 for faces without area.
    """
    topology = _to_topology(vertices, topology)
    a, b, c, d = (vertices.index_select(-2, topology.hinges[:, k]) for k in range(4))
    first, second = torch.linalg.cross(b - a, c - a), -torch.linalg.cross(b - a, d - a)
    return _mean(1 - torch.nn.functional.cosine_similarity(first, second, dim=-1))


def _to_point_sets(points: Tensor | Sequence[Tensor]) -> list[Tensor]:
    if isinstance(points, Tensor):
        points = [points] if points.dim() == 2 else list(points)
    if not points or any(len(one) == 0 for one in points):
        raise ValueError("a set of points is empty, so its chamfer distance is undefined")
    return list(points)


def _to_topology(vertices: Tensor, topology: MeshTopology | Tensor) -> MeshTopology:
    found = topology if isinstance(topology, MeshTopology) else MeshTopology.of(topology, vertices.shape[-2])
    if vertices.dim() < 2 or vertices.shape[-2:] != (found.vertex_count, 3):
        raise ValueError(f"vertices must be (..., {found.vertex_count}, 3), got {tuple(vertices.shape)}")
    return found


def _mean(values: Tensor) -> Tensor:
    return values.mean() if values.numel() else values.sum()


def _offset_sum(vertices: Tensor, topology: MeshTopology, links: Tensor, weights: Tensor) -> Tensor:
    """Return for each vertex the sum over its links (L, 2) of weight (..., L) times (neighbour - vertex), (..., V, 3)."""
    start, end = links.T
    weighted_offset = weights[..., None] * (vertices.index_select(-2, end) - vertices.index_select(-2, start))
    return torch.zeros_like(vertices).index_add(-2, start, weighted_offset).index_add(-2, end, -weighted_offset)


def _mean_offset(vertices: Tensor, topology: MeshTopology, links: Tensor, weights: Tensor) -> Tensor:
    """Return the weighted mean of the neighbours minus the vertex, (..., V, 3)."""
    start, end = links.T
    total = weights.new_zeros(*weights.shape[:-1], topology.vertex_count)
    total = total.index_add(-1, start, weights).index_add(-1, end, weights)
    return _safe_inverse(total)[..., None] * _offset_sum(vertices, topology, links, weights)


def _cotangents(vertices: Tensor, topology: MeshTopology) -> tuple[Tensor, Tensor]:
    """Return cotangents (..., 3 F) of the face corners in order, and the area (..., V) of the faces around each vertex."""
    corners = vertices.index_select(-2, topology.faces.reshape(-1)).unflatten(-2, (-1, 3))
    first, second = corners.roll(-1, -2) - corners, corners.roll(-2, -2) - corners
    twice_area = torch.linalg.vector_norm(torch.linalg.cross(first, second), dim=-1)
    # Relative to the sides, so that the result does not depend on the unit of length.
    flat = twice_area <= FLAT * (first.square().sum(-1) + second.square().sum(-1))
    cotangents = torch.where(flat, 0.0, (first * second).sum(-1) / torch.where(flat, 1.0, twice_area))
    areas = vertices.new_zeros(*vertices.shape[:-2], topology.vertex_count)
    areas = areas.index_add(-1, topology.faces.reshape(-1), 0.5 * twice_area.flatten(-2))
    return cotangents.flatten(-2), areas


def _safe_inverse(values: Tensor) -> Tensor:
    positive = values > 0
    return torch.where(positive, 1 / torch.where(positive, values, 1.0), 0.0)
