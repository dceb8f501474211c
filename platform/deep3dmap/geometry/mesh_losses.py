"""Differentiable losses of a mesh: how far from points it lies, how regular it is, and how its rendering fits pictures.

Chamfer, edge, Laplacian and normal losses have the definitions of facebookresearch/pytorch3d (pytorch3d/loss). All take float32
or float64 tensors on any device and return a scalar. Where there is nothing to compare (no edge, no visible landmark, an empty
mask) the loss is 0 with a gradient of 0; a set of points that is empty raises ValueError.

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


def edge_loss(vertices: Tensor, topology: MeshTopology | Tensor, target: float = 0.0) -> Tensor:
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


def geman_mcclure(residual: Tensor, scale: float) -> Tensor:
    """rho(r) = scale^2 r^2 / (scale^2 + r^2): r^2 near 0, at most scale^2 far away (Geman and McClure, 1987; SMPLify)."""
    if scale <= 0:
        raise ValueError(f"the scale of the robust loss is positive, got {scale}")
    squared = residual.square()
    return scale**2 * squared / (scale**2 + squared)


def landmark_loss(
    predicted: Tensor, target: Tensor, confidence: Tensor | None = None, *, unit: float = 1.0, robust: float | None = None
) -> Tensor:
    """Confidence-weighted mean over landmarks (..., L, 2 or 3) of their distance, or of Geman-McClure's rho of it.

    confidence: (..., L), 0 = not seen; what is not seen may hold NaN. unit: length that distances are divided by first, such
    as the diagonal of the subject's box. robust: scale of rho in that unit; None takes the plain distance.
    """
    if predicted.shape != target.shape:
        raise ValueError(f"predicted and target differ in shape: {tuple(predicted.shape)} and {tuple(target.shape)}")
    weight = predicted.new_ones(predicted.shape[:-1]) if confidence is None else confidence.to(predicted)
    if weight.shape != predicted.shape[:-1]:
        raise ValueError(f"confidence must be {tuple(predicted.shape[:-1])}, got {tuple(weight.shape)}")
    offset = torch.where((weight > 0)[..., None], predicted - target, 0.0) / unit
    distance = torch.linalg.vector_norm(offset, dim=-1)
    return _weighted_mean(distance if robust is None else geman_mcclure(distance, robust), weight)


def silhouette_iou_loss(coverage: Tensor, mask: Tensor) -> Tensor:
    """1 - IoU of soft silhouettes (..., H, W) in [0, 1], the mean over the leading axes.

    IoU = sum(a m) / sum(a + m - a m) per image (Liu et al., Soft Rasterizer, ICCV 2019). Two empty silhouettes agree: 0.
    """
    _same(coverage, mask)
    product = coverage * mask
    both, either = product.sum((-2, -1)), (coverage + mask - product).sum((-2, -1))
    empty = either == 0
    return torch.where(empty, 0.0, 1 - both / torch.where(empty, 1.0, either)).mean()


def silhouette_l2_loss(coverage: Tensor, mask: Tensor) -> Tensor:
    """Mean over pixels of the squared difference of soft silhouettes (..., H, W) in [0, 1]."""
    _same(coverage, mask)
    return (coverage - mask).square().mean()


def photometric_loss(rendered: Tensor, image: Tensor, mask: Tensor | None = None, norm: Literal["l1", "l21"] = "l1") -> Tensor:
    """Mean over masked pixels of the difference of two images (..., C, H, W).

    mask: (..., H, W) weights; pixels of weight 0 may hold anything. l1: mean over channels of |difference|; l21: its
    Euclidean length over the channels, which lets a pixel be an outlier in all channels at once (Thies et al., CVPR 2016).
    """
    _same(rendered, image)
    weight = rendered.new_ones(rendered[..., 0, :, :].shape) if mask is None else mask.to(rendered)
    if weight.shape != rendered[..., 0, :, :].shape:
        raise ValueError(f"mask must be {tuple(rendered[..., 0, :, :].shape)}, got {tuple(weight.shape)}")
    difference = torch.where((weight > 0)[..., None, :, :], rendered - image, 0.0)
    if norm == "l1":
        return _weighted_mean(difference.abs().mean(-3), weight)
    if norm == "l21":
        return _weighted_mean(torch.linalg.vector_norm(difference, dim=-3), weight)
    raise ValueError(f"norm is l1 or l21, not '{norm}'")


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


def _weighted_mean(values: Tensor, weight: Tensor) -> Tensor:
    total = weight.sum()
    return (values * weight).sum() / torch.where(total > 0, total, 1.0)


def _same(first: Tensor, second: Tensor) -> None:
    if first.shape != second.shape:
        raise ValueError(f"both must have the same shape, got {tuple(first.shape)} and {tuple(second.shape)}")
