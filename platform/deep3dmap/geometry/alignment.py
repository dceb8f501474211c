"""Rigid and similarity alignment of point sets."""

from typing import Any, NamedTuple

import torch
from scipy.spatial import cKDTree
from torch import Tensor


class Similarity3D(NamedTuple):
    """x -> scale * rotation @ x + translation. rotation: (3, 3) float64. translation: (3,) float64."""

    scale: float
    rotation: Tensor
    translation: Tensor

    @classmethod
    def identity(cls) -> "Similarity3D":
        """Return the identity transform."""
        return cls(1.0, torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64))

    def apply(self, points: Any) -> Tensor:
        """Transform points (N, 3); returns float64."""
        return self.scale * torch.as_tensor(points).double() @ self.rotation.T + self.translation


def umeyama(source: Any, target: Any, *, scale: bool = True) -> Similarity3D:
    """Return the least-squares similarity (rigid with scale=False) that maps source (N, 3) to target (N, 3).

    Umeyama 1991, equations 39 to 42; never returns a reflection. Raises ValueError for wrong shapes or fewer than three points.
    """
    source, target = torch.as_tensor(source).double(), torch.as_tensor(target).double()
    if source.shape != target.shape or source.dim() != 2 or source.shape[1] != 3 or len(source) < 3:
        raise ValueError(f"source and target must be (N, 3) with N >= 3, got {tuple(source.shape)} and {tuple(target.shape)}")
    mean_source, mean_target = source.mean(0), target.mean(0)
    centred = source - mean_source
    u, spread, vt = torch.linalg.svd((target - mean_target).T @ centred / len(source))
    sign = torch.ones(3, dtype=torch.float64, device=source.device)
    sign[2] = torch.sign(torch.linalg.det(u) * torch.linalg.det(vt))
    rotation = u @ torch.diag(sign) @ vt
    variance = centred.square().sum(1).mean()
    factor = float((spread * sign).sum() / variance) if scale and variance > 0 else 1.0
    return Similarity3D(factor, rotation, mean_target - factor * rotation @ mean_source)


def icp(
    source: Any,
    target: Any,
    initial: Similarity3D | None = None,
    *,
    scale: bool = False,
    iterations: int = 50,
    tolerance: float = 1e-7,
    max_distance: float = float("inf"),
) -> Similarity3D:
    """Refine a transform by iterating nearest neighbours and `umeyama` (Besl and McKay 1992) until the error converges.

    source: (N, 3), target: (M, 3). initial: starting transform, the identity by default; with scale=False its scale is kept.
    tolerance: relative decrease of the mean distance below which to stop. max_distance: pairs farther apart are ignored, in the
    target's unit. Raises ValueError if fewer than three pairs are close enough.
    """
    source, target = torch.as_tensor(source).double(), torch.as_tensor(target).double()
    current = initial or Similarity3D.identity()
    fixed_scale, error = current.scale, float("inf")
    tree = cKDTree(target.numpy())
    for _ in range(iterations):
        distances, nearest = tree.query(current.apply(source).numpy())
        paired = distances <= max_distance
        if paired.sum() < 3:
            raise ValueError(
                f"only {int(paired.sum())} points have a neighbour within {max_distance}; use a closer initial transform"
            )
        mean = float(distances[paired].mean())
        if error < float("inf") and error - mean <= tolerance * error:
            break
        error = mean
        chosen = source[torch.from_numpy(paired)]
        found = umeyama(chosen if scale else fixed_scale * chosen, target[torch.from_numpy(nearest[paired])], scale=scale)
        current = found if scale else found._replace(scale=fixed_scale)
    return current
