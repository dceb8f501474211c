"""Rigid and similarity alignment of point sets."""

from typing import NamedTuple

import torch
from scipy.spatial import cKDTree
from torch import Tensor


class Similarity3D(NamedTuple):
    """x -> scale * rotation @ x + translation. rotation: (3, 3) float64. translation: (3,) float64."""

    scale: float
    rotation: Tensor
    translation: Tensor

    def apply(self, points: Tensor) -> Tensor:
        """Transform points (N, 3)."""
        return self.scale * points.double() @ self.rotation.T + self.translation


def umeyama(source: Tensor, target: Tensor, *, scale: bool = True) -> Similarity3D:
    """Return the least-squares similarity (rigid with scale=False) that takes source (N, 3) to target (N, 3).

    Umeyama 1991, equations 39 to 42; a reflection is never returned. Raises ValueError for fewer than three points.
    """
    if source.shape != target.shape or source.dim() != 2 or source.shape[1] != 3 or len(source) < 3:
        raise ValueError(f"source and target are (N, 3) with N >= 3, got {tuple(source.shape)} and {tuple(target.shape)}")
    source, target = source.double(), target.double()
    mean_source, mean_target = source.mean(0), target.mean(0)
    centred = source - mean_source
    u, spread, vt = torch.linalg.svd((target - mean_target).T @ centred / len(source))
    sign = torch.ones(3, dtype=torch.float64)
    sign[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    rotation = u @ torch.diag(sign) @ vt
    variance = centred.square().sum(1).mean()
    factor = float((spread * sign).sum() / variance) if scale and variance > 0 else 1.0
    return Similarity3D(factor, rotation, mean_target - factor * rotation @ mean_source)


def icp(
    source: Tensor, target: Tensor, initial: Similarity3D, *, scale: bool = False, iterations: int = 50, tolerance: float = 1e-7
) -> Similarity3D:
    """Refine a similarity by iterating nearest neighbours and `umeyama` (Besl and McKay 1992) until the error stops falling.

    source: (N, 3), target: (M, 3). tolerance: relative change of the mean distance at which it stops.
    """
    tree = cKDTree(target.numpy())
    current, error = initial, float("inf")
    for _ in range(iterations):
        distances, nearest = tree.query(current.apply(source).numpy())
        if distances.mean() > (1 - tolerance) * error:
            break
        error = float(distances.mean())
        current = umeyama(source, target[torch.from_numpy(nearest)], scale=scale)
    return current
