"""Nearest neighbours between two point sets: a k-d tree on the CPU, blockwise brute force on an accelerator."""

import torch
from scipy.spatial import cKDTree
from torch import Tensor

BLOCK = 1 << 24  # distances computed at a time by brute force


def nearest(points: Tensor, targets: Tensor) -> Tensor:
    """Return for every point (N, 2 or 3) the index of its nearest target (M, 2 or 3), (N,) int64. No gradient.

    Ties are broken arbitrarily. Raises ValueError for inconsistent shapes, an empty set of targets, and non-finite coordinates.
    """
    _check(points, targets)
    points, targets = points.detach(), targets.detach()
    if points.device.type == "cpu":
        _, index = cKDTree(targets.double().numpy()).query(points.double().numpy())
        return torch.from_numpy(index).long().reshape(-1)
    return brute_force(points, targets)


def brute_force(points: Tensor, targets: Tensor) -> Tensor:
    """Compute `nearest` from all distances, at most `BLOCK` at a time, on the device of the points."""
    # The expanded form |p|^2 - 2 p q + |q|^2 would lose the precision needed to distinguish close neighbours.
    rows = max(1, BLOCK // max(1, len(targets)))
    exact = "donot_use_mm_for_euclid_dist"
    found = [torch.cdist(block, targets, compute_mode=exact).argmin(1) for block in points.split(rows)]
    return torch.cat(found) if len(points) else points.new_zeros(0, dtype=torch.int64)


def squared_distances(points: Tensor, targets: Tensor) -> Tensor:
    """Return squared distances (N,) from points (N, 2 or 3) to their nearest targets, differentiable in both sets.

    The assignment of neighbours is treated as constant, which gives the exact derivative wherever it is unique.
    """
    return (points - targets[nearest(points, targets)]).square().sum(1)


def _check(points: Tensor, targets: Tensor) -> None:
    for name, value in (("points", points), ("targets", targets)):
        if value.dim() != 2 or value.shape[1] not in (2, 3) or value.shape[1] != points.shape[1]:
            raise ValueError(f"{name} must be (N, 2) or (N, 3) like the other set, got {tuple(value.shape)}")
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} contain NaN or infinity")
    if len(targets) == 0:
        raise ValueError("there are no targets")
