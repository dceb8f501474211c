"""Nearest neighbours between two sets of points: a k-d tree on the CPU, blocks of all distances on an accelerator."""

import torch
from scipy.spatial import cKDTree
from torch import Tensor

BLOCK = 1 << 24  # distances held at a time where all are computed


def nearest(points: Tensor, targets: Tensor) -> Tensor:
    """Return, for every point (N, 2 or 3), the index (N,) int64 of the nearest target (M, the same). Without gradient.

    Of targets at the same distance either may be chosen. Raises ValueError for shapes that do not fit, for an empty set of
    targets and for coordinates that are not finite.
    """
    _check(points, targets)
    points, targets = points.detach(), targets.detach()
    if points.device.type == "cpu":
        _, index = cKDTree(targets.double().numpy()).query(points.double().numpy())
        return torch.from_numpy(index).long().reshape(-1)
    return brute_force(points, targets)


def brute_force(points: Tensor, targets: Tensor) -> Tensor:
    """The same by computing every distance, at most `BLOCK` at a time, on the device where the points are."""
    # The expanded form |p|^2 - 2 p q + |q|^2 would lose the digits that tell near neighbours apart.
    rows = max(1, BLOCK // max(1, len(targets)))
    exact = "donot_use_mm_for_euclid_dist"
    found = [torch.cdist(block, targets, compute_mode=exact).argmin(1) for block in points.split(rows)]
    return torch.cat(found) if len(points) else points.new_zeros(0, dtype=torch.int64)


def squared_distances(points: Tensor, targets: Tensor) -> Tensor:
    """Return squared distances (N,) from points (N, 2 or 3) to their nearest targets, differentiable in both sets.

    The choice of the neighbour counts as constant, which is the derivative wherever the choice is unique.
    """
    return (points - targets[nearest(points, targets)]).square().sum(1)


def _check(points: Tensor, targets: Tensor) -> None:
    for name, value in (("points", points), ("targets", targets)):
        if value.dim() != 2 or value.shape[1] not in (2, 3) or value.shape[1] != points.shape[1]:
            raise ValueError(f"{name} must be (N, 2) or (N, 3) as the other set is, got {tuple(value.shape)}")
        if not torch.isfinite(value).all():
            raise ValueError(f"{name} hold NaN or infinity")
    if len(targets) == 0:
        raise ValueError("there are no targets, so no point has a nearest one")
